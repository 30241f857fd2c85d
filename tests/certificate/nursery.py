"""Roles as copies of one process that has imported everything, as `hub run` starts them; a city says which and when.

It is a process of its own because a city has threads, of which a copy would inherit the locks.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import threading
from pathlib import Path
from typing import Self

from hub.catalogue import ROOT
from hub.config import ROLES
from hub.process import Child, fork
from hub.roles.warm import warm

LOOK_SECONDS = 0.02


class Born:
    """A child of the nursery, as the city sees it."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        """Know it by its number."""
        self.pid = pid
        self.returncode: int | None = None
        self._nursery = nursery
        self.ended = threading.Event()

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once it ended."""
        if not self.ended.wait(timeout) or self.returncode is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return self.returncode

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._nursery.tell(signal="terminate", pid=self.pid)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._nursery.tell(signal="kill", pid=self.pid)


class Nursery:
    """The city's end: `with Nursery() as nursery: …`."""

    def __enter__(self) -> Self:
        """Start the process."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "certificate.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self._born: dict[int, Born] = {}
        self._newest: Born | None = None
        self._came = threading.Event()
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it; whatever still runs in it is killed."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(30)
        self._listening.join(5)

    def start(self, module: str, arguments: list[str], log: Path) -> Born:
        """Start a child; called from one thread."""
        self._came.clear()
        self.tell(module=module, arguments=arguments, log=str(log))
        if not self._came.wait(30) or self._newest is None:
            raise RuntimeError("the nursery does not answer")
        return self._newest

    def tell(self, **order: object) -> None:
        """Send an order."""
        if self._process.stdin is not None:
            os.write(self._process.stdin.fileno(), json.dumps(order).encode() + b"\n")

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            told = json.loads(line)
            if "code" not in told:
                self._newest = self._born[told["pid"]] = Born(self, told["pid"])
                self._came.set()
            else:
                child = self._born.pop(told["pid"])
                child.returncode = told["code"]
                child.ended.set()


def main() -> None:
    """Obey until nobody is there to give an order."""
    warm(ROLES)
    children: dict[int, Child] = {}
    waiting = selectors.DefaultSelector()
    waiting.register(0, selectors.EVENT_READ)
    rest = b""
    while True:
        if waiting.select(LOOK_SECONDS):
            came = os.read(0, 65536)
            if not came:
                break
            *lines, rest = (rest + came).split(b"\n")
            for line in lines:
                _obey(json.loads(line), children)
        for pid, child in list(children.items()):
            if (code := child.poll()) is not None:
                del children[pid]
                print(json.dumps({"pid": pid, "code": code}), flush=True)
    for child in children.values():
        child.kill()
        child.wait()


def _obey(order: dict[str, object], children: dict[int, Child]) -> None:
    if "signal" in order:
        child = children.get(int(str(order["pid"])))
        if child is not None:
            getattr(child, str(order["signal"]))()
        return
    arguments = order["arguments"]
    assert isinstance(arguments, list)
    child = fork(str(order["module"]), arguments, name=f"hub {arguments[-1]}", log=Path(str(order["log"])))
    children[child.pid] = child
    print(json.dumps({"pid": child.pid}), flush=True)


if __name__ == "__main__":
    main()

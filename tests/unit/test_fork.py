"""Roles as copies of their supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hub.catalogue import ROOT

pytestmark = pytest.mark.slow

PARENT = """
import sys
from pathlib import Path
from hub.process import fork, stop_requested
stop_requested()
sys.known = "by heart"
child = fork("copied", sys.argv[2:], name="hub copied", log=Path(sys.argv[1]))
print(child.pid, flush=True)
print(child.wait(20), flush=True)
"""
COPIED = """
import os, sys, threading, time
print(getattr(sys, "known", "nothing"), sys.argv[1:], repr(sys.stdin.read()), os.getpgid(0) == os.getpid(), flush=True)
match sys.argv[1]:
    case "exit":
        sys.exit(int(sys.argv[2]))
    case "text":
        sys.exit("a line")
    case "raise":
        raise ValueError("broken")
    case "thread":
        threading.Thread(target=lambda: (time.sleep(0.3), print("done", flush=True))).start()
    case "sleep":
        time.sleep(60)
"""


def _parent(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    (folder / "copied.py").write_text(COPIED, "utf-8")
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder / "log"), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("exit", "0"), 0, ""),
        (("exit", "3"), 3, ""),
        (("text",), 1, "a line"),
        (("raise",), 1, "ValueError: broken"),
        (("thread",), 0, "done"),
    ],
)
def test_a_copy_ends_as_a_process_of_its_own_would(
    tmp_path: Path, arguments: tuple[str, ...], code: int, told: str
) -> None:
    """Exit code, log, arguments, an empty stdin, a session of its own; and it knows what its parent knew."""
    out, _ = _parent(tmp_path, *arguments).communicate(timeout=30)
    assert int(out.split()[1]) == code
    first, *rest = (tmp_path / "log").read_text("utf-8").splitlines()
    assert first == f"by heart {list(arguments)} '' True"
    assert told in "\n".join(rest)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_a_copy_whatever_its_parent_does_with_it(tmp_path: Path, number: signal.Signals) -> None:
    """The parent only notes a SIGTERM; the copy has not learned that."""
    parent = _parent(tmp_path, "sleep")
    assert parent.stdout is not None
    os.kill(int(parent.stdout.readline()), number)
    assert int(parent.stdout.readline()) == -number
    assert parent.wait(20) == 0


def test_a_copy_ends_with_its_parent(tmp_path: Path) -> None:
    """The kernel ends it."""
    parent = _parent(tmp_path, "sleep")
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    limit = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and ") Z " not in Path(f"/proc/{pid}/stat").read_text("utf-8"):
        assert time.monotonic() < limit
        time.sleep(0.05)


WARM = """
import asyncio, sys, tempfile, threading
from hub.config import ROLES
from hub.kafka.worker import Worker
from hub.roles.warm import ON_THE_WAY, warm
warm(ROLES)
print("missing", sorted(name for name in ON_THE_WAY if name not in sys.modules))
print("threads", threading.active_count())

class Work:
    group, topics = "warm", ["warm"]

async def start():
    app = Worker(Work(), {"broker": "kafka://127.0.0.1:1", "datadir": tempfile.mkdtemp()}, None, None).app
    app.finalize()
    app.consumer, app.tables, app.topics, app.assignor, app._leader_assignor, app.agents, app.router, app.monitor

known = set(sys.modules)
asyncio.run(start())
print("later", sorted(set(sys.modules) - known))
"""


def test_what_is_warm_has_imported_all_and_begun_nothing() -> None:
    """A worker that is made imports nothing more; there is no thread whose locks a copy would inherit."""
    told = subprocess.run(
        [sys.executable, "-c", WARM], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert told.stdout.splitlines() == ["missing []", "threads 1", "later []"], told.stderr

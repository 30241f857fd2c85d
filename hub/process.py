"""Child processes that do not outlive their parent, whatever ends it.

On Linux the kernel ends the child (`PR_SET_PDEATHSIG`); elsewhere only an orderly stop of the parent does.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def end_with_parent(number: int = signal.SIGKILL, *, parent: int | None = None) -> None:
    """Let the kernel send this process a signal when its parent ends; end now if it already has.

    `parent` is the pid that the parent knew itself by: between fork and this call it may have died.
    """
    if _LIBC is None:
        return
    _LIBC.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), number)


def spawn(
    command: Sequence[str],
    *,
    log: Path | None = None,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    keep_session: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a child that ends with this process; its output goes to `log` if there is one.

    Call it from a thread that lives as long as the process: the kernel watches the thread that forked.
    The child has a session of its own, so that Ctrl-C reaches it only through its parent's orderly stop.
    """
    parent = os.getpid()
    prepare: Callable[[], None] | None = None
    if _LIBC is not None:
        libc = _LIBC

        def prepare() -> None:
            # Nothing here may allocate much: it runs between fork and exec.
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    output = log.open("ab") if log is not None else None
    try:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output if output is not None else None,
            stderr=subprocess.STDOUT if output is not None else None,
            env=dict(environment) if environment is not None else None,
            cwd=cwd,
            start_new_session=not keep_session,
            preexec_fn=prepare,
        )
    finally:
        if output is not None:
            output.close()


def end(child: subprocess.Popen[bytes], seconds: float) -> int:
    """Ask a child to end, insist after `seconds`, and return its exit code."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    return child.returncode


def free_port() -> int:
    """Find a free TCP port on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Tell whether a port on loopback can be bound."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def listening(port: int, child: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait until a child's port answers; False when it ended or took too long."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit and child.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


def stop_requested() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set."""
    event = threading.Event()

    def stop(_number: int, _frame: object) -> None:
        event.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return event

"""Child processes that do not outlive their parent, whatever ends it.

On Linux the kernel ends the child (`PR_SET_PDEATHSIG`); elsewhere only an orderly stop of the parent does.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
FORKS = _LIBC is not None
"""Whether `fork` makes copies; libraries of other systems break in one."""


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


class Child(Protocol):
    """A process that was started here: a `Popen`, or a fork."""

    @property
    def pid(self) -> int:
        """Number of the process."""
        ...

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once it ended; raise `TimeoutExpired`."""
        ...

    def terminate(self) -> None:
        """Send SIGTERM."""
        ...

    def kill(self) -> None:
        """Send SIGKILL."""
        ...


class _Fork:
    """A child that was forked; it is asked from several threads when all end."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None
        self._asking = threading.Lock()

    def poll(self) -> int | None:
        with self._asking:
            if self._code is None:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self._code = os.waitstatus_to_exitcode(status)
            return self._code

    def wait(self, timeout: float | None = None) -> int:
        limit = time.monotonic() + timeout if timeout is not None else None
        while (code := self.poll()) is None:
            if limit is not None and time.monotonic() > limit:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            time.sleep(0.02)
        return code

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def fork(module: str, arguments: Sequence[str], *, name: str, log: Path | None = None) -> Child:
    """Start `python -m module` as a copy of this process: what is imported here costs the child nothing.

    Its command line stays that of this process; `name`, of which 15 bytes count, tells it apart in `top`.

    Call it from the main thread, while there is no other.  Where nothing `FORKS`, it is a process of its own.
    """
    if not FORKS:
        return spawn([sys.executable, "-m", module, *arguments], log=log)
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    handled = {signal.SIGTERM, signal.SIGINT}
    # A signal in between would only set the parent's event, of which the child knows nothing.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, handled)
    try:
        pid = os.fork()
        if pid == 0:
            _become(module, arguments, name, log, parent, before)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return _Fork(pid)


def _become(module: str, arguments: Sequence[str], name: str, log: Path | None, parent: int, mask: set[int]) -> None:
    code = 1
    try:
        end_with_parent(parent=parent)
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if log is not None:
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            os.dup2(output, 1)
            os.dup2(output, 2)
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as ended:
        if isinstance(ended.code, int | None):
            code = ended.code or 0
        else:
            sys.stderr.write(f"{ended.code}\n")
    except BaseException:
        traceback.print_exc()
    finally:
        # Never back into what the parent was doing.
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def end(child: Child, seconds: float) -> int:
    """Ask a child to end, insist after `seconds`, and return its exit code."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
    return child.wait()


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

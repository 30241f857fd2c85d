"""A vendor that speaks in lines over TCP, on loopback: a thread for each connection."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4


@dataclass(slots=True)
class Talk:
    """One connection."""

    id: str = field(default_factory=lambda: str(uuid4()))
    remembered: dict[str, Any] = field(default_factory=dict)
    """What was said before, as far as it matters for what is said next."""


class LineServer:
    """Answers each line with what `speak` makes of it; an answer without its end is sent, and the connection closed."""

    def __init__(self, speak: Callable[[Talk, bytes], bytes], port_file: Path, *, end: bytes = b"\r") -> None:
        """Listen where it listened before, if `port_file` says so: the city knows that address."""
        self._speak = speak
        self._end = end
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", int(port_file.read_text("utf-8")) if port_file.exists() else 0))
        self._socket.listen(32)
        self.port: int = self._socket.getsockname()[1]
        port_file.write_text(str(self.port), "utf-8")
        self._thread = threading.Thread(target=self._accept, name="lines", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hang up everywhere."""
        for one in (self._socket, *self._open):
            # Closing alone does not wake who waits in it.
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._thread.join(timeout=5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with self._lock:
                self._open.add(connection)
            threading.Thread(target=self._answer, args=(connection,), name="line", daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        talk, waiting = Talk(), b""
        try:
            while more := connection.recv(65536):
                waiting += more
                while self._end in waiting:
                    line, _, waiting = waiting.partition(self._end)
                    said = self._speak(talk, line)
                    connection.sendall(said)
                    if not said.endswith(self._end):
                        return
        except OSError:
            pass  # who asked is gone
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

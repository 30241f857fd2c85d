"""Bytes that are too large for Kafka: a folder of files, each named by the SHA-256 of what it holds."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from hub.model.errors import Cause, Transient


class Blobs:
    """One folder, which all processes that take in records share."""

    def __init__(self, folder: Path) -> None:
        """Make nothing yet: a city without large records has no folder."""
        self.folder = folder

    def path(self, digest: str) -> Path:
        """Return where the bytes with this SHA-256 are."""
        return self.folder / digest[:2] / digest

    def keep(self, data: bytes) -> str:
        """Return the SHA-256 once the bytes are safe; raise `Transient` when the disk does not take them."""
        digest = hashlib.sha256(data).hexdigest()
        path = self.path(digest)
        # Whoever reads a name finds all of it: a file gets its name when it is whole.
        beside = path.with_name(f".{uuid4().hex}")
        try:
            if path.exists() and path.stat().st_size == len(data):
                # Said again: it is kept as long as what says it.
                os.utime(path)
                return digest
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
            for folder in (path.parent, self.folder):
                _sync(folder)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise Transient(f"blob folder: {error.strerror}", cause=Cause.UNWRITTEN) from None
        return digest

    def purge(self, before: float) -> int:
        """Delete what was last said before a moment (UTC seconds); return how many files."""
        gone = 0
        for path in self.folder.glob("*/*"):
            # Another process may be at the same.
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()
                    gone += 1
        return gone


def _sync(folder: Path) -> None:
    """Make names safe as well as bytes."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)

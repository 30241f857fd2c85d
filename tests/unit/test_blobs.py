"""What is too large for Kafka is kept whole under its SHA-256, once, for as long as it is said."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from pathlib import Path

import pytest

from hub.intake.blobs import Blobs
from hub.model.errors import Transient

DATA = b"x" * 3_000_000
DIGEST = hashlib.sha256(DATA).hexdigest()


def test_bytes_are_found_under_their_digest_by_the_hub_alone(tmp_path: Path) -> None:
    """The file holds what was said, and nobody else may read it."""
    blobs = Blobs(tmp_path / "a" / "b")
    assert blobs.keep(DATA) == DIGEST
    path = blobs.path(DIGEST)
    assert path.read_bytes() == DATA
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_many_at_once_keep_one_file(tmp_path: Path) -> None:
    """Two processes may be told the same; no half file and no leftover stays."""
    blobs = Blobs(tmp_path)
    threads = [threading.Thread(target=blobs.keep, args=(DATA,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() == DATA for path in tmp_path.glob("*/*")] == [True]


def test_a_file_that_was_cut_is_written_again(tmp_path: Path) -> None:
    """A name with other bytes behind it is no safe place."""
    blobs = Blobs(tmp_path)
    blobs.keep(DATA)
    blobs.path(DIGEST).write_bytes(b"x")
    blobs.keep(DATA)
    assert blobs.path(DIGEST).read_bytes() == DATA


def test_a_full_disk_is_waited_for_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told as temporary: the source keeps what it has, and asks again."""
    blobs = Blobs(tmp_path)

    def full(_number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(Transient, match="No space left"):
            blobs.keep(DATA)
    assert list(tmp_path.glob("*/*")) == []
    assert blobs.keep(DATA) == DIGEST


def test_what_was_not_said_for_long_is_forgotten(tmp_path: Path) -> None:
    """What was said again stays; what a crash left half written goes as well."""
    blobs = Blobs(tmp_path)
    old, again = blobs.keep(b"old"), blobs.keep(b"again")
    half = blobs.path(old).with_name(".half")
    half.write_bytes(b"o")
    for path in (blobs.path(old), blobs.path(again), half):
        os.utime(path, (1000, 1000))
    blobs.keep(b"again")
    assert blobs.purge(2000.0) == 2
    assert [path.name for path in tmp_path.glob("*/*")] == [again]


def test_nothing_kept_is_nothing_to_forget(tmp_path: Path) -> None:
    """Most cities have no folder."""
    assert Blobs(tmp_path / "none").purge(1e12) == 0

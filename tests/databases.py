"""SQLite with the hub's tables: migrated once, and copied for whoever asks."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from hub.store import Store


def store_in(folder: Path) -> Store:
    """Open the database of a folder; make it if there is none."""
    path = folder / "hub.sqlite"
    if not path.exists():
        path.write_bytes(_model())
    return Store(f"sqlite:///{path}")


@cache
def _model() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.sqlite"
        store = Store(f"sqlite:///{path}")
        store.migrate()
        # Without anybody who reads it, all of it is in the one file.
        store.close()
        return path.read_bytes()


def copied(store: Store) -> sqlite3.Connection:
    """Return a copy of a database, in memory."""
    copy = sqlite3.connect(":memory:", check_same_thread=False)
    with closing(sqlite3.connect(_path(store))) as source:
        source.backup(copy)
    return copy


def restore(store: Store, copy: sqlite3.Connection) -> None:
    """Let a database hold what another held."""
    with closing(sqlite3.connect(_path(store))) as target:
        copy.backup(target)


def _path(store: Store) -> str:
    return store.url.partition("///")[2]

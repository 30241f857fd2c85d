"""SQLite with the hub's tables: migrated once, and copied for whoever asks."""

from __future__ import annotations

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

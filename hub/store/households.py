"""What a desk and a resident see of changes between accounts."""

from __future__ import annotations

from hub.store import moves
from hub.store.moves import Command
from hub.store.store import Store


class Households:
    """Reads which commands changed a citizen's links."""

    def __init__(self, store: Store) -> None:
        """Share the store's database."""
        self._store = store

    def history(self, citizen: str) -> list[Command]:
        """Return the commands that changed a citizen's links, the newest first."""
        with self._store.transaction(write=False) as connection:
            return moves.history(connection, citizen)

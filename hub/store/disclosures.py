"""Who received what about a citizen: one row per delivery, written before it is made or with its mark."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from typing import NamedTuple
from uuid import uuid4

from sqlalchemy import insert, select

from hub.store import tables as t
from hub.store.store import Store

RECENT = 200
"""Deliveries that are shown, the last ones."""


class Disclosure(NamedTuple):
    """One delivery of a citizen's data."""

    citizen: str
    at: int
    """UTC milliseconds."""
    recipient: str
    """A service or a desk, by the name of its token; of a notice the channel by which the citizen got it."""
    purpose: str
    """`api`, `notice`, `assistance` or `desk`."""
    what: Collection[str]
    """Names of the blocks that it was about; of a desk none: it sees links."""


class Disclosures:
    """Writes what is about to be delivered; calls that come at once share one transaction."""

    def __init__(self, store: Store) -> None:
        """Share the store's database."""
        self._store = store
        self._turn = threading.Lock()
        self._guard = threading.Lock()
        self._waiting: list[tuple[Disclosure, Future[None]]] = []

    def tell(self, disclosure: Disclosure) -> None:
        """Return once it is written; raise `Transient` if it cannot be: then nothing may be delivered."""
        done: Future[None] = Future()
        with self._guard:
            self._waiting.append((disclosure, done))
        # Whoever comes to its turn writes for all who wait: a commit costs a wait for the disk, however many share it.
        with self._turn:
            with self._guard:
                batch, self._waiting = self._waiting, []
            if batch:
                self._write(batch)
        done.result()

    def _write(self, batch: Sequence[tuple[Disclosure, Future[None]]]) -> None:
        try:
            with self._store.transaction(write=True) as connection:
                connection.execute(
                    insert(t.disclosures),
                    [
                        {"id": str(uuid4()), **told._asdict(), "what": json.dumps(sorted(told.what))}
                        for told, _ in batch
                    ],
                )
        except BaseException as error:
            for _, done in batch:
                done.set_exception(error)
        else:
            for _, done in batch:
                done.set_result(None)

    def of(self, citizen: str) -> list[Disclosure]:
        """Return a citizen's last deliveries, the newest first."""
        d = t.disclosures.c
        with self._store.transaction(write=False) as connection:
            rows = connection.execute(
                select(d.citizen, d.at, d.recipient, d.purpose, d.what)
                .where(d.citizen == citizen)
                .order_by(d.at.desc(), d.id)
                .limit(RECENT)
            )
            return [Disclosure(*row[:4], tuple(json.loads(row[4]))) for row in rows]

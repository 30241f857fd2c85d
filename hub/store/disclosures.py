"""Who received what about a citizen: one row per delivery, written before it is made or with its mark."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import date
from uuid import UUID, uuid4, uuid5

from sqlalchemy import insert, select

from hub.model.disclosure import Disclosure
from hub.store import tables as t
from hub.store.many import insert_new
from hub.store.store import Store

RECENT = 200
"""Deliveries that are shown, the last ones."""
DAILY = UUID("6d0f6f0e-93a5-4d0b-9a55-2f1c7f3b8a61")
"""Names looks that count once a day."""


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

    def tell_daily(self, day: date, looks: Sequence[Disclosure]) -> None:
        """Write what a list is about to show: of each citizen one row per recipient, purpose and day.

        Whoever opens a list again is shown what they were shown; a row for each time would bury the others.
        Raise `Transient` if it cannot be written: then the list may not be shown.
        """
        rows = {
            name: look.row(name)
            for look in looks
            for name in [str(uuid5(DAILY, f"{look.citizen}\x1f{look.recipient}\x1f{look.purpose}\x1f{day}"))]
        }
        if rows:
            with self._store.transaction(write=True) as connection:
                insert_new(connection, t.disclosures, list(rows.values()))

    def _write(self, batch: Sequence[tuple[Disclosure, Future[None]]]) -> None:
        try:
            with self._store.transaction(write=True) as connection:
                connection.execute(insert(t.disclosures), [told.row(str(uuid4())) for told, _ in batch])
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

"""What open data is made from, and what was told of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Table, and_, func, insert, select

from hub.store import tables as t
from streams.open_data.history import Answered, DatasetChange, Publication

HOUR = 3_600_000
Cells = Mapping[tuple[str, ...], int]


class OpenDataTables:
    """The statements of open data; `Store` has the connections."""

    _upsert: Callable[[Table], Any]

    def _read(self) -> AbstractContextManager[Connection]:
        raise NotImplementedError

    def _write(self) -> AbstractContextManager[Connection]:
        raise NotImplementedError

    def answered(
        self, requests: Collection[str], answers: Callable[[str, Mapping[str, Any]], bool], kinds: Collection[str]
    ) -> list[Answered]:
        """Find requests that were answered and are not counted yet; `answers` tells of (type, payload) of `kinds`.

        Requests are counted from two events; who is no resident of this hub is purged after 90 days, so they are
        counted while both are there.
        """
        e, f = t.entries.c, t.facts.c
        asked = t.entries.alias("asked")
        pairs = (
            select(e.event_id, asked.c.type, asked.c.occurred_at, e.occurred_at, e.rev, e.type, e.payload, e.subject)
            .join(asked, and_(asked.c.subject == e.subject, asked.c.type.in_(list(requests))))
            .where(e.type.in_(list(kinds)))
            .order_by(e.subject, e.seq_epoch, e.seq_offset, e.seq_index)
        )
        first: dict[str, Answered] = {}
        with self._read() as connection:
            known = set(connection.execute(select(f.event_id).where(f.fact == "request")).scalars())
            for event_id, request, asked_at, at, rev, kind, payload, subject in connection.execute(pairs):
                if subject not in first and answers(kind, json.loads(payload)):
                    first[subject] = Answered(event_id, request, asked_at, at, rev)
        return [answer for answer in first.values() if answer.event_id not in known]

    def count(self, facts: Sequence[tuple[str, str, str, str, str, int]]) -> None:
        """Write facts of (event id, fact, period, place, kind, revision) that were found in several events."""
        names = ("event_id", "fact", "period", "place", "kind", "rev")
        rows = [dict(zip(names, fact, strict=True)) for fact in facts]
        if rows:
            with self._write() as connection:
                connection.execute(self._upsert(t.facts).on_conflict_do_nothing(), rows)

    def count_traffic(self, day_of: Callable[[datetime], date], today: date) -> None:
        """Count the events of days that are over and not counted yet, by domain."""
        e = t.entries.c
        hour = e.recorded_at.op("/")(HOUR)
        with self._write() as connection:
            last = connection.execute(select(func.max(t.traffic.c.day))).scalar()
            if last == (today - timedelta(days=1)).isoformat():
                return
            since = 0
            if last is not None:
                # The day's end in any zone is at most a day from its end in UTC.
                since = int(datetime.combine(date.fromisoformat(last), datetime.min.time(), UTC).timestamp() * 1000)
            counts: Counter[tuple[str, str]] = Counter()
            for kind, at, count in connection.execute(
                select(e.type, hour, func.count()).where(e.recorded_at >= since - 24 * HOUR).group_by(e.type, hour)
            ):
                # Zones of whole hours: an hour is wholly of one day.
                day = day_of(datetime.fromtimestamp(at * HOUR / 1000, UTC))
                if day < today and (last is None or day.isoformat() > last):
                    counts[day.isoformat(), kind.split(".")[1]] += count
            if counts:
                rows = [{"day": day, "domain": domain, "events": n} for (day, domain), n in sorted(counts.items())]
                connection.execute(insert(t.traffic), rows)
            if (today - timedelta(days=1)).isoformat() not in {day for day, _ in counts}:
                # A day without events is over too, and is looked at no more.
                row = {"day": (today - timedelta(days=1)).isoformat(), "domain": "", "events": 0}
                connection.execute(insert(t.traffic), [row])

    def traffic(self) -> dict[str, Counter[tuple[str]]]:
        """Return the events of each day that is over, by domain."""
        c = t.traffic.c
        found: dict[str, Counter[tuple[str]]] = {}
        with self._read() as connection:
            for day, domain, events in connection.execute(select(c.day, c.domain, c.events).where(c.events > 0)):
                found.setdefault(day, Counter())[(domain,)] = events
        return found

    def told(self, datasets: Collection[str]) -> dict[tuple[str, str], dict[tuple[str, ...], int]]:
        """Return what was told first of each (dataset, period)."""
        c = t.told.c
        with self._read() as connection:
            rows = connection.execute(select(c.dataset, c.period, c.cells).where(c.dataset.in_(list(datasets))))
            return {
                (dataset, period): {tuple(cell): count for cell, count in json.loads(cells)}
                for dataset, period, cells in rows
            }

    def tell(self, period_cells: Mapping[tuple[str, str], Cells], now: datetime) -> None:
        """Remember what is told of (dataset, period) before anybody sees it; what was told stays as it was."""
        rows = [
            {
                "dataset": dataset,
                "period": period,
                "cells": json.dumps([[list(cell), count] for cell, count in sorted(cells.items())], ensure_ascii=False),
                "told_at": int(now.timestamp() * 1000),
            }
            for (dataset, period), cells in sorted(period_cells.items())
        ]
        if rows:
            with self._write() as connection:
                connection.execute(self._upsert(t.told).on_conflict_do_nothing(), rows)

    def changed(self, dataset: str, change: DatasetChange) -> None:
        """Write a change of a dataset into its log."""
        with self._write() as connection:
            connection.execute(
                insert(t.dataset_changes).values(
                    dataset=dataset,
                    changed_at=change.at,
                    added=change.added,
                    removed=change.removed,
                    changed=change.changed,
                    sha256=change.sha256,
                )
            )

    def changes(self, dataset: str) -> list[DatasetChange]:
        """Return the log of a dataset, oldest first."""
        c = t.dataset_changes.c
        with self._read() as connection:
            rows = connection.execute(
                select(c.changed_at, c.added, c.removed, c.changed, c.sha256)
                .where(c.dataset == dataset)
                .order_by(c.id.desc())
                .limit(500)
            )
            return [DatasetChange(*row) for row in rows][::-1]

    def publications(self) -> list[Publication]:
        """Return how each dataset stands at each portal."""
        c = t.publications.c
        with self._read() as connection:
            rows = connection.execute(
                select(c.portal, c.dataset, c.sha256, c.state, c.attempts, c.next_at, c.code).order_by(
                    c.portal, c.dataset
                )
            )
            return [Publication(*row) for row in rows]

    def publication(self, row: Publication, now: int) -> None:
        """Write how a dataset stands at a portal."""
        values = {**row._asdict(), "done_at": now if row.state == "sent" else None}
        with self._write() as connection:
            connection.execute(
                self._upsert(t.publications)
                .values(**values)
                .on_conflict_do_update(index_elements=["portal", "dataset"], set_=values)
            )

"""The database, seen by those who write and read it.

Every write is one transaction that can be repeated: after a kill the caller does the same batch
again, and nothing is doubled, because each row's id is made from what it says.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Table,
    and_,
    create_engine,
    delete,
    event,
    func,
    insert,
    inspect,
    literal_column,
    not_,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError

from hub.model.errors import Transient
from hub.model.event import Replay, StoredEvent
from hub.model.notice import Concerned, Notice, Recipient, within
from hub.model.record import Seq
from hub.store import moves
from hub.store import tables as t
from hub.store.links import holds_on
from hub.store.many import among, insert_new, insert_newer, look_up
from hub.store.notices import CHANNELS, OPEN, Notices
from hub.store.open_data import OpenDataTables
from hub.store.requests import Requests

CITY = ZoneInfo("Europe/Paris")
OUTBOX_IDS = UUID("5c0f6d0e-58a9-5f3c-8f39-2f0c4d1b7a55")
_MIGRATIONS = Path(__file__).parent / "migrations"
DISCLOSED_DAYS = 365
"""How long it can be asked who received what, and who acted for whom."""
KNOWN_MS = 1_000
"""How exactly it is kept up to when a product is known by its events."""
_PATIENCE, _LOOK = 30, 0.002
"""Seconds that a writer waits for another on SQLite, and between two looks whether it is done."""
_COUNTED = {"preserve_rowcount": True}
"""Of an INSERT, SQLAlchemy tells the rows on PostgreSQL only when asked."""


class Refused(Exception):
    """The database is there and does not let us in, or is not ours; waiting does not help."""


@dataclass
class Applied:
    """What a batch changed."""

    results: Counter[str] = field(default_factory=Counter)
    """`inserted`, `replaced`, `ignored`."""
    commands: Counter[str] = field(default_factory=Counter)
    notices: int = 0
    inserted: list[StoredEvent] = field(default_factory=list)


class Row(NamedTuple):
    """A row of the outbox that is due."""

    id: str
    channel: str
    topic: str
    subject: str
    payload: Mapping[str, Any]
    attempts: int


class Stored(NamedTuple):
    """What stands in SQL of an event, for the ledger."""

    id: str
    type: str
    subject: str
    product: str
    read_at: int
    recorded_at: int
    occurred_at: int
    """Of a command when it was read: it is of then."""


class Reach(NamedTuple):
    """Whom events concern."""

    known: set[str]
    """Ids of those that stand in SQL already."""
    residents: set[str]
    notices: int
    """Mails that would be written for the others."""


class Erased(NamedTuple):
    """What was deleted of a citizen."""

    links: int
    entries: int
    mails: int


class Shown(NamedTuple):
    """An entry as the account shows it."""

    event_id: str
    type: str
    subject: str
    product: str
    occurred_at: int
    read_at: int
    rev: int
    seq: Seq
    payload: Mapping[str, Any]


class LinkShown(NamedTuple):
    """An open link of a citizen."""

    subject: str
    role: str
    since: int
    until: str | None
    scope: Sequence[str] = ()
    """Blocks that it is limited to; empty: all."""


class Proposal(NamedTuple):
    """A link that waits for a clerk."""

    id: str
    """Of the message that asked for it."""
    subject: str
    citizen: str
    role: str
    scope: Sequence[str]
    until: str | None
    evidence: Sequence[Mapping[str, Any]]
    """As `LinkProposed` says it."""
    asked_at: int


class Unmatched(NamedTuple):
    """Subjects of a product that nobody is linked to."""

    product: str
    subjects: int
    oldest: int
    """When the first event of the oldest of them was recorded, ms."""


class Policy(Protocol):
    """What the city does with an event, decided outside."""

    def notices(self, concerned: Concerned, now: datetime) -> Iterable[Notice]:
        """Return the notices about events that became known at once."""
        ...

    def fact(self, event: StoredEvent) -> tuple[str, str, str, str] | None:
        """Return (fact, period, place, kind) of what may be counted."""
        ...

    @property
    def deaths(self) -> Collection[str]:
        """Return the types of events that say that whom they are about has died."""
        ...


class Store(Notices, Requests, OpenDataTables):
    """One database; safe for threads."""

    def __init__(self, url: str) -> None:
        """`url` as SQLAlchemy takes it; a folder for SQLite is made."""
        self.url = url
        arguments: dict[str, Any] = {}
        if url.startswith("sqlite"):
            path = url.partition("///")[2]
            if path and path != ":memory:":
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            arguments["connect_args"] = {"timeout": _PATIENCE, "check_same_thread": False}
        else:
            # A file does not go away between two statements.
            arguments["pool_pre_ping"] = True
        # An error's text would quote the values of the statement that failed.
        self._engine = create_engine(url, hide_parameters=True, **arguments)
        self._shared = threading.local()
        self._known_at: dict[str, int] = {}
        """Up to when each product was said to be known by its events, ms."""
        self._upsert: Callable[[Table], Any] = (
            sqlite.insert if self._engine.dialect.name == "sqlite" else postgresql.insert
        )
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _prepare_sqlite)
            event.listen(self._engine, "begin", _begin)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _write(self) -> AbstractContextManager[Connection]:
        return self.transaction(write=True)

    def _read(self) -> AbstractContextManager[Connection]:
        shared: Connection | None = getattr(self._shared, "connection", None)
        return self.transaction(write=False) if shared is None else nullcontext(shared)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let all that this thread reads meanwhile share one transaction: each of its own costs more than a read."""
        with self._read() as connection:
            before, self._shared.connection = getattr(self._shared, "connection", None), connection
            try:
                yield
            finally:
                self._shared.connection = before

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[Connection]:
        """Run the statements of one transaction; raise `Transient` while the database is away."""
        try:
            with self._engine.connect().execution_options(hub_write=write) as connection, connection.begin():
                yield connection
        except OperationalError as error:
            remedy = _refusal(error)
            if remedy is not None:
                raise Refused(remedy) from None
            raise Transient(f"database: {_trouble(error)}") from None
        except DBAPIError as error:
            if error.connection_invalidated:
                raise Transient("database: connection lost") from None
            raise

    def migrate(self) -> None:
        """Bring the tables to this version; several processes may try at once."""
        newest = max(path.name.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*.py"))
        with self._read() as connection:
            known = inspect(connection).has_table("alembic_version")
            if known and connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == newest:
                return
        # Half a second, which only a database pays for that is behind.
        from alembic import command as alembic
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        with self._write() as connection:
            if self._engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(7391)"))
            config.attributes["connection"] = connection
            alembic.upgrade(config, "head")

    # -- writing what happened ------------------------------------------------------------------

    def project(
        self, batch: Sequence[StoredEvent], policy: Policy, now: datetime, replays: Sequence[Replay] = ()
    ) -> Applied:
        """Write a batch in one transaction; repeating it changes nothing.

        `replays` are marks that stood in the batch: what they cover and no newer mapping told again is swept.
        """
        applied = Applied()
        moment = int(now.timestamp() * 1000)
        with self._write() as connection:
            commands = [e for e in batch if e.audience == "command"]
            others = [e for e in batch if e.audience in ("person", "public", "clerk")]
            written = self._write_entries(connection, others, moment, applied)
            fresh = list(applied.inserted)
            # Links before notices: who is told is decided by the links that are open now.
            relinked = {name for item in commands for name in moves.subjects_of(connection, item)}
            for subject in sorted(relinked):
                # In one order, so that no two workers wait for one another.
                self._hold(connection, subject)
            for item in commands:
                self._command(connection, item, moment, applied)
            self._count_facts(connection, written, {event.id for event in fresh}, policy)
            # Whichever came first, the death or the link: a declaration is linked to nobody when it comes.
            died = relinked | {event.subject for event in fresh if event.type in policy.deaths}
            if died:
                self._stop_for_the_dead(connection, died, policy.deaths, now)
            self._notify(connection, [event for event in fresh if not event.replay], policy, now, applied)
            for replay in replays:
                applied.results["swept"] += self._sweep(connection, replay)
            newest: dict[str, int] = {}
            for item in others:
                newest[item.product] = max(item.read_at, newest.get(item.product, 0))
            news = {name: at for name, at in newest.items() if at > self._known_at.get(name, 0) + KNOWN_MS}
            for product, at in sorted(news.items()):
                # At the end, and seldom: workers wait for one another at this row, also where it stays as it is.
                self._known(connection, product, at, every=KNOWN_MS)
        self._known_at.update(news)
        return applied

    def _sweep(self, connection: Connection, replay: Replay) -> int:
        """Remove what a replay did not tell again, and remember the range: a straggler must not bring it back."""
        connection.execute(
            self._upsert(t.replays)
            .values(
                product=replay.product,
                epoch=replay.epoch,
                raw_partition=replay.partition,
                domain=replay.domain,
                event_partition=replay.mark,
                first=replay.first,
                end=replay.end,
                rev=replay.rev,
            )
            .on_conflict_do_nothing()
        )
        c = t.entries.c
        found = connection.execute(
            select(c.event_id, c.subject).where(
                c.product == replay.product,
                c.seq_epoch == replay.epoch,
                c.raw_partition == replay.partition,
                c.seq_offset >= replay.first,
                c.seq_offset < replay.end,
                c.rev < replay.rev,
                c.type.like(f"hub.{replay.domain}.%"),
            )
        )
        gone = [event_id for event_id, subject in found if replay.covers(subject)]
        if gone:
            told = among(connection, t.outbox.c.event_id, gone)
            connection.execute(delete(t.facts).where(among(connection, t.facts.c.event_id, gone)))
            connection.execute(delete(t.outbox).where(told, t.outbox.c.state.in_(OPEN)))
            connection.execute(delete(t.entries).where(among(connection, t.entries.c.event_id, gone)))
        return len(gone)

    def _outdated(self, connection: Connection, batch: Sequence[StoredEvent]) -> set[str]:
        """Find events of a mapping older than a replay of their records."""
        r = t.replays.c
        ranges = [
            tuple(row)
            for row in connection.execute(
                select(r.product, r.epoch, r.raw_partition, r.domain, r.first, r.end, r.rev).where(
                    r.product.in_({item.product for item in batch})
                )
            )
        ]
        return {
            item.id
            for item in batch
            for product, epoch, partition, domain, first, end, rev in ranges
            if (item.product, item.seq.epoch, item.partition) == (product, epoch, partition)
            and first <= item.seq.offset < end
            and item.rev < rev
            and item.type.startswith(f"hub.{domain}.")
        }

    def in_range(self, product: str, epoch: int, partition: int, first: int, end: int) -> dict[str, tuple[int, str]]:
        """Return revision and payload of every entry that came from a range of raw records, by event id."""
        c = t.entries.c
        with self._read() as connection:
            rows = connection.execute(
                select(c.event_id, c.rev, c.payload).where(
                    c.product == product,
                    c.seq_epoch == epoch,
                    c.raw_partition == partition,
                    c.seq_offset >= first,
                    c.seq_offset < end,
                )
            )
            return {event_id: (rev, payload) for event_id, rev, payload in rows}

    def _write_entries(
        self, connection: Connection, batch: Sequence[StoredEvent], moment: int, applied: Applied
    ) -> list[StoredEvent]:
        columns = (t.entries.c.event_id, t.entries.c.rev, t.entries.c.payload)
        known = {
            event_id: (rev, payload)
            for event_id, rev, payload in look_up(connection, columns[0], [e.id for e in batch], *columns)
        }
        fresh: set[str] = set()
        written: dict[str, StoredEvent] = {}
        outdated = self._outdated(connection, batch)
        for item in batch:
            if item.id in outdated and item.id not in known:
                applied.results["ignored"] += 1
                continue
            rev, payload = known.get(item.id, (None, ""))
            if rev is None:
                fresh.add(item.id)
                written[item.id] = item
            elif item.rev > rev or (item.rev == rev and item.data != payload):
                # The same fact, said better: its first place in the order is kept.
                before = written.get(item.id)
                written[item.id] = item if before is None else item._replace(seq=before.seq, read_at=before.read_at)
                applied.results["replaced"] += 1
            else:
                applied.results["ignored"] += 1
                continue
            known[item.id] = (item.rev, item.data)
        rows = [
            {
                "event_id": item.id,
                "subject": item.subject,
                "type": item.type,
                "product": item.product,
                "audience": item.audience,
                "occurred_at": item.time,
                "read_at": item.read_at,
                "recorded_at": moment,
                "seq_epoch": item.seq.epoch,
                "seq_offset": item.seq.offset,
                "seq_index": item.seq.item,
                "rev": item.rev,
                "payload": item.data,
                "raw_partition": item.partition,
            }
            # In one order, so that no two workers wait for one another.
            for item in sorted(written.values(), key=lambda item: item.id)
        ]
        made: set[str] = set()
        if first := [row for row in rows if row["event_id"] in fresh]:
            # Another worker may be about to commit the same, one that was killed among them: whose rows they are is
            # known when they are written, not when they were looked for. Only theirs is what was not known before.
            made = insert_new(connection, t.entries, first)
            applied.results.update(inserted=len(made))
            if len(made) < len(first):
                applied.results.update(ignored=len(first) - len(made))
        if again := [row for row in rows if row["event_id"] not in made]:
            insert_newer(connection, t.entries, again, ("subject", "type", "audience", "occurred_at", "payload"))
        applied.inserted.extend(item for name, item in written.items() if name in made)
        return list(written.values())

    def _count_facts(
        self, connection: Connection, written: Sequence[StoredEvent], fresh: Collection[str], policy: Policy
    ) -> None:
        rows, gone = [], []
        for item in written:
            counted = policy.fact(item)
            if counted is not None:
                fact, period, place, kind = counted
                rows.append(
                    {"event_id": item.id, "fact": fact, "period": period, "place": place, "kind": kind, "rev": item.rev}
                )
            elif item.id not in fresh:
                gone.append(item.id)
        if rows:
            insert_newer(connection, t.facts, rows, ("fact", "period", "place", "kind"))
        # A corrected mapping may find that there was nothing to count.
        if gone:
            connection.execute(delete(t.facts).where(among(connection, t.facts.c.event_id, gone)))

    def _command(self, connection: Connection, item: StoredEvent, moment: int, applied: Applied) -> None:
        payload: Any = item.payload
        about = next((told for name in ("subject", "to", "command") if (told := getattr(payload, name, ""))), "")
        seen = connection.execute(
            self._upsert(t.commands)
            .values(
                event_id=item.id,
                type=item.type,
                citizen=payload.citizen,
                subject=item.subject,
                about=about,
                product=item.product,
                read_at=item.read_at,
                recorded_at=moment,
                result="applied",
                clerk=getattr(payload, "clerk", ""),
            )
            .on_conflict_do_nothing(),
            execution_options=_COUNTED,
        )
        if seen.rowcount == 0:
            applied.results["ignored"] += 1
            return
        applied.results["inserted"] += 1
        applied.inserted.append(item)
        kind = item.type.rpartition(".")[2]
        applied.commands[kind] += 1
        if kind == "PreferencesChanged":
            self._prefer(connection, item)
        elif kind == "LinkProposed":
            self._propose(connection, item)
        elif kind == "LinkDecided":
            decided = connection.execute(
                update(t.proposals)
                .where(t.proposals.c.id == payload.proposal, t.proposals.c.state == "pending")
                .values(
                    state="accepted" if payload.accepted else "refused",
                    reason=str(payload.reason),
                    decided_at=moment,
                    decided_by=payload.clerk,
                )
            )
            if decided.rowcount == 0:
                self._in_vain(connection, item)
        elif kind == "LinkRequested":
            self._link(connection, item, moment)
            self._tell_links(connection, about, item.id, moment)
            # Proven meanwhile, or by the decision that comes with this: a clerk need not look at it any more.
            connection.execute(
                update(t.proposals)
                .where(
                    t.proposals.c.subject == about,
                    t.proposals.c.citizen == payload.citizen,
                    t.proposals.c.state == "pending",
                )
                .values(state="linked", decided_at=moment)
            )
        elif kind == "UnlinkRequested":
            closed = connection.execute(
                update(t.links)
                .where(t.links.c.subject == about, t.links.c.citizen == payload.citizen, t.links.c.closed_at.is_(None))
                .values(closed_at=moment, closed_by=item.id)
            )
            if closed.rowcount:
                self._tell_links(connection, about, item.id, moment)
            else:
                self._in_vain(connection, item)
        elif kind in ("MoveRequested", "UndoRequested"):
            # A link of the same batch may have come since the subjects were held: held twice is held.
            changed = (moves.move if kind == "MoveRequested" else moves.undo)(connection, item, moment)
            for subject in sorted(changed):
                self._hold(connection, subject)
                self._tell_links(connection, subject, item.id, moment)
            if not changed:
                self._in_vain(connection, item)

    def _in_vain(self, connection: Connection, item: StoredEvent) -> None:
        connection.execute(update(t.commands).where(t.commands.c.event_id == item.id).values(result="nothing_to_do"))

    def _propose(self, connection: Connection, item: StoredEvent) -> None:
        payload: Any = item.payload
        linked = select(t.links.c.id).where(
            t.links.c.subject == payload.subject, t.links.c.citizen == payload.citizen, t.links.c.closed_at.is_(None)
        )
        if connection.execute(linked).first() is not None:
            self._in_vain(connection, item)
            return
        connection.execute(
            self._upsert(t.proposals)
            .values(
                id=payload.proposal,
                subject=payload.subject,
                citizen=payload.citizen,
                role=str(payload.role),
                scope=json.dumps(list(payload.scope)),
                until=payload.until.isoformat() if payload.until is not None else None,
                evidence=json.dumps([one.as_dict() for one in payload.evidence]),
                asked_at=item.time,
                state="pending",
            )
            .on_conflict_do_nothing()
        )

    def _link(self, connection: Connection, item: StoredEvent, moment: int) -> None:
        payload: Any = item.payload
        values = {
            "role": str(payload.role),
            "scope": json.dumps(list(payload.scope)),
            "until": payload.until.isoformat() if payload.until is not None else None,
        }
        c = t.links.c
        this = and_(c.subject == payload.subject, c.citizen == payload.citizen, c.closed_at.is_(None))
        known = connection.execute(select(c.role, c.scope, c.until, c.since).where(this)).first()
        if known is not None:
            if known[:3] == tuple(values.values()):
                return
            # Never changed in place: the command can be undone by what bears its id.
            connection.execute(update(t.links).where(this).values(closed_at=moment, closed_by=item.id))
        connection.execute(
            insert(t.links).values(
                subject=payload.subject,
                citizen=payload.citizen,
                since=moment if known is None else known.since,
                opened_by=item.id,
                **values,
            )
        )

    def _hold(self, connection: Connection, subject: str) -> None:
        # One command on a subject at a time, also where several processes write: else two would
        # take the same version, and the second set of links would never be told.
        connection.execute(
            self._upsert(t.subject_versions)
            .values(subject=subject, version=0)
            .on_conflict_do_update(index_elements=["subject"], set_={"version": t.subject_versions.c.version})
        )

    def _tell_links(self, connection: Connection, subject: str, command: str, moment: int) -> None:
        this = t.subject_versions.c.subject == subject
        connection.execute(update(t.subject_versions).where(this).values(version=t.subject_versions.c.version + 1))
        version = connection.execute(select(t.subject_versions.c.version).where(this)).scalar_one()
        open_links = connection.execute(
            select(t.links)
            .where(t.links.c.subject == subject, t.links.c.closed_at.is_(None))
            .order_by(t.links.c.citizen)
        ).mappings()
        payload = {
            "subject": subject,
            "version": version,
            "command": command,
            "links": [
                {
                    "citizen": link["citizen"],
                    "role": link["role"],
                    "scope": json.loads(link["scope"]),
                    "since": link["since"],
                    "until": link["until"],
                }
                for link in open_links
            ],
        }
        self._post(
            connection,
            str(uuid5(OUTBOX_IDS, f"{subject}\x1f{version}")),
            channel="identity",
            topic="links",
            citizen=None,
            subject=subject,
            event_id=command,
            payload=payload,
            moment=moment,
        )

    def _prefer(self, connection: Connection, item: StoredEvent) -> None:
        payload: Any = item.payload
        known = connection.execute(
            select(t.preferences.c.seq_epoch, t.preferences.c.seq_offset).where(
                t.preferences.c.citizen == payload.citizen
            )
        ).first()
        if known is not None and tuple(known) > (item.seq.epoch, item.seq.offset):
            return
        values = {
            "email": payload.email,
            "topics": json.dumps(sorted(payload.topics)),
            "language": payload.language,
            "phone": payload.phone,
            "channel": CHANNELS.get(str(payload.channel), "mail"),
            "digest": payload.digest,
            "seq_epoch": item.seq.epoch,
            "seq_offset": item.seq.offset,
        }
        connection.execute(
            self._upsert(t.preferences)
            .values(citizen=payload.citizen, **values)
            .on_conflict_do_update(index_elements=["citizen"], set_=values)
        )
        self._lift(connection, payload.citizen, item.time, [payload.email, payload.phone])
        connection.execute(delete(t.interest).where(t.interest.c.citizen == payload.citizen))
        lines = sorted(set(payload.lines))
        if lines:
            connection.execute(insert(t.interest), [{"citizen": payload.citizen, "line": line} for line in lines])

    def _notify(
        self, connection: Connection, fresh: Sequence[StoredEvent], policy: Policy, now: datetime, applied: Applied
    ) -> None:
        concerned = [(item, recipients) for item, _, recipients in self._concerned(connection, fresh, now)]
        for notice in policy.notices(concerned, now):
            applied.notices += self._post(
                connection,
                notice.id,
                channel=notice.channel,
                topic=notice.topic,
                citizen=notice.citizen,
                subject=notice.subject,
                event_id=notice.event_id,
                payload=notice.payload,
                moment=int(now.timestamp() * 1000),
                **self._lane(notice),
            )

    def _concerned(
        self, connection: Connection, events: Sequence[StoredEvent], now: datetime
    ) -> Iterator[tuple[StoredEvent, list[str], list[Recipient]]]:
        """Yield each event with the citizens whom it concerns, and with the wishes of those who have some."""
        if not events:
            return
        by_subject: dict[str, dict[str, frozenset[str]]] = {}
        linked = look_up(
            connection,
            t.links.c.subject,
            sorted({e.subject for e in events if e.audience == "person"}),
            t.links.c.subject,
            t.links.c.citizen,
            t.links.c.scope,
            where=holds_on(now.astimezone(CITY).date()),
        )
        for subject, citizen, scope in linked:
            by_subject.setdefault(subject, {})[citizen] = frozenset(json.loads(scope))
        lines = sorted({line for e in events if e.audience == "public" for line in getattr(e.payload, "lines", ())})
        by_line: dict[str, list[str]] = {}
        for line, citizen in look_up(connection, t.interest.c.line, lines, t.interest.c.line, t.interest.c.citizen):
            by_line.setdefault(line, []).append(citizen)
        citizens = sorted({c for found in (*by_subject.values(), *by_line.values()) for c in found})
        wishes = self._recipients(connection, citizens, now)
        for item in events:
            scopes: Mapping[str, frozenset[str]] = {}
            if item.audience == "person":
                scopes = by_subject.get(item.subject, {})
                concerned = sorted(scopes)
            else:
                concerned = sorted({c for line in getattr(item.payload, "lines", ()) for c in by_line.get(line, [])})
            recipients = [wishes[citizen] for citizen in concerned if citizen in wishes]
            yield item, concerned, [within(one, scopes.get(one.citizen)) for one in recipients]

    def reach(self, events: Sequence[StoredEvent], policy: Policy, now: datetime) -> Reach:
        """Tell whom events would concern if they were written now; nothing is."""
        with self._read() as connection:
            known = {name for (name,) in look_up(connection, t.entries.c.event_id, [e.id for e in events],
                                                  t.entries.c.event_id)}  # fmt: skip
            residents: set[str] = set()
            unknown = []
            for item, concerned, recipients in self._concerned(connection, events, now):
                residents.update(concerned)
                if item.id not in known:
                    unknown.append((item, recipients))
            return Reach(known, residents, len(list(policy.notices(unknown, now))))

    def _post(
        self,
        connection: Connection,
        row_id: str,
        *,
        channel: str,
        topic: str,
        citizen: str | None,
        subject: str,
        event_id: str,
        payload: Mapping[str, Any],
        moment: int,
        **lane: Any,
    ) -> int:
        position = (connection.execute(select(func.max(t.outbox.c.position))).scalar() or 0) + 1
        written = connection.execute(
            self._upsert(t.outbox)
            .values(
                id=row_id,
                position=position,
                channel=channel,
                topic=topic,
                citizen=citizen,
                subject=subject,
                event_id=event_id,
                payload=json.dumps(payload, ensure_ascii=False),
                attempts=0,
                next_at=moment,
                created_at=moment,
                **{"state": "pending", **lane},
            )
            .on_conflict_do_nothing(),
            execution_options=_COUNTED,
        )
        return int(written.rowcount)

    # -- the outbox -----------------------------------------------------------------------------

    def due(self, channel: str, now: int, limit: int) -> list[Row]:
        """Return rows to deliver, oldest first."""
        with self._read() as connection:
            rows = connection.execute(
                select(t.outbox)
                .where(t.outbox.c.channel == channel, t.outbox.c.state == "pending", t.outbox.c.next_at <= now)
                .order_by(t.outbox.c.position)
                .limit(limit)
            ).mappings()
            return [
                Row(r["id"], r["channel"], r["topic"], r["subject"], json.loads(r["payload"]), r["attempts"])
                for r in rows
            ]

    def sent(self, row_id: str, now: int) -> None:
        """Mark a row as done, and a message as received by its citizen."""
        with self._write() as connection:
            self._received(connection, row_id, now)
            self._set(connection, row_id, state="sent", done_at=now, code=None)

    def later(self, row_id: str, at: int, code: str) -> None:
        """Try again at a later moment."""
        self._mark(row_id, next_at=at, code=code)

    def refused(self, row_id: str, now: int, code: str) -> None:
        """Mark a row as refused for ever."""
        self._mark(row_id, state="refused", done_at=now, code=code)

    def _mark(self, row_id: str, **values: Any) -> None:
        with self._write() as connection:
            self._set(connection, row_id, **values)

    @staticmethod
    def _set(connection: Connection, row_id: str, **values: Any) -> None:
        connection.execute(
            update(t.outbox).where(t.outbox.c.id == row_id).values(attempts=t.outbox.c.attempts + 1, **values)
        )

    def outbox_counts(self) -> dict[tuple[str, str], int]:
        """Count rows by channel and state."""
        with self._read() as connection:
            rows = connection.execute(
                select(t.outbox.c.channel, t.outbox.c.state, func.count()).group_by(
                    t.outbox.c.channel, t.outbox.c.state
                )
            )
            return {(channel, state): count for channel, state, count in rows}

    def outbox_rows(self, channel: str) -> list[tuple[str, str]]:
        """Return id and state of every row of a channel, for the ledger."""
        with self._read() as connection:
            rows = connection.execute(select(t.outbox.c.id, t.outbox.c.state).where(t.outbox.c.channel == channel))
            return [(row_id, state) for row_id, state in rows]

    # -- reading ----------------------------------------------------------------------------------

    def linked_subjects(self, product: str, today: date | None = None) -> list[str]:
        """Return the ids of a product's subjects that somebody is linked to, without prefix, sorted."""
        day = today or datetime.now(CITY).date()
        prefix = f"{product}:"
        with self._read() as connection:
            rows = connection.execute(
                select(t.links.c.subject)
                .distinct()
                .where(t.links.c.subject.startswith(prefix, autoescape=True), holds_on(day))
            )
            return sorted(subject.removeprefix(prefix) for (subject,) in rows)

    def links_of(self, citizen: str, today: date | None = None) -> list[LinkShown]:
        """Return a citizen's open links."""
        day = today or datetime.now(CITY).date()
        with self._read() as connection:
            rows = connection.execute(
                select(t.links.c.subject, t.links.c.role, t.links.c.since, t.links.c.until, t.links.c.scope)
                .where(t.links.c.citizen == citizen, holds_on(day))
                .order_by(t.links.c.subject)
            )
            return [LinkShown(*row[:4], json.loads(row[4])) for row in rows]

    def proposals(self) -> list[Proposal]:
        """Return the links that wait for a clerk, oldest first."""
        p = t.proposals.c
        with self._read() as connection:
            rows = connection.execute(
                select(p.id, p.subject, p.citizen, p.role, p.scope, p.until, p.evidence, p.asked_at)
                .where(p.state == "pending")
                .order_by(p.asked_at, p.id)
            ).mappings()
            return [
                Proposal(**{**row, "scope": json.loads(row["scope"]), "evidence": json.loads(row["evidence"])})
                for row in rows
            ]

    def undecided(self) -> tuple[int, int | None]:
        """Count the links that wait for a clerk; return when the oldest was asked for as well, ms."""
        p = t.proposals.c
        with self._read() as connection:
            count, oldest = connection.execute(
                select(func.count(), func.min(p.asked_at)).where(p.state == "pending")
            ).one()
            return count, oldest

    def unmatched(self) -> list[Unmatched]:
        """Count the subjects that nobody is linked to, by product, oldest first."""
        e = t.entries.c
        linked = select(t.links.c.id).where(t.links.c.subject == e.subject, t.links.c.closed_at.is_(None)).exists()
        oldest = func.min(e.recorded_at)
        with self._read() as connection:
            rows = connection.execute(
                select(e.product, func.count(e.subject.distinct()), oldest)
                .where(e.audience == "person", not_(linked))
                .group_by(e.product)
                .order_by(oldest)
            )
            return [Unmatched(*row) for row in rows]

    def account(self, citizen: str, today: date | None = None) -> list[Shown]:
        """Return every entry of the citizen's linked subjects, in the promised order per subject."""
        return self.entries_of([link.subject for link in self.links_of(citizen, today)])

    def entries_of(self, subjects: Sequence[str]) -> list[Shown]:
        """Return every personal entry of some subjects, in the promised order per subject."""
        if not subjects:
            return []
        with self._read() as connection:
            about = among(connection, t.entries.c.subject, subjects)
            return self.shown(connection, and_(about, t.entries.c.audience == "person"))

    def public_entries(self, types: Collection[str]) -> list[Shown]:
        """Return the last entry of each public subject, of some types, unless it tells that the subject ended.

        An event about something public tells all of it; one whose name ends with `Ended`,
        `Removed` or `Deleted` tells that it is over.
        """
        e = t.entries.c
        with self._read() as connection:
            return self.shown(
                connection, and_(e.type.in_([name for name in types if not _ends(name)]), _last_public(t.entries))
            )

    @staticmethod
    def shown(connection: Connection, condition: Any, limit: int | None = None) -> list[Shown]:
        """Return entries in the promised order per subject, the first ones if there is a limit."""
        e = t.entries.c
        rows = connection.execute(
            select(
                e.event_id,
                e.type,
                e.subject,
                e.product,
                e.occurred_at,
                e.read_at,
                e.rev,
                e.seq_epoch,
                e.seq_offset,
                e.seq_index,
                e.payload,
            )
            .where(condition)
            .order_by(e.subject, e.seq_epoch, e.seq_offset, e.seq_index)
            .limit(limit)
        )
        return [Shown(*row[:7], Seq(*row[7:10]), json.loads(row[10])) for row in rows]

    def titles(self, catalogue: str, records: Collection[str]) -> dict[str, str]:
        """Return the titles of a catalogue's records, by their number in it; what it does not know is left out.

        `catalogue` is the product that tells of the catalogue.  Its identifiers differ in the number behind the
        last colon only: so much of one is every other's.
        """
        e = t.entries.c
        changed = "hub.library.CatalogueRecordChanged"
        with self._read() as connection:
            one = connection.execute(
                select(e.subject)
                .where(e.type == changed, e.product == catalogue)
                .order_by(e.seq_epoch.desc(), e.seq_offset.desc(), e.seq_index.desc())
                .limit(1)
            ).scalar()
            if one is None:
                return {}
            before = one[: one.rfind(":") + 1]
            found: dict[str, str] = {}
            subjects = sorted({f"{before}{number}" for number in records})
            for shown in self.shown(connection, and_(among(connection, e.subject, subjects), _last_public(t.entries))):
                if shown.type == changed and shown.payload["title"]:
                    found[shown.payload["local_id"]] = shown.payload["title"]
        return found

    def knows(self, citizen: str) -> bool:
        """Tell whether the citizen ever asked for anything, or has been given a link."""
        with self._read() as connection:
            asked = select(t.commands.c.event_id).where(t.commands.c.citizen == citizen).limit(1)
            given = select(t.links.c.id).where(t.links.c.citizen == citizen).limit(1)
            return any(connection.execute(query).first() is not None for query in (asked, given))

    def lines_of(self, citizen: str) -> list[str]:
        """Return the lines that a citizen asked about."""
        with self._read() as connection:
            rows = connection.execute(
                select(t.interest.c.line).where(t.interest.c.citizen == citizen).order_by(t.interest.c.line)
            )
            return [line for (line,) in rows]

    def polled(self, product: str, at: int) -> None:
        """Remember a good poll."""
        with self._write() as connection:
            self._known(connection, product, at)

    def _known(self, connection: Connection, product: str, at: int, every: int = 0) -> None:
        connection.execute(
            self._upsert(t.sources)
            .values(product=product, known_at=at)
            .on_conflict_do_update(
                index_elements=["product"], set_={"known_at": at}, where=t.sources.c.known_at + every < at
            )
        )

    def freshness(self) -> dict[str, int]:
        """Return the moment up to which each product is known: its last good poll, or its last event, to a second."""
        with self._read() as connection:
            return {row.product: row.known_at for row in connection.execute(select(t.sources))}

    def facts(self, fact: str) -> list[tuple[str, str, str, int]]:
        """Count facts by period, place and kind."""
        f = t.facts.c
        with self._read() as connection:
            rows = connection.execute(
                select(f.period, f.place, f.kind, func.count())
                .where(f.fact == fact)
                .group_by(f.period, f.place, f.kind)
            )
            return [(period, place, kind, count) for period, place, kind, count in rows]

    def stored(self) -> list[Stored]:
        """Return every event that stands in SQL, commands included, for the ledger."""
        with self._read() as connection:
            found: list[Stored] = []
            for table in (t.entries, t.commands):
                c = table.c
                occurred = t.entries.c.occurred_at if table is t.entries else c.read_at
                rows = connection.execute(
                    select(c.event_id, c.type, c.subject, c.product, c.read_at, c.recorded_at, occurred)
                )
                found.extend(Stored(*row) for row in rows)
            return found

    def counts(self) -> dict[str, int]:
        """Count what there is, for the operations page."""
        with self._read() as connection:
            totals = {
                name: connection.execute(select(func.count()).select_from(table)).scalar() or 0
                for name, table in (("entries", t.entries), ("commands", t.commands), ("facts", t.facts))
            }
            totals["open links"] = (
                connection.execute(
                    select(func.count()).select_from(t.links).where(t.links.c.closed_at.is_(None))
                ).scalar()
                or 0
            )
            return totals

    # -- retention and erasure ----------------------------------------------------------------------

    def purge(self, now: datetime, days: int = 90) -> int:
        """Forget what is so many days old: for clerks, personal and never linked, public and ended or outdone.

        Return how many entries are gone.
        """
        limit = int((now - timedelta(days=days)).timestamp() * 1000)
        ever = select(t.links.c.subject)
        end = t.entries.alias("ends")
        with self._write() as connection:
            said = connection.execute(select(t.entries.c.type).where(t.entries.c.audience == "public").distinct())
            ended = select(end.c.subject).where(
                end.c.type.in_([name for name in said.scalars() if _ends(name)]),
                end.c.recorded_at < limit,
                _last_public(end),
            )
            gone = connection.execute(
                delete(t.entries).where(
                    or_(
                        and_(
                            t.entries.c.audience == "person",
                            t.entries.c.recorded_at < limit,
                            t.entries.c.subject.not_in(ever),
                        ),
                        and_(t.entries.c.audience == "clerk", t.entries.c.recorded_at < limit),
                        and_(t.entries.c.audience == "public", t.entries.c.subject.in_(ended)),
                        and_(
                            t.entries.c.audience == "public",
                            t.entries.c.recorded_at < limit,
                            not_(_last_public(t.entries)),
                        ),
                    )
                )
            )
            stale = int(now.timestamp() * 1000)
            connection.execute(delete(t.logins).where(t.logins.c.expires_at < stale))
            connection.execute(delete(t.sessions).where(t.sessions.c.expires_at < stale))
            connection.execute(delete(t.sign_ins).where(t.sign_ins.c.expires_at < stale))
            # Whoever tries next forgets them too; nobody may have tried since.
            connection.execute(delete(t.tries).where(t.tries.c.at < stale - 3_600_000))
            year = int((now - timedelta(days=DISCLOSED_DAYS)).timestamp() * 1000)
            connection.execute(delete(t.disclosures).where(t.disclosures.c.at < year))
            connection.execute(delete(t.mandates).where(t.mandates.c.ended_at < year))
            long_over = (now - timedelta(days=DISCLOSED_DAYS)).date().isoformat()
            connection.execute(delete(t.mandates).where(t.mandates.c.until < long_over))
            # What was decided stays, and by whom; what it was decided by does not.
            connection.execute(
                update(t.proposals)
                .where(t.proposals.c.decided_at < limit, t.proposals.c.evidence != "[]")
                .values(evidence="[]")
            )
            # What was mailed is forgotten; that it was mailed stays, so that it is not mailed again.
            connection.execute(
                update(t.outbox)
                .where(t.outbox.c.channel != "identity", t.outbox.c.done_at < limit, t.outbox.c.payload != "{}")
                .values(payload="{}", citizen=None)
            )
            return int(gone.rowcount)

    def erase(self, citizen: str, now: datetime) -> Erased:
        """Delete what SQL holds of a citizen, and of subjects that nobody else was ever linked to.

        The ids of the citizen's commands stay, without what they said: a redelivery must not link again.
        """
        moment = int(now.timestamp() * 1000)
        with self._write() as connection:
            about = select(t.links.c.subject).distinct().where(t.links.c.citizen == citizen)
            subjects = sorted(connection.execute(about).scalars())
            for subject in subjects:
                self._hold(connection, subject)
            links = connection.execute(delete(t.links).where(t.links.c.citizen == citizen)).rowcount
            mails = connection.execute(delete(t.outbox).where(t.outbox.c.citizen == citizen)).rowcount
            entries = 0
            for subject in subjects:
                # Former sets of links name the citizen; the next one supersedes those that wait.
                connection.execute(
                    delete(t.outbox).where(t.outbox.c.channel == "identity", t.outbox.c.subject == subject)
                )
                self._tell_links(connection, subject, "erase", moment)
                others = select(t.links.c.id).where(t.links.c.subject == subject)
                if connection.execute(others.limit(1)).first() is None:
                    mine = and_(t.entries.c.subject == subject, t.entries.c.audience == "person")
                    entries += connection.execute(delete(t.entries).where(mine)).rowcount
            personal = (t.disclosures, t.identities, t.sign_ins, t.mandates)
            for table in (t.preferences, t.stopped, t.interest, t.logins, t.sessions, t.proposals, *personal):
                connection.execute(delete(table).where(table.c.citizen == citizen))
            connection.execute(
                update(t.commands)
                .where(t.commands.c.citizen == citizen)
                .values(citizen="", subject="", about="", result="erased")
            )
            connection.execute(update(t.commands).where(t.commands.c.about == citizen).values(about=""))
            return Erased(links, entries, mails)

    # -- who is there -------------------------------------------------------------------------------

    def make_login(self, citizen: str, now: datetime, minutes: int = 15) -> str:
        """Make a one-time login token; only its hash is kept."""
        token = secrets.token_urlsafe(32)
        with self._write() as connection:
            connection.execute(
                insert(t.logins).values(
                    token_hash=_hash(token),
                    citizen=citizen,
                    expires_at=int((now + timedelta(minutes=minutes)).timestamp() * 1000),
                    used=False,
                )
            )
        return token

    def use_login(self, token: str, now: datetime, hours: int = 8) -> str | None:
        """Turn a login token into a session token, once; None when it is unknown, used or too old."""
        moment = int(now.timestamp() * 1000)
        with self._write() as connection:
            used = connection.execute(
                update(t.logins)
                .where(
                    t.logins.c.token_hash == _hash(token), t.logins.c.used.is_(False), t.logins.c.expires_at > moment
                )
                .values(used=True)
            )
            if used.rowcount == 0:
                return None
            citizen = connection.execute(
                select(t.logins.c.citizen).where(t.logins.c.token_hash == _hash(token))
            ).scalar_one()
            return self.open_session(connection, citizen, now, hours)

    @staticmethod
    def open_session(connection: Connection, citizen: str, now: datetime, hours: int = 8) -> str:
        """Open a session for a citizen whose identity is certain; only the hash of its token is kept."""
        session = secrets.token_urlsafe(32)
        connection.execute(
            insert(t.sessions).values(
                token_hash=_hash(session),
                citizen=citizen,
                created_at=int(now.timestamp() * 1000),
                expires_at=int((now + timedelta(hours=hours)).timestamp() * 1000),
            )
        )
        return session

    def session(self, token: str, now: datetime) -> str | None:
        """Return whose session it is; None when it is unknown or over."""
        with self._read() as connection:
            return connection.execute(
                select(t.sessions.c.citizen).where(
                    t.sessions.c.token_hash == _hash(token),
                    t.sessions.c.expires_at > int(now.timestamp() * 1000),
                )
            ).scalar()

    def end_session(self, token: str) -> None:
        """Forget a session."""
        with self._write() as connection:
            connection.execute(delete(t.sessions).where(t.sessions.c.token_hash == _hash(token)))


def _ends(name: str) -> bool:
    """Tell whether an event of this type says that something is over."""
    return name.endswith(("Ended", "Removed", "Deleted"))


@cache
def _last_public(entries: FromClause) -> ColumnElement[bool]:
    """Tell whether an entry is public, and the last of its subject."""
    later = t.entries.alias("later")
    e, o = entries.c, later.c
    follows = tuple_(o.seq_epoch, o.seq_offset, o.seq_index) > tuple_(e.seq_epoch, e.seq_offset, e.seq_index)
    # Not a parameter: only then is the index for public entries known to be enough.
    public: ColumnElement[str] = literal_column("'public'")
    same = and_(o.subject == e.subject, o.audience == public)
    return and_(e.audience == public, not_(select(o.event_id).where(same, follows).exists()))


def _refusal(error: OperationalError) -> str | None:
    """Return what has to be put right, if waiting does not; never the error's text, which may quote values."""
    state = getattr(error.orig, "sqlstate", None) or ""
    words = str(error.orig)
    if state.startswith("28") or "authentication failed" in words or "no password supplied" in words:
        return "the database refuses the user or the password; correct store.url and store.password_file"
    if state == "3D000" or ("database" in words and "does not exist" in words):
        return "there is no such database on the server; create it, or correct store.url"
    return None


def _trouble(error: OperationalError) -> str:
    """Name what waiting may end; never by the error's text, which may quote values."""
    code = _sqlite_code(error)
    if code == sqlite3.SQLITE_FULL or getattr(error.orig, "sqlstate", None) == "53100":
        return "disk full"
    if code == sqlite3.SQLITE_BUSY:
        return "another process holds it"
    return type(error.orig).__name__


def _sqlite_code(error: OperationalError) -> int:
    """Return SQLite's code without what it says beyond that; 0 of another database's error."""
    return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # Let SQLAlchemy's own BEGIN rule: the driver's implicit one starts too late for a writer.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # FULL: a committed offset in Kafka must never be ahead of what a power cut leaves here.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute(f"PRAGMA busy_timeout={_PATIENCE * 1000}")
    cursor.close()


def _begin(connection: Connection) -> None:
    # A reader that becomes a writer in the middle cannot wait for another writer: it fails at once.
    # So who will write says so at the start.
    if connection.get_execution_options().get("hub_write"):
        _begin_to_write(connection)
    else:
        connection.exec_driver_sql("BEGIN")


def _begin_to_write(connection: Connection) -> None:
    # SQLite looks the more seldom the longer it has waited, at last every 100 ms, and there is no queue: beside a
    # worker that writes all the time a resident's page would come to its turn by luck.
    limit = time.monotonic() + _PATIENCE
    connection.exec_driver_sql("PRAGMA busy_timeout=0").close()
    try:
        while True:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            except OperationalError as error:
                if _sqlite_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > limit:
                    raise
                time.sleep(_LOOK)
            else:
                return
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={_PATIENCE * 1000}").close()

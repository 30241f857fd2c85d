"""Notices in SQL: whom to tell by which wishes, what waits for its moment, and how a row fares at its sink."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, time
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Table, and_, case, delete, func, not_, or_, select, update

from hub.model.disclosure import Disclosure
from hub.model.notice import EVERYTHING, Again, Notice, Recipient, Urgency, Waiting
from hub.store import tables as t
from hub.store.links import holds_on
from hub.store.many import among, look_up

CITY = ZoneInfo("Europe/Paris")
CHANNELS = {"MAIL": "mail", "SMS": "sms", "APP": "app"}
PEOPLE = tuple(CHANNELS.values())
"""Channels that reach people."""
SELF = "SELF"
"""Role of a citizen whom the subject is about."""
OPEN = ("pending", "waiting")
"""States of rows that nothing has become of yet."""


class Parcel(NamedTuple):
    """A row of the outbox that a sink is about to take to its address."""

    id: str
    channel: str
    topic: str
    citizen: str | None
    subject: str
    payload: Mapping[str, Any]
    attempts: int
    until: int | None
    begun: bool
    """Whether a former try may have reached the provider without our hearing of it."""


class Notices:
    """The part of the store that is about notices."""

    _read: Callable[[], AbstractContextManager[Connection]]
    _write: Callable[[], AbstractContextManager[Connection]]
    _upsert: Callable[[Table], Any]
    _set: Callable[..., None]
    _mark: Callable[..., None]

    # -- whom to tell ---------------------------------------------------------------------------

    def _recipients(self, connection: Connection, citizens: Sequence[str], now: datetime) -> dict[str, Recipient]:
        """Return those of the citizens who ever said what they wish to be told."""
        p, o = t.preferences.c, t.outbox.c
        columns = (p.email, p.topics, p.phone, p.channel, p.digest)
        wishes = {row[0]: row[1:] for row in look_up(connection, p.citizen, citizens, p.citizen, *columns)}
        stopped: dict[str, set[tuple[str, str]]] = {}
        for citizen, channel, topic in look_up(
            connection, t.stopped.c.citizen, wishes, t.stopped.c.citizen, t.stopped.c.channel, t.stopped.c.topic
        ):
            stopped.setdefault(citizen, set()).add((channel, topic))
        midnight = datetime.combine(now.astimezone(CITY).date(), time(), CITY)
        gone = and_(o.state.in_(("sent", "unsure")), o.done_at >= int(midnight.timestamp() * 1000))
        today = or_(o.state == "pending", gone)
        told = Counter(citizen for (citizen,) in look_up(connection, o.citizen, wishes, o.citizen, where=today))
        return {
            citizen: Recipient(
                citizen,
                email,
                frozenset(json.loads(topics)),
                phone,
                channel,
                bool(digest),
                frozenset(stopped.get(citizen, ())),
                told[citizen],
            )
            for citizen, (email, topics, phone, channel, digest) in wishes.items()
        }

    @staticmethod
    def _lane(notice: Notice) -> dict[str, Any]:
        """Return the columns that say when a notice goes out."""
        return {
            "state": "pending" if notice.due_at is None else "waiting",
            "urgency": str(notice.urgency),
            "until": notice.until,
            "due_at": notice.due_at,
            "digest": notice.digest,
            "cut_off": notice.cut_off,
        }

    # -- what waits for its moment ----------------------------------------------------------------

    def decide_again(
        self,
        policy: Callable[[Sequence[Waiting], Mapping[str, Recipient]], Iterable[Again]],
        now: datetime,
        limit: int = 500,
    ) -> dict[str, int]:
        """Decide notices that are due, all of a citizen at once, in one transaction; count what became of them."""
        moment = int(now.timestamp() * 1000)
        o = t.outbox.c
        due = and_(o.state == "waiting", o.due_at <= moment)
        found: dict[str, int] = {}
        with self._read() as connection:
            # Often nothing is, and whoever writes keeps others from writing.
            if connection.execute(select(o.id).where(due).limit(1)).first() is None:
                return found
        with self._write() as connection:
            citizens = sorted(
                connection.execute(
                    select(o.citizen).where(due, o.citizen.is_not(None)).distinct().limit(limit)
                ).scalars()
            )
            # By whom, not by how many rows: half a digest would make two messages.
            audience = select(t.entries.c.audience).where(t.entries.c.event_id == o.event_id).scalar_subquery()
            rows = list(
                look_up(
                    connection,
                    o.citizen,
                    citizens,
                    *(
                        o.id,
                        o.channel,
                        o.topic,
                        o.citizen,
                        o.payload,
                        o.urgency,
                        o.until,
                        o.digest,
                        o.subject,
                        audience,
                    ),
                    where=due,
                )
            )
            concerned = self._still_concerned(connection, [(row[3], row[8], row[2]) for row in rows], now)
            waiting = [
                Waiting(
                    id=row[0],
                    channel=row[1],
                    topic=row[2],
                    citizen=row[3],
                    payload=json.loads(row[4]),
                    urgency=Urgency(row[5]),
                    until=row[6],
                    digest=bool(row[7]),
                    # Of what is public there is no link: the wish is enough.
                    concerned=row[9] == "public" or (row[3], row[8], row[2]) in concerned,
                )
                for row in rows
            ]
            for again in policy(waiting, self._recipients(connection, citizens, now)):
                values: dict[str, Any] = {"state": again.state, "code": again.code}
                if again.due_at is not None:
                    values.update(due_at=again.due_at, digest=again.digest)
                if again.state not in OPEN:
                    values["done_at"] = moment
                if again.channel is not None:
                    values["channel"] = again.channel
                if again.payload is not None:
                    values["payload"] = json.dumps(again.payload, ensure_ascii=False)
                connection.execute(update(t.outbox).where(o.id == again.id, o.state == "waiting").values(**values))
                found[again.state] = found.get(again.state, 0) + 1
        return found

    def _still_concerned(
        self, connection: Connection, wanted: Collection[tuple[str, str, str]], now: datetime
    ) -> set[tuple[str, str, str]]:
        """Return those of citizen, subject and topic that a link shows today."""
        links = t.links.c
        subjects = sorted({subject for _, subject, _ in wanted})
        columns = (links.citizen, links.subject, links.scope)
        linked = look_up(connection, links.subject, subjects, *columns, where=holds_on(now.astimezone(CITY).date()))
        scopes = {(citizen, subject): json.loads(scope) for citizen, subject, scope in linked}
        return {
            (citizen, subject, topic)
            for citizen, subject, topic in wanted
            if (scope := scopes.get((citizen, subject))) is not None and (not scope or topic in scope)
        }

    def queued(self, now: int, by: int) -> list[tuple[str, str, str, int, int, int]]:
        """Return what has not gone out and has to by a moment: its cut-off that is to come, or until it is of no use.

        Channel, lane, topic, when it has to, when it may go out, and how many of its lane go out up to it.
        """
        o = t.outbox.c
        rank = func.row_number().over(partition_by=(o.channel, o.urgency, o.state), order_by=o.position)
        starts = case((o.state == "waiting", o.due_at), else_=o.next_at)
        until = case((o.cut_off > now, o.cut_off), else_=o.until)
        ranked = select(
            o.channel, o.urgency, o.topic, until.label("until"), starts.label("starts"), rank.label("rank"), o.state
        ).where(o.state.in_(OPEN)).subquery()  # fmt: skip
        with self._read() as connection:
            # What the city's own quiet hours outlast is nobody's failure.
            meant = and_(ranked.c.state == "waiting", ranked.c.starts >= ranked.c.until)
            columns = [column for column in ranked.c if column.name != "state"]
            rows = connection.execute(select(*columns).where(ranked.c.until <= by, not_(meant)))
            return [tuple(row) for row in rows]

    def lanes(self, now: int, over: int) -> dict[tuple[str, str], tuple[int | None, int]]:
        """Return of each lane since when its next row waits, and how many went out in the last `over` milliseconds."""
        o = t.outbox.c
        due = and_(o.state == "pending", o.until.is_not(None), or_(o.next_at <= now, o.attempts > 0))
        gone = and_(o.state == "sent", o.done_at > now - over)
        # A notice that waited for its moment is due since then, not since it was written.
        since = func.min(case((due, func.coalesce(o.due_at, o.created_at))))
        with self._read() as connection:
            rows = connection.execute(
                select(o.channel, o.urgency, since, func.sum(case((gone, 1), else_=0)))
                .where(or_(due, gone))
                .group_by(o.channel, o.urgency)
            )
            return {(channel, urgency): (oldest, int(sent)) for channel, urgency, oldest, sent in rows}

    # -- at the sink --------------------------------------------------------------------------------

    def parcels(self, channel: str, urgency: Urgency, now: int, limit: int) -> list[Parcel]:
        """Return rows of one lane to deliver, oldest first."""
        o = t.outbox.c
        with self._read() as connection:
            rows = connection.execute(
                select(o.id, o.channel, o.topic, o.citizen, o.subject, o.payload, o.attempts, o.until, o.begun_at)
                .where(o.channel == channel, o.state == "pending", o.urgency == str(urgency), o.next_at <= now)
                .order_by(o.position)
                .limit(limit)
            )
            return [Parcel(*row[:5], json.loads(row[5]), row[6], row[7], row[8] is not None) for row in rows]

    def begin(self, row_id: str, now: int) -> None:
        """Remember, before a provider is asked to take a row, that it may have it from now on."""
        with self._write() as connection:
            connection.execute(update(t.outbox).where(t.outbox.c.id == row_id).values(begun_at=now))

    def postponed(self, row_id: str, at: int, code: str) -> None:
        """Try again at a later moment what the provider certainly does not have."""
        self._mark(row_id, next_at=at, code=code, begun_at=None)

    def ended(self, row_id: str, now: int, state: str, code: str) -> None:
        """Mark a row as done in another way than sent or refused: `expired`, `unsure`."""
        with self._write() as connection:
            if state == "unsure":
                self._received(connection, row_id, now)
            self._set(connection, row_id, state=state, done_at=now, code=code)

    def _received(self, connection: Connection, row_id: str, now: int) -> None:
        """Write down once what a citizen received, or may have: by which channel, about which topics."""
        o = t.outbox.c
        # By citizen: no index finds what was folded.
        owner = select(o.citizen).where(o.id == row_id).scalar_subquery()
        about = select(o.id, o.citizen, o.channel, o.topic).where(o.citizen == owner, self._of_message(row_id))
        rows = connection.execute(about).all()
        for message in (row for row in rows if row.id == row_id):
            told = Disclosure(message.citizen, now, message.channel, "notice", {row.topic for row in rows})
            connection.execute(self._upsert(t.disclosures).values(**told.row(row_id)).on_conflict_do_nothing())

    @staticmethod
    def _of_message(row_id: str) -> Any:
        """Return the condition that a row is a message or was folded into it: a digest is about all of its rows."""
        o = t.outbox.c
        return or_(o.id == row_id, and_(o.state == "folded", o.code == row_id))

    def receipt(self, row_id: str, now: int, arrived: bool, code: str) -> Parcel | None:
        """Note what a provider says later of a row that it took; None: there is no such row, or it said so before."""
        o = t.outbox.c
        with self._write() as connection:
            noted = connection.execute(
                update(t.outbox)
                .where(o.id == row_id, o.state.in_(("pending", "sent", "unsure")))
                .values(state="sent" if arrived else "refused", done_at=now, code=code)
            )
            if noted.rowcount == 0:
                return None
            if arrived:
                self._received(connection, row_id, now)
            row = connection.execute(
                select(o.id, o.channel, o.topic, o.citizen, o.subject, o.payload, o.attempts, o.until).where(
                    o.id == row_id
                )
            ).one()
            return Parcel(*row[:5], json.loads(row[5]), row[6], row[7], begun=True)

    # -- what goes to somebody no more ----------------------------------------------------------------

    def stop(
        self,
        citizen: str,
        reason: str,
        now: int,
        *,
        channel: str = EVERYTHING,
        topic: str = EVERYTHING,
        address: str = "",
        within: Connection | None = None,
    ) -> None:
        """Let nothing more go to a citizen by a channel about a topic; an `address` bounds it to that address.

        `within` is the transaction that it is a part of, if it is of one.
        """
        values = {"reason": reason, "address_hash": address_hash(address) if address else None, "at": now}
        # What waits is decided again when it is due; what would go out now must not.
        o = t.outbox.c
        about = [o.citizen == citizen, o.state == "pending", o.channel.in_(PEOPLE)]
        if channel != EVERYTHING:
            about.append(o.channel == channel)
        if topic != EVERYTHING:
            about.append(o.topic == topic)
        with self._write() if within is None else nullcontext(within) as connection:
            connection.execute(
                self._upsert(t.stopped)
                .values(citizen=citizen, channel=channel, topic=topic, **values)
                .on_conflict_do_update(index_elements=["citizen", "channel", "topic"], set_=values)
            )
            connection.execute(update(t.outbox).where(*about).values(state="unwanted", done_at=now, code=reason))

    def _stop_for_the_dead(
        self, connection: Connection, subjects: Collection[str], deaths: Collection[str], now: datetime
    ) -> None:
        """Let nothing more go to whoever is what one of the subjects is about, if an event of `deaths` is about it.

        Others who are linked to it hear on.
        """
        e, links = t.entries.c, t.links.c
        dead = (
            select(links.citizen)
            .distinct()
            .join_from(t.links, t.entries, e.subject == links.subject)
            .where(among(connection, links.subject, sorted(subjects)), e.type.in_(deaths))
            .where(links.role == SELF, holds_on(now.astimezone(CITY).date()))
            .order_by(links.citizen)
        )
        for citizen in connection.execute(dead).scalars().all():
            self.stop(citizen, "death", int(now.timestamp() * 1000), within=connection)

    def unsubscribe(self, row_id: str, now: int) -> bool:
        """Let nothing more go out like a row: to its citizen, about its topics; False: nobody knows it any more."""
        o = t.outbox.c
        with self._read() as connection:
            told = connection.execute(select(o.citizen, o.topic).where(self._of_message(row_id))).all()
        wanted = sorted({(citizen, topic) for citizen, topic in told if citizen is not None})
        for citizen, topic in wanted:
            self.stop(citizen, "unsubscribed", now, topic=topic)
        return bool(wanted)

    def opt_out(self, number: str, now: int) -> None:
        """Send no more short messages to a number, whatever they are about and whoever has it."""
        p = t.preferences.c
        with self._write() as connection:
            for citizen in connection.execute(select(p.citizen).where(p.phone == number)).scalars().all():
                self.stop(citizen, "unsubscribed", now, channel="sms", within=connection)

    def _lift(self, connection: Connection, citizen: str, at: int, addresses: Sequence[str | None]) -> None:
        """Forget stops that a citizen's own later word ends: they asked again, or named another address."""
        s = t.stopped.c
        known = [address_hash(address) for address in addresses if address]
        connection.execute(
            delete(t.stopped).where(
                s.citizen == citizen,
                s.at < at,
                or_(s.reason == "unsubscribed", and_(s.reason == "bounced", s.address_hash.not_in(known))),
            )
        )

    def hear_again(self, citizen: str) -> bool:
        """End a silence that was another's death or opposition; False: there is none.  What was held back stays."""
        s = t.stopped.c
        with self._write() as connection:
            ended = connection.execute(
                delete(t.stopped).where(s.citizen == citizen, s.reason.in_(("death", "opposition")))
            )
            return ended.rowcount > 0

    def stops(self) -> dict[str, int]:
        """Count what goes to somebody no more, by reason."""
        with self._read() as connection:
            rows = connection.execute(select(t.stopped.c.reason, func.count()).group_by(t.stopped.c.reason))
            return {row[0]: row[1] for row in rows}


def address_hash(address: str) -> str:
    """Return what is kept of an address that takes nothing."""
    return hashlib.sha256(address.encode()).hexdigest()

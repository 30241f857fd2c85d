"""When people are told: quiet hours, digests, caps, cut-offs, and what has become of no use."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.calendar import CutOff, is_school_day, is_working_day
from hub.delivery.words import compose
from hub.model.notice import Notice, Recipient, Urgency, Waiting
from hub.store.notices import Parcel
from schemas.models.civil_registry import RecordRequested, RequestStatusChanged, Status
from schemas.models.library import HoldReady, LoanOverdue
from schemas.models.school_catering import AbsenceRecorded, Activity, MealBooked, MealCancelled
from streams.notify import DIGEST, FRESH, RULES, Manners, again, decide

PARIS = ZoneInfo("Europe/Paris")
CITY = Manners(time(21), time(7), 10, time(18), working_days=True, cut_off=CutOff(0, time(9), "A"))
TOPICS = frozenset({"canteen", "library", "requests", "disruptions"})
ANNE = Recipient("a", "anne@example.org", TOPICS)
TUESDAY = date(2026, 3, 10)


class Told(NamedTuple):
    """An event."""

    payload: Any
    read_at: int
    id: str = "e1"
    subject: str = "s"
    replay: bool = False
    age: timedelta = timedelta(0)
    """How long before it was read it happened."""

    @property
    def type(self) -> str:
        """Full name."""
        return str(self.payload.TYPE)

    @property
    def time(self) -> int:
        """When it happened."""
        return self.read_at - int(self.age / timedelta(milliseconds=1))


def at(hour: int, minute: int = 0, day: date = TUESDAY) -> datetime:
    return datetime.combine(day, time(hour, minute), PARIS).astimezone(UTC)


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def tell(payload: Any, now: datetime, *recipients: Recipient, manners: Manners = CITY, **about: Any) -> list[Notice]:
    event = Told(payload, milliseconds(now), **about)
    return list(decide([(event, recipients or (ANNE,))], now, manners))


def due(notice: Notice) -> datetime | None:
    return datetime.fromtimestamp(notice.due_at / 1000, PARIS) if notice.due_at is not None else None


def waiting(notice: Notice, **changes: Any) -> Waiting:
    """Return a notice as it comes back when it is due."""
    n = notice
    row = Waiting(n.id, n.channel, n.topic, n.citizen, n.payload, n.urgency, n.until, n.digest, concerned=True)
    return row._replace(**changes)


def test_in_quiet_hours_only_what_is_urgent_goes_out() -> None:
    """The rest waits for the morning."""
    (hold,) = tell(HoldReady(), at(22))
    assert due(hold) == datetime(2026, 3, 11, 7, 0, tzinfo=PARIS)
    (hold,) = tell(HoldReady(), at(6, 59))
    assert due(hold) == datetime(2026, 3, 10, 7, 0, tzinfo=PARIS)
    (absence,) = tell(AbsenceRecorded(meal_date=TUESDAY), at(22))
    assert (absence.urgency, absence.due_at) == (Urgency.URGENT, None)
    (hold,) = tell(HoldReady(), at(7))
    assert hold.due_at is None


def test_quiet_hours_may_lie_within_a_day() -> None:
    """A city that lets people have their lunch."""
    lunch = CITY._replace(quiet_from=time(12), quiet_until=time(14))
    (hold,) = tell(HoldReady(), at(13), manners=lunch)
    assert due(hold) == datetime(2026, 3, 10, 14, 0, tzinfo=PARIS)
    for hour in (11, 14, 23):
        assert tell(HoldReady(), at(hour), manners=lunch)[0].due_at is None


def test_two_facts_that_are_known_at_once_are_one_message() -> None:
    """Two children, one parent; another parent has one of their own."""
    marc = Recipient("m", "marc@example.org", TOPICS)
    lunch = MealBooked(meal_date=TUESDAY, activity=Activity.LUNCH)
    events = [(Told(lunch, milliseconds(at(8)), f"e{n}", f"child:{n}"), [ANNE, marc]) for n in (1, 2)]
    notices = decide(events, at(8), CITY)
    assert [(n.citizen, len(n.payload["more"])) for n in notices] == [("a", 1), ("m", 1)]
    row = notices[0]
    parcel = Parcel(row.id, "mail", row.topic, "a", row.subject, row.payload, 0, None, begun=False)
    message = compose(parcel, None)
    assert message.subject == "Cantine : réservations enregistrées (2)"
    assert message.text.count("- déjeuner, mardi 10 mars (annulable jusqu'au mardi 10 mars à 09:00)\n") == 2


@pytest.mark.parametrize(("hour", "minute", "says"), [(8, 50, True), (9, 5, False)])
def test_what_can_still_be_done_is_said_until_the_cut_off(hour: int, minute: int, says: bool) -> None:
    """At 09:05 nobody reads that they can cancel until 09:00."""
    (notice,) = tell(MealBooked(meal_date=TUESDAY), at(hour, minute))
    assert ("cancel_until" in notice.payload["values"]) == says
    assert (notice.until == milliseconds(at(9))) == says


def test_an_offer_that_waited_past_its_cut_off_is_not_sent() -> None:
    """Decided again at 09:05, it expires."""
    (notice,) = tell(MealBooked(meal_date=TUESDAY), at(6))
    assert due(notice) == datetime(2026, 3, 10, 7, 0, tzinfo=PARIS)
    assert [d.state for d in again([waiting(notice)], {"a": ANNE}, at(8, 59), CITY)] == ["pending"]
    assert [d.state for d in again([waiting(notice)], {"a": ANNE}, at(9, 5), CITY)] == ["expired"]


def test_a_cancellation_is_to_be_told_by_the_cut_off_and_is_of_use_after_it() -> None:
    """Until then it can be put right; who reads it later has to know all the same."""
    cancelled = MealCancelled(meal_date=TUESDAY)
    (notice,) = tell(cancelled, at(8))
    assert (notice.cut_off, notice.until) == (milliseconds(at(9)), milliseconds(at(8) + timedelta(days=3)))
    assert "cancel_until" not in notice.payload["values"]
    assert tell(cancelled, at(9))[0].cut_off is None
    two = [(Told(MealCancelled(meal_date=day), milliseconds(at(8)), f"{day}"), [ANNE])
           for day in (date(2026, 3, 12), TUESDAY)]  # fmt: skip
    (together,) = decide(two, at(8), CITY)
    assert together.cut_off == milliseconds(at(9))
    assert tell(HoldReady(), at(8))[0].cut_off is None


def test_who_asked_for_a_digest_gets_one_message_a_day() -> None:
    """Urgent things come at once all the same; one thing alone is told as itself."""
    daily = ANNE._replace(digest=True)
    rows = [tell(HoldReady(), at(10), daily, id=f"e{n}")[0] for n in (1, 2)]
    assert {due(row) for row in rows} == {datetime(2026, 3, 10, 18, 0, tzinfo=PARIS)}
    assert tell(AbsenceRecorded(meal_date=TUESDAY), at(10), daily)[0].due_at is None
    first, folded = again([waiting(row) for row in rows], {"a": daily}, at(18), CITY)
    assert (first.state, first.payload and first.payload["template"]) == ("pending", DIGEST)
    assert (folded.state, folded.code) == ("folded", first.id)
    assert first.payload is not None
    message = compose(Parcel(first.id, "mail", "library", "a", "s", first.payload, 0, None, begun=False), None)
    assert message.text.count("Un document que vous avez réservé vous attend.") == 2
    assert message.text.count("Bonjour") == message.text.count("Vous recevez ce message") == 1
    (alone,) = again([waiting(rows[0])], {"a": daily}, at(18), CITY)
    assert (alone.payload or {})["template"] == "hold_ready"


def test_a_digest_that_would_come_too_late_is_not_waited_for() -> None:
    """What ends at 09:00 is told at 08:00."""
    (notice,) = tell(MealBooked(meal_date=TUESDAY), at(8), ANNE._replace(digest=True))
    assert (notice.due_at, notice.digest) == (None, False)


def test_beyond_the_cap_notices_come_with_the_digest() -> None:
    """Within one batch too; nothing is dropped."""
    events = [(Told(HoldReady(), milliseconds(at(10)), f"e{n}"), [ANNE._replace(told=9)]) for n in range(3)]
    apart = [decide([event], at(10), CITY)[0] for event in events]
    assert all(notice.due_at is None for notice in apart)
    kinds = [HoldReady(), LoanOverdue(), MealBooked(meal_date=TUESDAY)]
    mixed = [(Told(kind, milliseconds(at(10)), f"e{n}"), [ANNE._replace(told=9)]) for n, kind in enumerate(kinds)]
    assert [notice.digest for notice in decide(mixed, at(10), CITY)] == [False, True, True]


def test_a_reminder_waits_for_a_working_day() -> None:
    """Nobody answers the library's telephone on a Sunday."""
    (notice,) = tell(LoanOverdue(), at(10, day=date(2026, 4, 5)))  # Easter, and Monday is a holiday
    assert due(notice) == datetime(2026, 4, 7, 7, 0, tzinfo=PARIS)
    assert tell(HoldReady(), at(10, day=date(2026, 4, 5)))[0].due_at is None


@pytest.mark.parametrize(
    ("hour", "recipient"), [(22, ANNE), (19, ANNE._replace(digest=True)), (19, ANNE._replace(told=10))]
)
def test_a_reminder_that_would_go_out_on_saturday_waits_too(hour: int, recipient: Recipient) -> None:
    """Known on Friday night, or too late for Friday's digest; on Monday it is decided as anything else."""
    (notice,) = tell(LoanOverdue(), at(hour, day=date(2026, 3, 13)), recipient)
    monday = datetime(2026, 3, 16, 7, 0, tzinfo=PARIS)
    assert due(notice) == monday
    (then,) = again([waiting(notice)], {"a": recipient._replace(told=0)}, monday.astimezone(UTC), CITY)
    assert then.due_at == (milliseconds(monday.replace(hour=18)) if recipient.digest else None)


@pytest.mark.parametrize(
    ("recipient", "channel", "address"),
    [
        (ANNE._replace(channel="sms", phone="+33639980001"), "sms", "+33639980001"),
        (ANNE._replace(channel="sms"), "mail", "anne@example.org"),
        (ANNE._replace(channel="app"), "app", "a"),
        (
            ANNE._replace(channel="sms", phone="+33639980001", stopped=frozenset({("sms", "*")})),
            "mail",
            "anne@example.org",
        ),
    ],
)
def test_the_preferred_channel_is_taken_and_mail_else(recipient: Recipient, channel: str, address: str) -> None:
    """A preferred channel without an address, or with a dead one, leaves mail."""
    (notice,) = tell(HoldReady(), at(10), recipient)
    assert (notice.channel, notice.payload["address"]) == (channel, address)


@pytest.mark.parametrize("stop", [("*", "*"), ("mail", "*"), ("*", "library"), ("mail", "library")])
def test_who_stopped_it_or_died_is_told_nothing(stop: tuple[str, str]) -> None:
    """Neither at once nor when what waited is due."""
    gone = ANNE._replace(stopped=frozenset({stop}))
    assert tell(HoldReady(), at(10), gone) == []
    (notice,) = tell(HoldReady(), at(22))
    assert [d.state for d in again([waiting(notice)], {"a": gone}, at(7), CITY)] == ["unwanted"]
    assert [d.state for d in again([waiting(notice)], {}, at(7), CITY)] == ["unwanted"]
    assert [d.state for d in again([waiting(notice, concerned=False)], {"a": ANNE}, at(7), CITY)] == ["unwanted"]
    assert tell(HoldReady(), at(10), ANNE._replace(stopped=frozenset({("mail", "canteen")}))) != []


def test_the_address_is_the_one_of_the_moment_at_which_it_goes_out() -> None:
    """Who changed it while a notice waited gets it there."""
    (notice,) = tell(HoldReady(), at(22))
    (decided,) = again([waiting(notice)], {"a": ANNE._replace(email="new@example.org")}, at(7), CITY)
    assert (decided.payload or {})["address"] == "new@example.org"


LATER = date(2026, 5, 12)
payloads = st.sampled_from([HoldReady(), LoanOverdue(), MealBooked(meal_date=LATER), AbsenceRecorded(meal_date=LATER)])
moments = st.datetimes(datetime(2026, 3, 8), datetime(2026, 4, 8), timezones=st.just(UTC))
wishes = st.builds(ANNE._replace, digest=st.booleans(), told=st.integers(0, 20))


@given(payloads, moments, wishes)
def test_a_notice_goes_out_at_a_decent_moment_or_expires(payload: Any, now: datetime, recipient: Recipient) -> None:
    """However often it is decided again: never in quiet hours, never when it is of no use, and it comes to an end."""
    (notice,) = tell(payload, now, recipient)
    rule = RULES[payload.TYPE]
    row, due_at = waiting(notice), notice.due_at
    for _ in range(5):
        if due_at is None:
            break
        assert due_at > milliseconds(now)
        now = datetime.fromtimestamp(due_at / 1000, UTC)
        (decided,) = again([row], {"a": recipient}, now, CITY)
        due_at, row = decided.due_at, row._replace(digest=decided.digest)
        if decided.state == "expired":
            assert milliseconds(now) >= notice.until
            return
    assert due_at is None
    assert milliseconds(now) < notice.until
    local = now.astimezone(PARIS).time()
    assert rule.urgency is Urgency.URGENT or time(7) <= local < time(21)


class Gone(NamedTuple):
    """A message that went out."""

    at: datetime
    row: Waiting
    before: int
    """Messages that went out on the same local day before it."""


class Person:
    """Somebody with an outbox, whose clock runs."""

    def __init__(self, recipient: Recipient, now: datetime) -> None:
        self.recipient, self.now = recipient, now
        self.waits: dict[str, tuple[int, Waiting]] = {}
        self.gone: list[Gone] = []
        self.folded = self.expired = self.notices = 0

    def wishes(self) -> Recipient:
        """Return the wishes with what went out today, as the outbox counts it."""
        today = self.now.astimezone(PARIS).date()
        return self.recipient._replace(told=sum(one.at.astimezone(PARIS).date() == today for one in self.gone))

    def hear(self, payloads: list[Any], manners: Manners) -> None:
        """Let facts become known at once."""
        wishes = self.wishes()
        told = [
            (Told(fact, milliseconds(self.now), f"{self.notices}.{n}", f"s:{n}"), [wishes])
            for n, fact in enumerate(payloads)
        ]
        for notice in decide(told, self.now, manners):
            self.notices += 1
            if notice.due_at is None:
                self._goes(waiting(notice))
            else:
                self.waits[notice.id] = notice.due_at, waiting(notice)

    def until(self, moment: datetime, manners: Manners) -> None:
        """Let time pass, and what is due be decided again."""
        while self.waits and (next_due := min(due_at for due_at, _ in self.waits.values())) <= milliseconds(moment):
            self.now = datetime.fromtimestamp(next_due / 1000, UTC)
            due_now = [row for due_at, row in self.waits.values() if due_at <= next_due]
            wishes = self.wishes()
            for decided in again(due_now, {"a": wishes}, self.now, manners):
                _, row = self.waits.pop(decided.id)
                if decided.state == "waiting":
                    assert decided.due_at is not None
                    assert decided.due_at > next_due
                    self.waits[row.id] = decided.due_at, row._replace(digest=decided.digest)
                elif decided.state == "pending":
                    self._goes(row)
                else:
                    self.folded += decided.state == "folded"
                    self.expired += decided.state == "expired"
        self.now = max(self.now, moment)

    def _goes(self, row: Waiting) -> None:
        self.gone.append(Gone(self.now, row, self.wishes().told))


@given(
    facts=st.lists(st.tuples(st.integers(0, 700), st.lists(payloads, min_size=1, max_size=4)), max_size=40),
    cap=st.integers(1, 4),
    now=moments,
    recipient=st.builds(ANNE._replace, digest=st.booleans()),
)
def test_nobody_gets_more_than_the_cap_a_day(
    facts: list[tuple[int, list[Any]]], cap: int, now: datetime, recipient: Recipient
) -> None:
    """Whenever and in however many transactions things become known; the rest comes with a digest, and nothing is lost.

    Urgent things pass, and so does what would be of no use any more when the digest comes.
    """
    manners = CITY._replace(cap=cap)
    person = Person(recipient, now)
    for minutes, known in facts:
        person.until(person.now + timedelta(minutes=minutes), manners)
        person.hear(known, manners)
    person.until(person.now + timedelta(days=40), manners)
    digests: set[date] = set()
    for one in person.gone:
        local = one.at.astimezone(PARIS)
        evening = datetime.combine(local.date(), manners.digest_at, PARIS)
        evening += timedelta(days=local >= evening)
        if one.row.digest:
            assert local.date() not in digests
            digests.add(local.date())
        elif one.row.urgency is not Urgency.URGENT and milliseconds(evening) < one.row.until:
            assert one.before < cap
    assert not person.waits
    assert person.notices == len(person.gone) + person.folded + person.expired


def test_what_waited_for_the_morning_is_capped_in_the_morning() -> None:
    """Thirty things that became known one by one in a night are not thirty messages at seven."""
    person = Person(ANNE, at(22))
    for _ in range(30):
        person.hear([HoldReady()], CITY)
    person.until(at(7, day=date(2026, 3, 11)), CITY)
    assert len(person.gone) == CITY.cap
    person.until(at(18, day=date(2026, 3, 11)), CITY)
    assert (len(person.gone), person.folded, person.gone[-1].row.digest) == (CITY.cap + 1, 19, True)


def test_what_waits_takes_nothing_of_the_day_s_cap() -> None:
    """A reminder that waits for Monday holds back nothing on Sunday."""
    sunday = at(10, day=date(2026, 3, 8))
    events = [(Told(kind, milliseconds(sunday), f"e{n}"), [ANNE._replace(told=9)])
              for n, kind in enumerate((LoanOverdue(), HoldReady()))]  # fmt: skip
    reminder, hold = decide(events, sunday, CITY)
    assert (due(reminder), hold.due_at) == (datetime(2026, 3, 9, 7, 0, tzinfo=PARIS), None)


@pytest.mark.parametrize("days", [0, 1, 6, 8, 90])
def test_a_first_look_at_a_card_tells_no_history(days: int) -> None:
    """A loan that was due yesterday is news today, however it was found; one of months ago is only shown."""
    due_date = TUESDAY - timedelta(days=days + 1)
    overdue = tell(LoanOverdue(due_date=due_date), at(10), age=timedelta(days=days, hours=10))
    assert len(overdue) == (days < 7)


@pytest.mark.parametrize("kind", [MealBooked, MealCancelled, AbsenceRecorded])
@pytest.mark.parametrize("days", [-30, 0, 1, 7, 8, 200])
def test_a_first_look_at_a_child_tells_nothing_of_meals_that_are_long_over(kind: Any, days: int) -> None:
    """Though the vendor says no moment, and they seem to happen when they are read; a cancellation to come is told."""
    assert len(tell(kind(meal_date=TUESDAY - timedelta(days=days)), at(10))) == (days <= 7)


@pytest.mark.parametrize("step", [RecordRequested(), RequestStatusChanged(status=Status.DONE)])
def test_a_step_of_a_request_is_news_for_a_month(step: Any) -> None:
    """The town hall is slow, and so is what it says it with."""
    assert [len(tell(step, at(10), age=timedelta(days=days))) for days in (8, 30, 31)] == [1, 1, 0]


def test_every_rule_is_of_use_for_as_long_as_news_is_news() -> None:
    """Else a fact that is read late would be told and too late at once."""
    assert all(rule.useful >= FRESH for rule in RULES.values())


def test_the_calendar_knows_holidays_of_the_city_and_of_schools() -> None:
    """A Wednesday, a public holiday, winter holidays of one zone; an unknown year has none."""
    assert [is_school_day(day, "A") for day in (TUESDAY, date(2026, 3, 11), date(2026, 5, 1))] == [True, False, False]
    assert (is_school_day(date(2026, 2, 10), "A"), is_school_day(date(2026, 2, 10), "B")) == (False, True)
    assert is_school_day(date(2040, 2, 14), "A")
    assert not is_working_day(date(2026, 7, 14))


def test_a_cut_off_counts_days_of_the_desk() -> None:
    """Weekends, Wednesdays, public and school holidays apart; the same hour on both sides of a clock change."""
    one, two, same = (CutOff(days, time(9), "A") for days in (1, 2, 0))
    assert one.of(date(2026, 5, 4)) == datetime(2026, 4, 30, 9, 0, tzinfo=PARIS)
    assert two.of(date(2026, 5, 4)) == datetime(2026, 4, 28, 9, 0, tzinfo=PARIS)
    assert one.of(date(2026, 2, 23)) == datetime(2026, 2, 6, 9, 0, tzinfo=PARIS)
    assert one.of(date(2026, 3, 30)).isoformat() == "2026-03-27T09:00:00+01:00"
    assert two.of(date(2026, 3, 31)).isoformat() == "2026-03-27T09:00:00+01:00"
    assert one.of(date(2026, 3, 31)).isoformat() == "2026-03-30T09:00:00+02:00"
    assert same.of(TUESDAY) == datetime(2026, 3, 10, 9, 0, tzinfo=PARIS)
    assert same.of(date(2026, 3, 11)) == datetime(2026, 3, 10, 9, 0, tzinfo=PARIS)


def test_a_meal_of_a_day_that_is_over_is_told_without_an_offer() -> None:
    """However long ago the day is that a vendor says; one of long ago is no news."""
    (notice,) = tell(MealBooked(meal_date=at(8).date() - timedelta(days=1)), at(8))
    assert "cancel_until" not in notice.payload["values"]
    assert tell(MealBooked(meal_date=date.min), at(8)) == []


def test_nothing_is_told_too_early_of_a_clock_change() -> None:
    """The night in which clocks change has quiet hours like any other."""
    night = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    (notice,) = tell(HoldReady(), night)
    assert due(notice) == datetime(2026, 3, 29, 7, 0, tzinfo=PARIS)
    assert notice.due_at == milliseconds(night + timedelta(hours=4, minutes=30))

"""What the city does with events: who is told, and what the public may count."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub import catalogue
from hub.calendar import CutOff
from hub.catalogue import ROOT
from hub.delivery.mail import Server
from hub.delivery.mail import compose as as_mail
from hub.delivery.words import SHORT, compose
from hub.locale import day_words
from hub.model.notice import Notice, Recipient
from hub.store.notices import Parcel
from hub.testing.avro import payloads
from schemas.models.library import LoanOverdue, LoanStarted
from schemas.models.transport import DisruptionPublished
from streams.notify import FRESH, RULES, Manners, decide
from streams.open_data.counting import countable
from streams.open_data.dataset import finest
from streams.open_data.rows import current

NOW = datetime(2026, 3, 10, 7, 40, tzinfo=UTC)
EVERYTHING = frozenset({"canteen", "library", "requests", "disruptions"})
ANNE = Recipient("a", "anne@example.org", EVERYTHING)
ALWAYS = Manners(time(0), time(0), 0, time(18), working_days=False, cut_off=None)
CITY = Manners(time(21), time(7), 10, time(18), working_days=True, cut_off=CutOff(0, time(9), "A"))
PARIS = ZoneInfo("Europe/Paris")


class Told(NamedTuple):
    """An event."""

    payload: Any
    read_at: int = int(NOW.timestamp() * 1000)
    replay: bool = False
    id: str = "e1"
    subject: str = "s"

    @property
    def type(self) -> str:
        """Full name."""
        return str(self.payload.TYPE)

    @property
    def time(self) -> int:
        """When it happened."""
        return self.read_at


def parcel(notice: Notice) -> Parcel:
    """Return a notice as its row comes back."""
    return Parcel(
        notice.id, notice.channel, notice.topic, notice.citizen, notice.subject, notice.payload, 0, None, begun=False
    )


def test_each_recipient_is_told_once_and_only_what_was_asked_for() -> None:
    """Topic, address and id decide."""
    event = Told(LoanOverdue(due_date=date(2026, 3, 9)))
    deaf = Recipient("b", None, EVERYTHING)
    other = Recipient("c", "c@example.org", frozenset({"canteen"}))
    (notice,) = decide([(event, [ANNE, deaf, other])], NOW, ALWAYS)
    assert (notice.citizen, notice.topic, notice.payload["template"]) == ("a", "library", "loan_overdue")
    assert notice.id == decide([(event, [ANNE])], NOW + timedelta(hours=1), ALWAYS)[0].id
    assert notice.payload["values"]["due_date"] == "lundi 9 mars"


@given(st.timedeltas(timedelta(0), timedelta(days=400)))
def test_old_news_and_replays_tell_nobody(age: timedelta) -> None:
    """A rebuild from the topics writes to no one."""
    event = Told(LoanOverdue())
    assert (age <= FRESH) == bool(decide([(event, [ANNE])], NOW + age, ALWAYS))
    assert decide([(event._replace(replay=True), [ANNE])], NOW, ALWAYS) == ()


@pytest.mark.parametrize("name", sorted(RULES))
@given(data=st.data())
def test_every_event_that_is_told_can_be_written(name: str, data: st.DataObject) -> None:
    """Each template is complete for whatever its event can hold."""
    some = data.draw(st.lists(payloads(catalogue.schemas(), name), min_size=1, max_size=3))
    if (day := RULES[name].day) is not None:
        # However long ago: what is too long ago is told to nobody.
        some = [replace(payload, **{day: max(getattr(payload, day), NOW.date())}) for payload in some]
    told = [(Told(payload, id=f"e{n}"), [ANNE]) for n, payload in enumerate(some)]
    manners = data.draw(st.sampled_from([ALWAYS, CITY]))
    notices = decide(told, NOW, manners)
    assert len(notices) == (1 if RULES[name].together else len(some))
    for notice in notices:
        message = compose(parcel(notice), "https://ville.invalid/x")
        assert message.subject
        assert "\n" not in message.subject
        assert message.text.startswith("Bonjour,\n")
        assert len(compose(parcel(notice._replace(channel="sms")), None).text) <= SHORT
        mail = as_mail(Server("", 25, "hub@example.org"), message)
        assert mail["List-Unsubscribe"] == "<https://ville.invalid/x>"


def test_days_are_written_as_they_are_spoken() -> None:
    """The first of a month has its own word."""
    assert (day_words(date(2026, 3, 1)), day_words(date(2026, 3, 10))) == ("dimanche 1er mars", "mardi 10 mars")


def test_a_mail_and_the_account_name_days_from_one_list() -> None:
    """Words that stood twice could come to differ."""
    writers = [path for folder in ("hub", "streams") for path in (ROOT / folder).rglob("*.py")]
    assert [path.name for path in writers if "vendredi" in path.read_text("utf-8")] == ["locale.py"]


def test_a_loan_is_counted_in_its_local_month_without_its_reader() -> None:
    """23:30 UTC on the last of February is March in Grenoble."""
    counted = finest(list(catalogue.datasets().values()))
    fact = countable(
        counted,
        LoanStarted.TYPE,
        datetime(2026, 2, 28, 23, 30, tzinfo=UTC),
        LoanStarted(branch="BMA", document_kind="LIV"),
    )
    assert fact == ("loan", "2026-03", "BMA", "LIV")
    assert countable(counted, DisruptionPublished.TYPE, NOW, DisruptionPublished()) is None


def test_disruptions_end_by_their_end() -> None:
    """Published, updated, ended: what is left is what goes on."""
    kind = "hub.transport.Disruption"
    events = [
        (f"{kind}Published", "a", {"title": "1"}),
        (f"{kind}Published", "b", {"title": "2"}),
        (f"{kind}Updated", "b", {"title": "3"}),
        (f"{kind}Ended", "a", {}),
    ]
    assert current(events) == {"b": {"title": "3"}}

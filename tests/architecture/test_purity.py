"""What is called pure asks nothing of the machine while it works: imports cannot show that, the interpreter can."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from pathlib import Path

import pytest

from hub import catalogue
from hub.calendar import CutOff
from hub.model.decision import Deliver
from hub.model.event import StoredEvent
from hub.model.intake import Call
from hub.model.notice import Recipient
from hub.model.record import Seq
from hub.pipeline.process import process
from hub.testing.samples import samples
from schemas.models.library import LoanOverdue
from schemas.models.school_catering import MealBooked
from streams.notify import Manners, decide

REACHING_OUT = ("open", "os.", "socket.", "subprocess.", "shutil.", "sqlite3.", "ctypes.", "urllib.", "time.sleep")
_armed: list[str] | None = None


def _hook(event: str, _arguments: tuple[object, ...]) -> None:
    if _armed is not None and event.startswith(REACHING_OUT):
        _armed.append(event)


# A hook cannot be taken back; it does nothing unless armed.
sys.addaudithook(_hook)


@contextmanager
def watched() -> Iterator[list[str]]:
    """Note everything that reaches out of the process."""
    global _armed  # noqa: PLW0603 - the interpreter's hook is as global as it gets
    _armed = seen = []
    try:
        yield seen
    finally:
        _armed = None


def test_the_watch_sees() -> None:
    """A watch that sees nothing proves nothing."""
    with watched() as seen:
        Path(__file__).open().close()
    assert seen == ["open"]


@pytest.mark.parametrize("product", catalogue.connectors())
def test_deciding_reaches_for_nothing(product: str) -> None:
    """Decode, validate, map, encode: every sample, twice, as the first run may load what is loaded once."""
    connector, schemas = catalogue.connectors()[product], catalogue.schemas()
    shown = list(samples(connector))
    for sample in shown:
        process(sample.record, connector, schemas, sample.previous)
    with watched() as seen:
        outcomes = [process(sample.record, connector, schemas, sample.previous) for sample in shown]
        for outcome in outcomes:
            for decision in outcome.decisions:
                if isinstance(decision, Deliver):
                    schemas.encode(decision.event.payload)
    assert seen == []


@pytest.mark.parametrize(
    "product", [name for name, connector in catalogue.connectors().items() if connector.receive is not None]
)
def test_receiving_reaches_for_nothing(product: str) -> None:
    """An incoming call becomes a wish or a refusal; nothing is done."""
    connector = catalogue.connectors()[product]
    assert connector.receive is not None
    feed = next(name for name, feed in connector.feeds.items() if feed.manifest.style == "webhook")
    call = Call(feed=feed, body=b"{}", headers={"content-type": "application/json"}, received_at=1_773_000_000_000)
    connector.receive(call)
    with watched() as seen:
        connector.receive(call)
    assert seen == []


def test_telling_people_reaches_for_nothing() -> None:
    """Whom to tell, and when: holidays are known before anybody asks, in a year that nobody asked about yet too."""
    manners = Manners(time(21), time(7), 1, time(18), working_days=True, cut_off=CutOff(1, time(9), "A"))
    anne = Recipient("a", "anne@exemple.invalid", frozenset({"library", "canteen"}))

    def tell(year: int) -> None:
        now = datetime(year, 5, 1, 3, 0, tzinfo=UTC)
        for payload in (LoanOverdue(), MealBooked(meal_date=date(year, 5, 4))):
            at = int(now.timestamp() * 1000)
            event = StoredEvent("e", payload.TYPE, "s", "p", "person", at, at, Seq(1, 1, 0), 1, payload, "")
            assert decide([(event, [anne])], now, manners)

    tell(2026)
    with watched() as seen:
        tell(2027)
    assert seen == []

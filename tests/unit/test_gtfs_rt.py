"""GTFS-Realtime: ids that do not last, texts in several languages, and delays in steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from google.transit.gtfs_realtime_pb2 import FeedMessage
from hypothesis import given
from hypothesis import strategies as st

from connectors.sources.transport.gtfs_rt import source
from hub import catalogue
from hub.model.decision import Deliver
from hub.model.errors import Transient
from hub.model.intake import Answer, Emit, Get
from hub.pipeline.process import process
from hub.testing.samples import READ_AT, record

CONNECTOR = catalogue.connectors()["gtfs_rt"]
AT = int(READ_AT.timestamp() * 1000)


def decide(message: FeedMessage, state: bytes | None, feed: str, later: int = 0) -> tuple[list[Any], bytes | None]:
    """Decide a message; return the payloads and what is remembered."""
    said = record(CONNECTOR, feed, message.SerializeToString(), offset=later)._replace(read_at=AT + later)
    outcome = process(said, CONNECTOR, catalogue.schemas(), state)
    return [one.event.payload for one in outcome.decisions if isinstance(one, Deliver)], outcome.state


def message() -> FeedMessage:
    """Begin a message."""
    made = FeedMessage()
    made.header.gtfs_realtime_version = "2.0"
    return made


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 3)), unique_by=lambda one: one[0]), max_size=6
    )
)
def test_ids_that_do_not_last_change_nothing(snapshots: list[list[tuple[str, int]]]) -> None:
    """A reader who is given new ids each time hears what a reader of lasting ids hears."""

    def told(*, lasting: bool) -> list[list[tuple[str, str]]]:
        state, heard = None, []
        for number, snapshot in enumerate(snapshots):
            made = message()
            for title, _ in snapshot:
                entity = made.entity.add(id=title if lasting else f"{number}-{title}")
                entity.alert.header_text.translation.add(text=title)
            # Old memory proves nothing: whatever is missing is believed.
            payloads, state = decide(made, state, "alerts", number * 4_000_000)
            heard.append(sorted((type(one).__name__, one.title) for one in payloads))
        return heard

    assert told(lasting=True) == told(lasting=False)


@pytest.mark.parametrize(
    ("texts", "title"),
    [
        ([("Stop", "en"), ("Arrêt", "fr"), ("?", "")], "Arrêt"),
        ([("Stop", "en"), ("Arrêt", "fr-FR")], "Arrêt"),
        ([("Stop", "en"), ("Sans langue", "")], "Sans langue"),
        ([("Stop", "en"), ("Halt", "de")], "Stop"),
        ([], ""),
    ],
)
def test_the_french_text_is_taken(texts: list[tuple[str, str]], title: str) -> None:
    """Else the one without a language, as real French feeds come, else the first."""
    made = message()
    alert = made.entity.add(id="1").alert
    alert.effect = alert.DETOUR
    for text, language in texts:
        alert.header_text.translation.add(text=text, language=language or None)
    (payload,), _ = decide(made, None, "alerts")
    assert payload.title == title


def test_delays_are_told_in_steps() -> None:
    """A train that gains and loses a minute between two looks is no news."""
    state: bytes | None = None
    heard = []
    for number, delay in enumerate((0, 240, 310, 350, 590, 605, 20, -299, -301)):
        made = message()
        update = made.entity.add(id="t").trip_update
        update.trip.trip_id, update.trip.start_date = "t", "20260310"
        update.stop_time_update.add(stop_sequence=1).arrival.delay = delay
        payloads, state = decide(made, state, "trip_updates", number)
        heard += [(str(one.status), one.delay_minutes) for one in payloads]
    assert heard == [("LATE", 5), ("LATE", 10), ("AS_PLANNED", 0), ("EARLY", -5)]


def test_a_trip_that_a_message_names_twice_is_told_once() -> None:
    """Its last word counts."""
    made = message()
    for delay in (600, 1200):
        update = made.entity.add(id=str(delay)).trip_update
        update.trip.trip_id, update.delay = "a", delay
    payloads, _ = decide(made, None, "trip_updates")
    assert [payload.delay_minutes for payload in payloads] == [20]


def ask(settings: Mapping[str, str], statuses: list[int]) -> tuple[list[str], str]:
    """Poll against a vendor that answers with some statuses; return the feeds that were written, and the complaint."""
    written: list[str] = []
    work = source.poll({}, settings)
    answer: Any = None
    try:
        while True:
            wish = work.send(answer)
            answer = Answer(statuses.pop(0), {}, b"x", 1) if isinstance(wish, Get) else None
            if isinstance(wish, Emit):
                written.append(wish.feed)
    except StopIteration:
        return written, ""
    except Transient as error:
        return written, error.reason


def test_one_feed_that_is_refused_does_not_keep_the_other_from_being_read() -> None:
    """Nor is the poll taken for a good one; a feed without a path is not asked for."""
    both = {"alerts": "/a", "trip_updates": "/t"}
    assert ask(both, [200, 200]) == (["alerts", "trip_updates"], "")
    assert ask(both, [404, 200]) == (["trip_updates"], "alerts: status 404")
    assert ask({"alerts": "/a"}, [200]) == (["alerts"], "")

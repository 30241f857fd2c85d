"""The breaker opens for a flood of bad records, before they are written, and for nothing less."""

from __future__ import annotations

import pytest
from words import BAD, GOOD, Plain, connector, record

from hub.model.connector import OnReject
from hub.pipeline.breaker import LEAST, WINDOW_SECONDS, Breaker
from hub.pipeline.parking import Partition, decide


def looks(breaker: Breaker, at: float, good: int, bad: int, on_reject: OnReject = OnReject.PARK) -> str | None:
    """Show the breaker a batch of as many subjects as records."""
    made = connector(on_reject=on_reject)
    log = [record(n, f"s{n}".encode(), BAD if n < bad else GOOD % 1) for n in range(good + bad)]
    decided = decide(log, Partition(), made, Plain())
    return breaker.opens(at, len(log), decided.decisions, made)


@pytest.mark.parametrize(
    ("good", "bad", "opens"),
    [(0, LEAST - 1, False), (0, LEAST, True), (79, LEAST, True), (80, LEAST, False), (1000, 0, False)],
)
def test_it_opens_above_a_fifth_and_not_for_a_few(good: int, bad: int, opens: bool) -> None:
    assert (looks(Breaker(), 0.0, good, bad) is not None) is opens


def test_it_adds_up_over_a_minute_and_forgets() -> None:
    breaker = Breaker()
    assert looks(breaker, 0.0, 0, LEAST - 1) is None
    assert looks(breaker, WINDOW_SECONDS + 1, 0, LEAST - 1) is None
    assert looks(breaker, WINDOW_SECONDS + 2, 0, 1) == f"{LEAST} of {LEAST} records rejected within 60 s"


def test_what_was_not_written_is_not_counted_twice() -> None:
    breaker = Breaker()
    first = looks(breaker, 0.0, 0, LEAST)
    assert looks(breaker, 1.0, 0, LEAST) == first


def test_it_stays_closed_for_a_while_after_somebody_has_looked() -> None:
    breaker = Breaker()
    breaker.reset(off_until=100.0)
    assert looks(breaker, 50.0, 0, 10 * LEAST) is None
    breaker.reset(off_until=100.0)
    assert looks(breaker, 100.0, 0, LEAST) is not None


def test_answers_that_the_next_one_supersedes_do_not_count() -> None:
    assert looks(Breaker(), 0.0, 0, 10 * LEAST, OnReject.SKIP) is None


def test_records_that_only_wait_do_not_count() -> None:
    made = connector()
    log = [record(0, b"a", BAD), *(record(n, b"a", GOOD % 1) for n in range(1, 100))]
    decided = decide(log, Partition(), made, Plain())
    assert Breaker().opens(0.0, len(log), decided.decisions, made) is None

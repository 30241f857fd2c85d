"""A repeating thread waits longer while the outside is away."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.config import Settings
from hub.model.errors import Transient
from hub.repeating import LONGEST_WAIT, Repeating, back_off
from hub.roles import database
from hub.roles.database import open_store
from hub.roles.runtime import Runtime
from hub.store import Store


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_the_wait_doubles_with_jitter_up_to_a_bound(failures: int, chance: float) -> None:
    """Never longer than the bound, never shorter than half of what it could be."""
    whole = min(0.5 * 2 ** min(failures - 1, 10), LONGEST_WAIT)
    assert whole / 2 <= back_off(failures, None, chance=lambda: chance) <= whole


@given(st.floats(0, 3600))
def test_the_vendor_may_say_how_long(seconds: float) -> None:
    """`Retry-After` is honoured, not undercut."""
    assert seconds <= back_off(1, seconds, chance=lambda: 0.5) <= seconds + 0.1


def test_a_wait_is_told_as_long_as_it_lasts_and_its_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the pause before the next try: an alert asks how long nothing has worked."""
    monkeypatch.setattr("hub.repeating.back_off", lambda *_: 0.02)
    told: list[float] = []
    good = threading.Event()
    outcomes = iter([None, Transient("x"), Transient("x"), Transient("x"), None, None])

    class Turns:
        def away(self, name: str, error: Transient, seconds: float, failures: int) -> None:
            told.append(seconds)

        def back(self, name: str) -> None:
            told.append(0.0)

        def broken(self, name: str, error: BaseException) -> None:
            raise error

    def turn(_halt: threading.Event) -> float:
        outcome = next(outcomes, None)
        if outcome is not None:
            raise outcome
        if told:
            good.set()
        return 0.005

    thread = Repeating("x", turn, Turns())
    thread.start()
    assert good.wait(10)
    time.sleep(0.05)
    assert thread.halt(5)
    *waits, end = told
    assert (len(waits), end) == (3, 0.0)
    assert waits[0] < 0.02 < waits[1] < waits[2]


def test_a_role_tells_how_long_it_has_waited_for_its_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gauge grows past any pause between two tries, and is 0 once the database is there."""
    monkeypatch.setattr(database, "back_off", lambda *_: 0.02)
    seen: list[float] = []

    def migrate(_store: Store) -> None:
        seen.append(role.telemetry.registry.get_sample_value("hub_waiting_seconds", {"what": "database"}) or 0.0)
        if len(seen) < 5:
            raise Transient("database: away")

    monkeypatch.setattr(Store, "migrate", migrate)
    role = Runtime("web", Settings.model_validate({"store": {"url": "sqlite:///:memory:"}}))
    store = open_store(role, threading.Event())
    role.close()
    assert store is not None
    store.close()
    assert seen == sorted(seen)
    assert seen[-1] > 0.05
    assert role.telemetry.registry.get_sample_value("hub_waiting_seconds", {"what": "database"}) == 0

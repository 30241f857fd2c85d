"""Lanes: whatever many get at once, one person's urgent message does not wait for it."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from hub import catalogue
from hub.config import Settings, carriers
from hub.delivery.driver import Provider
from hub.delivery.outbox import SinkTurn
from hub.delivery.words import compose
from hub.model.errors import Transient
from hub.model.notice import Urgency
from hub.model.sink import Message, Outcome, Sent
from hub.repeating import Repeating
from hub.roles.deliver import SHARES, provider_of, unsubscribe_link
from hub.store import Store
from hub.store import tables as t

PAYLOAD = json.dumps({"address": "a@b.example", "template": "hold_ready", "values": {}})


def put(store: Store, urgency: Urgency, *names: str) -> None:
    """Write rows that are due."""
    rows = [
        {"id": name, "position": n, "channel": "mail", "topic": "t", "subject": "s", "event_id": name,
         "payload": PAYLOAD, "state": "pending", "attempts": 0, "next_at": 0, "created_at": 0, "urgency": str(urgency)}
        for n, name in enumerate(names)
    ]  # fmt: skip
    with store._write() as connection:
        connection.execute(insert(t.outbox), rows)


class Turns:
    """Hears of nothing."""

    def away(self, name: str, error: Transient, seconds: float, failures: int) -> None: ...

    def back(self, name: str) -> None: ...

    def broken(self, name: str, error: BaseException) -> None:
        raise AssertionError from error


class Provider10ms:
    """Takes a message in ten milliseconds."""

    def __init__(self) -> None:
        self.taken: dict[str, float] = {}
        self.stuck: Urgency | None = None

    def lane(self, store: Store, urgency: Urgency) -> Repeating:
        def deliver(message: Message, _begin: object) -> Outcome:
            if self.stuck is urgency:
                raise Transient("away")
            time.sleep(0.01)
            self.taken[message.id] = time.monotonic()
            return Sent()

        turn = SinkTurn(store, "mail", urgency, lambda row: compose(row, None), deliver, print, lambda *_: None)
        return Repeating(f"mail.{urgency}", turn, Turns())


def wait_for(provider: Provider10ms, name: str) -> None:
    end = time.monotonic() + 5
    while name not in provider.taken and time.monotonic() < end:
        time.sleep(0.005)
    assert name in provider.taken


@pytest.mark.parametrize("stuck", [None, Urgency.BULK])
def test_a_bulk_under_way_does_not_delay_an_absence(store: Store, stuck: Urgency | None) -> None:
    """It goes out in the middle of it, also when the bulk does not get on at all."""
    provider = Provider10ms()
    provider.stuck = stuck
    put(store, Urgency.BULK, *(f"bulk{n}" for n in range(200)))
    lanes = [provider.lane(store, urgency) for urgency in Urgency]
    for lane in lanes:
        lane.start()
    if stuck is None:
        wait_for(provider, "bulk0")
    at = time.monotonic()
    put(store, Urgency.URGENT, "absence")
    wait_for(provider, "absence")
    assert provider.taken["absence"] - at < 1
    assert len(provider.taken) < 201
    for lane in lanes:
        assert lane.halt(5)


def test_no_lane_can_take_what_another_has_for_itself() -> None:
    """The shares of a provider's rate are all of it, and each keeps its own pace."""
    assert sum(SHARES.values()) == 1
    slept: list[float] = []
    clock = iter([10.0 + n / 1000 for n in range(99)])
    provider = Provider("", "hub", 40 * SHARES[Urgency.BULK], {}, clock=lambda: next(clock), sleep=slept.append)
    for _ in range(3):
        provider.pace()
    assert [round(seconds, 2) for seconds in slept] == [0.05, 0.05]
    unbound = Provider("", "hub", None, {}, sleep=slept.append)
    for _ in range(3):
        unbound.pace()
    assert len(slept) == 2


def test_a_lane_stops_between_two_rows(store: Store) -> None:
    """Halting waits for one message, not for a hundred."""
    provider = Provider10ms()
    put(store, Urgency.BULK, *(f"bulk{n}" for n in range(100)))
    lane = provider.lane(store, Urgency.BULK)
    lane.start()
    wait_for(provider, "bulk0")
    assert lane.halt(0.5)
    assert len(provider.taken) < 100
    assert threading.active_count() < 50


def test_a_lane_talks_to_its_sink_at_its_share_of_the_city_s_rate(tmp_path: Path) -> None:
    """What the city says goes before what the manifest says; mail has no rate."""
    (tmp_path / "token").write_text("t", "utf-8")
    credential = {"kind": "bearer", "secret_file": tmp_path / "token"}
    sms = {"base_url": "https://sms.invalid", "credentials": {"default": credential}}
    sinks = catalogue.sinks()

    def pause(chosen: dict[str, Any], urgency: Urgency) -> float:
        settings = Settings.model_validate({"mail": {"host": "smtp.invalid"}, "sinks": {"sms": chosen}})
        return provider_of(settings, sinks["sms"], urgency)._pause

    assert pause(sms, Urgency.URGENT) == pytest.approx(1 / (10 * 0.25))
    assert pause({**sms, "rate_per_second": 100}, Urgency.BULK) == pytest.approx(1 / 50)
    assert provider_of(Settings(), sinks["mail"], Urgency.BULK)._pause == 0


def test_a_channel_has_one_carrier_and_mail_is_smtp_s_where_there_is_a_server() -> None:
    """A sink that is switched off carries nothing."""
    sms = {"base_url": "https://sms.invalid"}
    settings = Settings.model_validate({"mail": {"host": "smtp.invalid"}, "sinks": {"sms": sms}})
    assert carriers(settings, catalogue.sinks()) == {"mail": ["mail"], "sms": ["sms"]}
    assert carriers(Settings.model_validate({"sinks": {"sms": {**sms, "enabled": False}}}), catalogue.sinks()) == {}


def test_links_that_end_messages_are_sealed_and_need_a_secret(tmp_path: Path) -> None:
    """Without one, a message has none."""
    (tmp_path / "secret").write_text("s", "utf-8")
    notifications = {"unsubscribe_secret_file": tmp_path / "secret"}
    settings = Settings.model_validate(
        {"web": {"public_url": "https://ville.invalid/"}, "notifications": notifications}
    )
    link = unsubscribe_link(settings, "row") or ""
    assert link.startswith("https://ville.invalid/desinscription/row/")
    assert link != unsubscribe_link(settings, "other")
    assert unsubscribe_link(Settings(), "row") is None

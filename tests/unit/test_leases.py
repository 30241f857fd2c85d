"""Leases are given out whatever the client has heard of the cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from kafka import TopicPartition
from kafka.errors import GroupAuthorizationFailedError, KafkaConnectionError, KafkaError, KafkaTimeoutError

from hub.kafka import leases
from hub.kafka.leases import Leases, _assignor, _Cluster
from hub.kafka.wire import CURSOR_TOPIC


def test_every_partition_is_somebody_s_before_the_metadata_has_come() -> None:
    """The leader of a group that forms at once assigns all of the topic, not nothing."""
    known = _Cluster()
    known.count = 5
    members = [
        SimpleNamespace(member_id=name, group_instance_id=name, metadata=SimpleNamespace(topics=["intake.cursor"]))
        for name in ("one", "two")
    ]
    knows_nothing = SimpleNamespace(partitions_for_topic=lambda _topic: None)
    found = _assignor(known).assign(knows_nothing, members)
    numbers = [number for given in found.values() for _topic, part in given.assigned_partitions for number in part]
    assert sorted(numbers) == [0, 1, 2, 3, 4]


class Consumer:
    """A client that forgets to join the first time."""

    made: ClassVar[list[Consumer]] = []

    def __init__(self, **_options: Any) -> None:
        self.closed = False
        self.listener: Any = None
        self.made.append(self)

    def partitions_for_topic(self, _topic: str) -> set[int]:
        return {0, 1, 2}

    def subscribe(self, _topics: Sequence[str], listener: Any) -> None:
        self.listener = listener

    def poll(self, timeout_ms: int) -> Mapping[Any, Any]:
        time.sleep(timeout_ms / 30_000)
        if len(self.made) > 1 and self.listener is not None:
            self.listener.on_partitions_assigned([TopicPartition(CURSOR_TOPIC, number) for number in range(3)])
            self.listener = None
        return {}

    def end_offsets(self, tps: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(tps, 0)

    def position(self, _tp: TopicPartition) -> int:
        return 0

    def close(self, timeout_ms: int = 0) -> None:
        self.closed = True


class Holder:
    """Ends the run once something is its."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.told: list[str] = []

    def taken(self, name: str, _cursor: Mapping[str, Any]) -> None:
        self.told.append(f"{name} taken")
        self.stop.set()

    def given_back(self, name: str) -> None:
        self.told.append(f"{name} given back")


@pytest.fixture
def holder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Holder]:
    """End the run after ten seconds at the latest; there is no broker."""
    monkeypatch.setattr(leases, "leave", lambda *_: None)
    monkeypatch.setattr(Consumer, "made", [])
    found = Holder()
    limit = threading.Timer(10, found.stop.set)
    limit.start()
    yield found
    limit.cancel()


def test_a_member_that_hears_nothing_is_replaced(holder: Holder, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would wait for ever; the next one is told what is its."""
    monkeypatch.setattr(leases, "KafkaConsumer", Consumer)
    monkeypatch.setattr(leases, "LIMBO_SECONDS", 0.1)
    Leases({}, "group", ["one"], holder, "instance").run(holder.stop)
    first, second = Consumer.made
    assert (first.closed, second.closed) == (True, True)
    assert holder.told == ["one taken", "one given back"]


class Away(Consumer):
    """A client whose broker is away for its first polls and questions, in a way that passes or does not."""

    failures: ClassVar[list[KafkaError]] = []

    def poll(self, timeout_ms: int) -> Mapping[Any, Any]:
        self._fail()
        if self.listener is not None:
            self.listener.on_partitions_assigned([TopicPartition(CURSOR_TOPIC, number) for number in range(3)])
            self.listener = None
        return {}

    def end_offsets(self, tps: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        self._fail()
        return super().end_offsets(tps)

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop()


def test_a_missing_broker_is_waited_for(holder: Holder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a poll nor a question that fails for now ends the role."""
    monkeypatch.setattr(leases, "KafkaConsumer", Away)
    monkeypatch.setattr(Away, "failures", [KafkaConnectionError(), KafkaTimeoutError()])
    Leases({}, "group", ["one"], holder, "instance").run(holder.stop)
    assert holder.told == ["one taken", "one given back"]


def test_a_broker_that_refuses_is_not_waited_for(holder: Holder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What only a person can mend ends the role, and is said."""
    monkeypatch.setattr(leases, "KafkaConsumer", Away)
    monkeypatch.setattr(Away, "failures", [GroupAuthorizationFailedError()])
    with pytest.raises(GroupAuthorizationFailedError):
        Leases({}, "group", ["one"], holder, "instance").run(holder.stop)

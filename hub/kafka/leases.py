"""Who may do what only one may do: owning the partition of a name's cursor is the lease, its value the cursor.

An ordinary consumer group over `intake.cursor`; a name (a product, a sink) belongs to the partition
that it hashes to.  A lease is given only after the partition's cursors have been read to the end.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import KafkaError

from hub.kafka.membership import leave
from hub.kafka.produce import partition_of
from hub.kafka.wire import CURSOR_TOPIC

LIMBO_SECONDS = 12.0
"""How long a member may be without word of what is its: a little more than its session."""


class Holder(Protocol):
    """What takes and gives back leases; called from the thread that runs `Leases.run`."""

    def taken(self, name: str, cursor: Mapping[str, Any]) -> None:
        """Begin, from the cursor."""
        ...

    def given_back(self, name: str) -> None:
        """Stop; return once nothing more is done under the name."""
        ...


class _Cluster:
    """The cluster as far as a lease needs it, known before anything is assigned."""

    def __init__(self) -> None:
        self.count = 0

    def partitions_for_topic(self, _topic: str) -> set[int]:
        return set(range(self.count))


def _assignor(known: _Cluster) -> type[RangePartitionAssignor]:
    """Return the range assignor over partitions that are known.

    kafka-python's own asks its metadata, which may not have come yet when the group forms. It then assigns
    nothing, and a static member that comes back is given its old assignment: nothing, for ever.
    """

    class Known(RangePartitionAssignor):
        @classmethod
        def assign(cls, _cluster: Any, members: Any) -> Any:
            return super().assign(known, members)

    return Known


class Leases(ConsumerRebalanceListener):
    """Keeps the membership alive and tells the holder what it may do."""

    def __init__(
        self,
        options: Mapping[str, Any],
        group: str,
        names: Iterable[str],
        holder: Holder,
        instance: str,
    ) -> None:
        """`instance` is the stable name of this worker slot: a restart takes up its leases at once."""
        self._cluster = _Cluster()
        self._member = options, group, instance
        self._consumer = self._connect()
        self._limbo: float | None = None
        """Since when nobody has said what is ours; None: it is known."""
        self._names = tuple(names)
        self._holder = holder
        self._owned: set[int] = set()
        self._held: set[str] = set()
        self._cursors: dict[str, Mapping[str, Any]] = {}

    def _connect(self) -> KafkaConsumer:
        options, group, instance = self._member
        return KafkaConsumer(
            partition_assignment_strategy=[_assignor(self._cluster)],
            group_id=group,
            group_instance_id=instance,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=10_000,
            # It is with a heartbeat that a member learns that another came or left.
            heartbeat_interval_ms=500,
            **options,
        )

    def run(self, stop: threading.Event) -> None:
        """Poll the group until told to stop; then give everything back."""
        try:
            while not stop.is_set() and not self._cluster.count:
                with suppress(KafkaError):
                    self._cluster.count = len(self._consumer.partitions_for_topic(CURSOR_TOPIC))
                stop.wait(0.0 if self._cluster.count else 0.2)
            self._subscribe()
            while not stop.is_set():
                if self._limbo is not None and time.monotonic() - self._limbo > LIMBO_SECONDS:
                    self._join_anew()
                try:
                    self._turn()
                except KafkaError as error:
                    if not error.retriable:
                        raise
                    # The broker is away: it is waited for, and what is held meanwhile is held still.
                    stop.wait(0.2)
        finally:
            self._give_back()
            self._consumer.close()
            leave(*self._member)

    def _turn(self) -> None:
        for records in self._consumer.poll(timeout_ms=300).values():
            for record in records:
                self._remember(record.key, record.value)
        self._take()

    def _subscribe(self) -> None:
        self._limbo = time.monotonic()
        self._consumer.subscribe([CURSOR_TOPIC], listener=self)

    def _join_anew(self) -> None:
        """Replace a member that hears nothing.

        kafka-python 3.0 can forget that it is about to join: news of the cluster that come while a poll runs out of
        time end its wish to, with the answer unread and the heartbeats off. It would wait for ever.
        """
        self._give_back()
        self._owned.clear()
        self._limbo = time.monotonic()
        try:
            following = self._connect()
        except KafkaError:
            # The broker is away: this member waits for it as well as another would.
            return
        with suppress(KafkaError):
            self._consumer.close(timeout_ms=1000)
        self._consumer = following
        self._subscribe()

    def _give_back(self) -> None:
        for name in sorted(self._held):
            self._holder.given_back(name)
        self._held.clear()

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Give back what the partitions hold."""
        self._limbo = time.monotonic()
        gone = {tp.partition for tp in revoked}
        self._owned -= gone
        for name in sorted(self._held):
            if self._number(name) in gone:
                self._held.discard(name)
                self._holder.given_back(name)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Take note; the group never commits, so its cursors are read from the start by themselves."""
        self._limbo = None
        self._owned |= {tp.partition for tp in assigned}

    def _take(self) -> None:
        waiting = [name for name in self._names if name not in self._held and self._number(name) in self._owned]
        if not waiting:
            return
        tps = [TopicPartition(CURSOR_TOPIC, number) for number in sorted(map(self._number, set(waiting)))]
        ends = self._consumer.end_offsets(tps)
        for name in waiting:
            tp = TopicPartition(CURSOR_TOPIC, self._number(name))
            if self._consumer.position(tp) >= ends[tp]:
                self._held.add(name)
                self._holder.taken(name, self._cursors.get(name, {}))

    def _number(self, name: str) -> int:
        return partition_of(name.encode(), self._cluster.count)

    def _remember(self, key: bytes | None, value: bytes | None) -> None:
        try:
            cursor = json.loads(value) if value else {}
            self._cursors[(key or b"").decode()] = cursor if isinstance(cursor, dict) else {}
        except ValueError:
            # A cursor that cannot be read is no cursor: the source starts anew, which repeats and loses nothing.
            self._cursors.pop((key or b"").decode("utf-8", "replace"), None)

"""Who may do what only one may do: owning the partition of a name's cursor is the lease, its value the cursor.

An ordinary consumer group over `intake.cursor`; a name (a product, a sink) belongs to the partition
that it hashes to.  A lease is given only after the partition's cursors have been read to the end.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition

from hub.kafka.produce import partition_of
from hub.kafka.wire import CURSOR_TOPIC


class Holder(Protocol):
    """What takes and gives back leases; called from the thread that runs `Leases.run`."""

    def taken(self, name: str, cursor: Mapping[str, Any]) -> None:
        """Begin, from the cursor."""
        ...

    def given_back(self, name: str) -> None:
        """Stop; return once nothing more is done under the name."""
        ...


class Leases(ConsumerRebalanceListener):
    """Keeps the membership alive and tells the holder what it may do."""

    def __init__(
        self,
        options: Mapping[str, Any],
        group: str,
        names: Iterable[str],
        holder: Holder,
        instance: str | None,
    ) -> None:
        """`instance` is the stable name of this worker slot: a restart takes up its leases at once."""
        self._consumer = KafkaConsumer(
            group_id=group,
            group_instance_id=instance,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=10_000,
            heartbeat_interval_ms=3_000,
            **options,
        )
        self._names = tuple(names)
        self._holder = holder
        self._owned: set[int] = set()
        self._held: set[str] = set()
        self._cursors: dict[str, Mapping[str, Any]] = {}
        self._count = 0

    def run(self, stop: threading.Event) -> None:
        """Poll the group until told to stop; then give everything back."""
        self._consumer.subscribe([CURSOR_TOPIC], listener=self)
        try:
            while not stop.is_set():
                for records in self._consumer.poll(timeout_ms=300).values():
                    for record in records:
                        self._remember(record.key, record.value)
                self._take()
        finally:
            for name in sorted(self._held):
                self._holder.given_back(name)
            self._held.clear()
            self._consumer.close()

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Give back what the partitions hold."""
        gone = {tp.partition for tp in revoked}
        self._owned -= gone
        for name in sorted(self._held):
            if self._number(name) in gone:
                self._held.discard(name)
                self._holder.given_back(name)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Take note; the group never commits, so its cursors are read from the start by themselves."""
        self._owned |= {tp.partition for tp in assigned}

    def _take(self) -> None:
        if not self._count:
            self._count = len(self._consumer.partitions_for_topic(CURSOR_TOPIC) or ())
        waiting = [
            name for name in self._names if name not in self._held and self._count and self._number(name) in self._owned
        ]
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
        return partition_of(name.encode(), self._count)

    def _remember(self, key: bytes | None, value: bytes | None) -> None:
        try:
            cursor = json.loads(value) if value else {}
            self._cursors[(key or b"").decode()] = cursor if isinstance(cursor, dict) else {}
        except ValueError:
            # A cursor that cannot be read is no cursor: the source starts anew, which repeats and loses nothing.
            self._cursors.pop((key or b"").decode("utf-8", "replace"), None)

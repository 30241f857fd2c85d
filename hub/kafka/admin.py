"""Looks at the broker's topics and groups, and carries out the steps that `hub.kafka.topics` finds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, OffsetSpec
from kafka.errors import KafkaError, NoError, UnknownMemberIdError
from kafka.structs import OffsetAndMetadata, TopicPartition

from hub.kafka import wire
from hub.kafka.topics import Actual, Busy, Lost, Plan, Step

PATIENCE = 30.0
"""Seconds for which a broker may be busy with itself: a new cluster has no group coordinator yet."""


class Admin:
    """Looks at the broker and carries steps out."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """`options` are kafka-python's connection settings."""
        self._admin = KafkaAdminClient(**options)

    def close(self) -> None:
        """Disconnect."""
        self._admin.close()

    def actual(self, names: Iterable[str]) -> dict[str, Actual]:
        """Return those of the topics that exist."""
        wanted = set(names)
        described = self._admin.describe_topics(sorted(wanted & set(self._admin.list_topics())))
        found = {item["name"]: item["partitions"] for item in described}
        if not found:
            return {}
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in sorted(found)]
        configs = self._admin.describe_configs(resources)
        values = configs.get("topic", {})
        return {
            name: Actual(
                len(partitions),
                _plain(values.get(name, {})),
                min((len(partition["replica_nodes"]) for partition in partitions), default=0),
            )
            for name, partitions in found.items()
        }

    def lost(self, plan: Plan) -> list[Lost]:
        """Find what was deleted before its group has read it."""
        found = []
        for group, names in plan.groups.items():
            offsets = self._patiently(self._admin.list_group_offsets, {group: None}).get(group, {})
            at = {tp: known.offset for tp, known in offsets.items() if tp.topic in names and known.offset >= 0}
            first = self._admin.list_partition_offsets(dict.fromkeys(at, OffsetSpec.EARLIEST))
            for tp, offset in sorted(at.items()):
                if first[tp].offset > offset and tp.topic != wire.IDENTITY_TOPIC:
                    found.append(Lost(group, tp.topic, tp.partition, offset, first[tp].offset))
        return found

    def accept(self, lost: Iterable[Lost]) -> None:
        """Let groups go on behind what is lost; raise `Busy` for a group that is at work."""
        for one in lost:
            self._begin(one.group, {TopicPartition(one.topic, one.partition): OffsetAndMetadata(one.end, "", -1)})

    def committed(self, groups: Iterable[str]) -> dict[str, list[tuple[str, int]]]:
        """Return the partitions for which each group has an offset."""
        found: dict[str, list[tuple[str, int]]] = {}
        for group in groups:
            offsets = self._patiently(self._admin.list_group_offsets, {group: None}).get(group, {})
            found[group] = [(tp.topic, tp.partition) for tp, at in offsets.items() if at.offset >= 0]
        return found

    def apply(self, plan: Plan, todo: Iterable[Step], committed: Mapping[str, Iterable[tuple[str, int]]]) -> None:
        """Carry out every step but refusals; raise `Busy` for a group that is at work."""
        todo = list(todo)
        refused = {step.name for step in todo if step.action == "refuse"}
        new = [plan.topics[step.name] for step in todo if step.action == "create"]
        if new:
            self._admin.create_topics(
                {
                    topic.name: {
                        "num_partitions": topic.partitions,
                        "replication_factor": topic.copies,
                        "configs": dict(topic.config),
                    }
                    for topic in new
                }
            )
        for step in todo:
            if step.action == "configure":
                self._admin.alter_configs(
                    [ConfigResource(ConfigResourceType.TOPIC, step.name, dict(plan.topics[step.name].config))]
                )
        for step in todo:
            if step.action == "offsets":
                known = set(committed.get(step.name, ()))
                first = {
                    TopicPartition(name, number): OffsetAndMetadata(0, "", -1)
                    for name in plan.groups[step.name]
                    if name not in refused
                    for number in range(plan.topics[name].partitions)
                    if (name, number) not in known
                }
                self._begin(step.name, first)

    def _begin(self, group: str, first: dict[TopicPartition, OffsetAndMetadata]) -> None:
        """Give a group offsets to begin at; the broker answers for each partition, and raises nothing."""
        limit = time.monotonic() + PATIENCE
        while first:
            answers = self._patiently(self._admin.alter_group_offsets, group, first)
            first = {tp: at for tp, at in first.items() if answers.get(tp) is not NoError}
            wrong = next((answers[tp] for tp in first if tp in answers), None)
            if wrong is UnknownMemberIdError:
                raise Busy(f"{group} is at work, and got no offsets to begin at; stop the hub's roles, then try again")
            if wrong is not None and (not wrong.retriable or time.monotonic() > limit):
                raise wrong(group)
            if first:
                time.sleep(0.1)

    @staticmethod
    def _patiently(ask: Callable[..., Any], *what: Any) -> Any:
        """Repeat while the broker is busy with itself."""
        limit = time.monotonic() + PATIENCE
        while True:
            try:
                return ask(*what)
            except KafkaError as error:
                if not getattr(error, "retriable", False) or time.monotonic() > limit:
                    raise
                time.sleep(0.1)


def _plain(values: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {key: str(value["value"]) for key, value in values.items()}

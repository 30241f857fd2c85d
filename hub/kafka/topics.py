"""The topics of the hub: what should be there, what is, and the steps between.

Faust creates none.  Groups get their first offsets here, at the start of each topic, so that no
consumer ever has to guess where to begin.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata, TopicPartition

from hub.kafka import wire

PATIENCE = 30.0
"""Seconds for which a broker may be busy with itself: a new cluster has no group coordinator yet."""


class Desired(NamedTuple):
    """A topic as it should be."""

    name: str
    partitions: int
    config: Mapping[str, str]


class Actual(NamedTuple):
    """A topic as it is."""

    partitions: int
    config: Mapping[str, str]


class Step(NamedTuple):
    """One thing to do: `create`, `configure`, `offsets`; or `refuse`, which nothing does."""

    action: str
    name: str
    detail: str


@dataclass(frozen=True)
class Plan:
    """The file `topics.toml`, read."""

    partitions: int
    epochs: Mapping[str, int]
    topics: Mapping[str, Desired]
    groups: Mapping[str, tuple[str, ...]]
    """Consumer group to its topics."""

    def epoch(self, product: str) -> int:
        """Return which life a product's raw topic is in."""
        return self.epochs.get(product, 1)


def read(path: Path, size: str, products: Iterable[str], domains: Iterable[str], person_domains: Iterable[str]) -> Plan:
    """Read the file for a size of town; ValueError names what is missing in it."""
    document = tomllib.loads(path.read_text("utf-8"))
    try:
        count = int(document["partitions"][size])
        kinds = document["kinds"]
        topics: dict[str, Desired] = {}

        def add(name: str, kind: str) -> None:
            topics[name] = Desired(name, count, kinds[kind])

        for product in sorted(products):
            add(wire.raw_topic(product), "raw")
            add(wire.quarantine_topic(product), "quarantine")
            add(wire.state_topic(product), "state")
        for domain in sorted(domains):
            add(wire.event_topic(domain), "event")
        add(wire.IDENTITY_TOPIC, "links")
        add(wire.CITIZEN_TOPIC, "citizen")
        add(wire.CURSOR_TOPIC, "cursor")
    except KeyError as error:
        raise ValueError(f"{path}: {error.args[0]}: missing; add it") from None
    events = tuple(wire.event_topic(domain) for domain in sorted(domains))
    groups = {
        "hub.normalise": tuple(wire.raw_topic(product) for product in sorted(products)),
        "hub.identify": (wire.IDENTITY_TOPIC, *(wire.event_topic(domain) for domain in sorted(person_domains))),
        "hub.project": events,
    }
    return Plan(count, {k: int(v) for k, v in document.get("epochs", {}).items()}, topics, groups)


def steps(plan: Plan, actual: Mapping[str, Actual], committed: Mapping[str, Iterable[tuple[str, int]]]) -> list[Step]:
    """Compare; `committed` gives each group's partitions that have an offset."""
    found: list[Step] = []
    for name, topic in plan.topics.items():
        there = actual.get(name)
        if there is None:
            found.append(Step("create", name, f"{topic.partitions} partitions"))
        elif there.partitions != topic.partitions:
            found.append(
                Step(
                    "refuse",
                    name,
                    f"has {there.partitions} partitions and should have {topic.partitions}: adding some would "
                    "reorder subjects; make a new topic and raise its epoch",
                )
            )
        else:
            wrong = [key for key, value in topic.config.items() if there.config.get(key) != value]
            if wrong:
                found.append(Step("configure", name, ", ".join(wrong)))
    for group, names in plan.groups.items():
        known = set(committed.get(group, ()))
        missing = [
            (name, number)
            for name in names
            for number in range(plan.topics[name].partitions)
            if (name, number) not in known
        ]
        if missing:
            found.append(Step("offsets", group, f"{len(missing)} partitions"))
    return found


class Admin:
    """Looks at the broker and carries steps out."""

    def __init__(self, options: Mapping[str, Any], replication: int) -> None:
        """`options` are kafka-python's connection settings."""
        self._admin = KafkaAdminClient(**options)
        self._replication = replication

    def close(self) -> None:
        """Disconnect."""
        self._admin.close()

    def actual(self, names: Iterable[str]) -> dict[str, Actual]:
        """Return those of the topics that exist."""
        wanted = set(names)
        described = self._admin.describe_topics(sorted(wanted & set(self._admin.list_topics())))
        counts = {item["name"]: len(item["partitions"]) for item in described}
        if not counts:
            return {}
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in sorted(counts)]
        configs = self._admin.describe_configs(resources)
        values = configs.get("topic", {})
        return {name: Actual(count, _plain(values.get(name, {}))) for name, count in counts.items()}

    def committed(self, groups: Iterable[str]) -> dict[str, list[tuple[str, int]]]:
        """Return the partitions for which each group has an offset."""
        found: dict[str, list[tuple[str, int]]] = {}
        for group in groups:
            offsets = self._patiently(self._admin.list_group_offsets, {group: None}).get(group, {})
            found[group] = [(tp.topic, tp.partition) for tp, at in offsets.items() if at.offset >= 0]
        return found

    def apply(self, plan: Plan, todo: Iterable[Step], committed: Mapping[str, Iterable[tuple[str, int]]]) -> None:
        """Carry out every step but refusals."""
        todo = list(todo)
        new = [plan.topics[step.name] for step in todo if step.action == "create"]
        if new:
            self._admin.create_topics(
                {
                    topic.name: {
                        "num_partitions": topic.partitions,
                        "replication_factor": self._replication,
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
                    for number in range(plan.topics[name].partitions)
                    if (name, number) not in known
                }
                self._patiently(self._admin.alter_group_offsets, step.name, first)

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

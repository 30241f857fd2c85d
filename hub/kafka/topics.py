"""The topics of the hub: what should be there, what is, and the steps between.

Faust creates none.  Groups get their first offsets here, at the start of each topic, so that no
consumer ever has to guess where to begin.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hub.kafka import wire


class Desired(NamedTuple):
    """A topic as it should be."""

    name: str
    partitions: int
    config: Mapping[str, str]
    copies: int


class Actual(NamedTuple):
    """A topic as it is."""

    partitions: int
    config: Mapping[str, str]
    copies: int
    """Of the partition that has the fewest."""


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


class Lost(NamedTuple):
    """Records that were deleted before a group has read them: offsets `first` to `end` - 1."""

    group: str
    topic: str
    partition: int
    first: int
    end: int


class Busy(Exception):
    """A group is at work: the broker lets nobody else set its offsets."""


def read(
    path: Path,
    size: str,
    copies: int,
    products: Iterable[str],
    domains: Iterable[str],
    person_domains: Iterable[str],
) -> Plan:
    """Read the file for a size of town and copies of each topic; ValueError names what is missing in it."""
    document = tomllib.loads(path.read_text("utf-8"))
    try:
        count = int(document["partitions"][size])
        kinds = document["kinds"]
        topics: dict[str, Desired] = {}
        # "Acknowledged by all" means by those in sync, which may be one that then burns down.
        safe = {"min.insync.replicas": str(copies - 1)} if copies > 2 else {}

        def add(name: str, kind: str) -> None:
            topics[name] = Desired(name, count, {**kinds[kind], **safe}, copies)

        for product in sorted(products):
            add(wire.raw_topic(product), "raw")
            add(wire.quarantine_topic(product), "quarantine")
            add(wire.state_topic(product), "state")
        for domain in sorted(domains):
            add(wire.event_topic(domain), "event")
        add(wire.IDENTITY_TOPIC, "links")
        add(wire.CITIZEN_TOPIC, "citizen")
        add(wire.CURSOR_TOPIC, "cursor")
        add(wire.SWITCH_TOPIC, "switch")
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
    refused: set[str] = set()
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
            refused.add(name)
        else:
            wrong = [key for key, value in topic.config.items() if there.config.get(key) != value]
            if wrong:
                found.append(Step("configure", name, ", ".join(wrong)))
            if there.copies < topic.copies:
                found.append(
                    Step(
                        "refuse",
                        name,
                        f"has {there.copies} copies and should have {topic.copies}: add them with "
                        "Kafka's kafka-reassign-partitions",
                    )
                )
    for group, names in plan.groups.items():
        known = set(committed.get(group, ()))
        missing = [
            (name, number)
            for name in names
            if name not in refused
            for number in range(plan.topics[name].partitions)
            if (name, number) not in known
        ]
        if missing:
            found.append(Step("offsets", group, f"{len(missing)} partitions"))
    return found

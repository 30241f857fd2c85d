"""Workers come and go: a subject's links and its events always lie with one worker."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from subprocess import Popen

import pytest
from city import INSTALLED, eventually
from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient

from hub.catalogue import ROOT
from hub.kafka.wire import IDENTITY_TOPIC
from hub.process import end, spawn
from hub.testing.cluster import Kafka

pytestmark = [pytest.mark.kill, pytest.mark.kafka, pytest.mark.timeout(240)]
GROUP = "hub.identify"
WORKERS, PARTITIONS = 5, 12


def owners(admin: AdminClient) -> dict[int, dict[str, set[str]]]:
    """Return which member has which topics, by number of the partition; empty while the group changes."""
    found: dict[int, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    group = admin.describe_consumer_groups([GROUP])[GROUP].result()
    if group.state != ConsumerGroupState.STABLE:
        return {}
    for member in group.members:
        for tp in member.assignment.topic_partitions:
            found[tp.partition][member.member_id].add(tp.topic)
    return found


def test_five_workers_on_twelve_partitions_keep_links_and_events_together(tmp_path: Path) -> None:
    """At every size of the group, every number of a partition is one worker's, on every topic that it reads."""
    with Kafka(tmp_path / "kafka") as node:
        line = [sys.executable, *INSTALLED]
        for value in (f"kafka.bootstrap={node.bootstrap}", "kafka.size=town", f"data_dir={tmp_path}"):
            line += ["--set", value]
        line += ["--set", f"telemetry.discovery_file={tmp_path}/prometheus.json"]
        spawn([*line, "topics", "apply"], cwd=ROOT, log=tmp_path / "topics.log").wait(60)
        admin = AdminClient({"bootstrap.servers": node.bootstrap})
        workers: list[Popen[bytes]] = []

        def together(members: int) -> bool:
            found = owners(admin)
            every = set().union(*(topics for has in found.values() for topics in has.values()))
            return (
                len({member for has in found.values() for member in has}) == members
                and sorted(found) == list(range(PARTITIONS))
                and all(list(has.values()) == [every] for has in found.values())
                and IDENTITY_TOPIC in every
                and len(every) > 1
            )

        try:
            for slot in range(1, WORKERS + 1):
                sets = ["--set", f"workers.slot={slot}"]
                workers.append(spawn([*line, *sets, "run", "identify"], cwd=ROOT, log=tmp_path / f"{slot}.log"))
            eventually(lambda: together(WORKERS), 90)
            workers.pop().kill()
            end(workers.pop(0), 15)
            eventually(lambda: together(3), 60)
        finally:
            for worker in workers:
                end(worker, 15)

"""Topics: the plan says what is missing, does it once, and refuses what would reorder."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
from city import eventually
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from hub.catalogue import ROOT
from hub.config import Kafka as KafkaSettings
from hub.config import Settings
from hub.kafka.admin import Admin
from hub.kafka.clients import for_kafka_python
from hub.kafka.topics import Actual, Plan, steps
from hub.roles.runtime import topic_plan
from hub.testing.cluster import Kafka


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Read the committed file."""
    return topic_plan(Settings())


def everything(plan: Plan) -> tuple[dict[str, Actual], dict[str, list[tuple[str, int]]]]:
    """Describe a broker on which nothing is missing."""
    actual = {name: Actual(topic.partitions, topic.config, topic.copies) for name, topic in plan.topics.items()}
    offsets = {
        group: [(name, number) for name in names for number in range(plan.partitions)]
        for group, names in plan.groups.items()
    }
    return actual, offsets


def test_an_empty_broker_needs_everything(plan: Plan) -> None:
    """Each topic is made, each group gets its first offsets."""
    found = steps(plan, {}, {})
    assert len(plan.topics) == sum(step.action == "create" for step in found)
    assert set(plan.groups) == {step.name for step in found if step.action == "offsets"}


def test_nothing_missing_is_nothing_to_do(plan: Plan) -> None:
    """A second look finds no step."""
    assert steps(plan, *everything(plan)) == []


def test_other_partition_counts_are_refused(plan: Plan) -> None:
    """Adding partitions would send a subject elsewhere."""
    actual, offsets = everything(plan)
    actual["raw.publik"] = Actual(plan.partitions - 1, actual["raw.publik"].config, 1)
    # Partitions that are not there get no offsets either.
    offsets["hub.normalise"].remove(("raw.publik", plan.partitions - 1))
    (step,) = steps(plan, actual, offsets)
    assert (step.action, step.name) == ("refuse", "raw.publik")
    assert "reorder" in step.detail


def test_a_changed_retention_is_configured(plan: Plan) -> None:
    """Only what differs is touched."""
    actual, offsets = everything(plan)
    before = actual["raw.publik"]
    for key, value in (("retention.ms", "1"), ("cleanup.policy", "compact"), ("max.message.bytes", "7")):
        actual["raw.publik"] = before._replace(config={**before.config, key: value})
        (step,) = steps(plan, actual, offsets)
        assert step == ("configure", "raw.publik", key)


def test_too_few_copies_are_told_and_a_city_writes_to_two_of_three() -> None:
    """One broker that burns down loses nothing; what only Kafka's own tool mends is refused."""
    city = topic_plan(Settings(kafka=KafkaSettings(size="town", replication=3)))
    assert {topic.config["min.insync.replicas"] for topic in city.topics.values()} == {"2"}
    actual, offsets = everything(city)
    assert steps(city, actual, offsets) == []
    actual["raw.publik"] = actual["raw.publik"]._replace(copies=1)
    (step,) = steps(city, actual, offsets)
    assert (step.action, step.name) == ("refuse", "raw.publik")
    assert "1 copies and should have 3" in step.detail


def hub(kafka: Kafka, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    return subprocess.run(
        [sys.executable, "-m", "hub.cli", "--set", f"kafka.bootstrap={kafka.bootstrap}", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )


def forget_topics(kafka: Kafka, plan: Plan) -> None:
    """Empty the broker of what an earlier test made."""
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    try:
        if there := sorted(plan.topics.keys() & set(admin.list_topics())):
            admin.delete_topics(there)
        eventually(lambda: not plan.topics.keys() & set(admin.list_topics()))
    finally:
        admin.close()


@pytest.mark.kafka
def test_apply_does_what_plan_says_once(kafka: Kafka) -> None:
    """plan: 1 and a list; apply: 0; plan again: 0 and nothing."""
    forget_topics(kafka, topic_plan(Settings()))
    before = hub(kafka, "topics", "plan", "--json")
    assert (before.returncode, len(json.loads(before.stdout)) > 10) == (1, True)
    assert hub(kafka, "topics", "apply").returncode == 0
    after = hub(kafka, "topics", "plan")
    assert (after.returncode, after.stdout) == (0, "topics: nothing to do\n")


@pytest.mark.kafka
def test_drift_is_seen_and_a_group_at_work_is_told(kafka: Kafka) -> None:
    """What somebody changed by hand is put back; offsets that the broker refuses are no success."""
    assert hub(kafka, "topics", "apply").returncode == 0
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, "raw.publik", {"cleanup.policy": "compact"})])
    # A broker tells of a change once it has read it in the metadata's log: not at once on a slow machine.
    limit = time.monotonic() + 30
    steps: list[dict[str, str]] = []
    while not steps and time.monotonic() < limit:
        steps = json.loads(hub(kafka, "topics", "plan", "--json").stdout)
    (step,) = steps
    assert (step["action"], step["name"], step["detail"]) == ("configure", "raw.publik", "cleanup.policy")
    assert hub(kafka, "topics", "apply").returncode == 0
    admin.delete_group_offsets("hub.identify", [TopicPartition("event.library.v1", 0)])
    consumer = KafkaConsumer(
        "event.identity.v1",
        bootstrap_servers=kafka.bootstrap,
        group_id="hub.identify",
        # It must still count as at work when a slow machine has started the command.
        session_timeout_ms=60_000,
    )
    try:
        while not consumer.assignment():
            consumer.poll(200)
        busy = hub(kafka, "topics", "apply")
        assert busy.returncode == 3
        assert busy.stderr.startswith("hub topics: hub.identify is at work")
        assert len(busy.stderr.splitlines()) == 1
    finally:
        consumer.close()
    assert hub(kafka, "topics", "apply").returncode == 0
    assert hub(kafka, "topics", "plan").returncode == 0
    looked = Admin(for_kafka_python(KafkaSettings(bootstrap=kafka.bootstrap)))
    assert looked.actual(["raw.publik"])["raw.publik"].copies == 1
    looked.close()
    admin.close()

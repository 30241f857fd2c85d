"""Topics: the plan says what is missing, does it once, and refuses what would reorder."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from hub.catalogue import ROOT
from hub.config import Settings
from hub.kafka.topics import Actual, Plan, steps
from hub.roles.runtime import topic_plan
from hub.testing.cluster import Kafka


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Read the committed file."""
    return topic_plan(Settings())


def everything(plan: Plan) -> tuple[dict[str, Actual], dict[str, list[tuple[str, int]]]]:
    """Describe a broker on which nothing is missing."""
    actual = {name: Actual(topic.partitions, topic.config) for name, topic in plan.topics.items()}
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
    actual["raw.publik"] = Actual(plan.partitions + 1, actual["raw.publik"].config)
    (step,) = steps(plan, actual, offsets)
    assert (step.action, step.name) == ("refuse", "raw.publik")
    assert "reorder" in step.detail


def test_a_changed_retention_is_configured(plan: Plan) -> None:
    """Only what differs is touched."""
    actual, offsets = everything(plan)
    actual["raw.publik"] = Actual(plan.partitions, {**actual["raw.publik"].config, "retention.ms": "1"})
    (step,) = steps(plan, actual, offsets)
    assert step == ("configure", "raw.publik", "retention.ms")


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


@pytest.mark.kafka
def test_apply_does_what_plan_says_once(kafka: Kafka) -> None:
    """plan: 1 and a list; apply: 0; plan again: 0 and nothing."""
    before = hub(kafka, "topics", "plan", "--json")
    assert (before.returncode, len(json.loads(before.stdout)) > 10) == (1, True)
    assert hub(kafka, "topics", "apply").returncode == 0
    after = hub(kafka, "topics", "plan")
    assert (after.returncode, after.stdout) == (0, "topics: nothing to do\n")

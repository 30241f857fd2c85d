"""Records that were deleted before they were read stop their role with the remedy, and are never jumped."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
from city import Hub, eventually, link
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from hub.catalogue import ROOT
from hub.kafka import topics
from hub.kafka.admin import Admin
from hub.kafka.reading import ends, reader
from hub.kafka.topics import Lost
from hub.process import end, spawn
from hub.store import Store
from hub.testing.cluster import Kafka

pytestmark = pytest.mark.kafka


def accepts(hub: Hub) -> bool:
    """Try to accept the loss."""
    done = subprocess.run([*hub.line, "topics", "accept-loss", "--yes"], cwd=ROOT, capture_output=True, check=False)
    return done.returncode == 0


def stops(hub: Hub, role: str) -> str:
    """Run a role that must end because of what is outside, and return what it says."""
    done = subprocess.run([*hub.line, "run", role], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    return done.stderr


def test_the_portals_commands_are_not_jumped_over_either(tmp_path: Path) -> None:
    """They come before all else, and each is a wish of its own: project stops at a hole, and at an end that came back.

    A topic ends before what was read of it when a broker lost what it had acknowledged: what comes next would bear
    the address of another record.
    """
    topic = "event.citizen_portal.v1"
    with Kafka(tmp_path / "kafka") as node, Hub(node, tmp_path, roles=("normalise",)) as hub:
        citizen = str(uuid4())
        for number in range(3):
            hub.send(citizen, link(citizen, number))
        with reader(hub.options) as consumer:
            eventually(lambda: sum(ends(consumer, topic).values()) == 3)
            (mine,) = [number for number, offset in ends(consumer, topic).items() if offset]
        admin = KafkaAdminClient(**hub.options)
        admin.delete_records({TopicPartition(topic, mine): 2})
        admin.close()
        assert f"{topic}/{mine}: records 0 to 1 are gone and were never read" in stops(hub, "project")
        with closing(Admin(hub.options)) as offsets:
            # The broker remembers a member by its name until its session ends.
            eventually(lambda: sets(offsets, Lost("hub.project", topic, mine, 0, 100)))
        assert f"{topic}/{mine}: read up to 100, and it ends at 3" in stops(hub, "project")
        with closing(Store(hub.database)) as store:
            assert store.counts()["commands"] == 0


def sets(offsets: Admin, where: Lost) -> bool:
    """Let a group go on at an offset."""
    try:
        offsets.accept([where])
    except topics.Busy:
        return False
    return True


def test_a_hole_stops_the_role_until_somebody_accepts_the_loss(tmp_path: Path) -> None:
    """The line names the partition and the offsets; accepted, the role goes on behind them."""
    with Kafka(tmp_path / "kafka") as node:
        with Hub(node, tmp_path) as hub:
            citizen = str(uuid4())
            hub.send(citizen, link(citizen, 1))
            eventually(lambda: len(hub.subjects()) == 1)
            time.sleep(1)
        with Hub(node, tmp_path, roles=()) as hub:
            for number in range(2, 6):
                hub.send(citizen, link(citizen, number))
            with reader(hub.options) as consumer:
                last = ends(consumer, "raw.publik")
            (mine,) = [number for number, offset in last.items() if offset > 1]
            admin = KafkaAdminClient(**hub.options)
            admin.delete_records({TopicPartition("raw.publik", mine): 4})
            admin.close()
            said = stops(hub, "normalise")
            assert f"raw.publik/{mine}: records 1 to 3 are gone and were never read" in said
            assert "hub topics accept-loss" in said
            assert len(hub.subjects()) == 1
            lost = json.loads(hub.hub("topics", "accept-loss", "--json"))
            assert [(one["group"], one["first"], one["end"]) for one in lost] == [("hub.normalise", 1, 4)]
            # The broker remembers a member by its name until its session ends.
            eventually(lambda: accepts(hub))
            role_again = spawn([*hub.line, "run", "normalise"], cwd=ROOT, log=tmp_path / "again.log")
            eventually(lambda: len(hub.subjects()) == 2)
            end(role_again, 15)

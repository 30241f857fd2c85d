"""Records that were deleted before they were read stop their role with the remedy, and are never jumped."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from uuid import uuid4

import pytest
from city import Hub, eventually, link
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from hub.catalogue import ROOT
from hub.kafka.reading import ends, reader
from hub.process import end, spawn
from hub.testing.cluster import Kafka

pytestmark = pytest.mark.kafka


def accepts(hub: Hub) -> bool:
    """Try to accept the loss."""
    done = subprocess.run([*hub.line, "topics", "accept-loss", "--yes"], cwd=ROOT, capture_output=True, check=False)
    return done.returncode == 0


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
            role = subprocess.run(
                [*hub.line, "run", "normalise"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
            )
            assert role.returncode == 3
            assert f"raw.publik/{mine}: records 1 to 3 are gone and were never read" in role.stderr
            assert "hub topics accept-loss" in role.stderr
            assert len(hub.subjects()) == 1
            lost = json.loads(hub.hub("topics", "accept-loss", "--json"))
            assert [(one["group"], one["first"], one["end"]) for one in lost] == [("hub.normalise", 1, 4)]
            # The broker remembers a member by its name until its session ends.
            eventually(lambda: accepts(hub))
            role_again = spawn([*hub.line, "run", "normalise"], cwd=ROOT, log=tmp_path / "again.log")
            eventually(lambda: len(hub.subjects()) == 2)
            end(role_again, 15)

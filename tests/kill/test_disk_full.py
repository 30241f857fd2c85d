"""A broker whose disk is full loses nothing that it has acknowledged, and the hub goes on when there is room."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import pytest
from city import Hub, eventually
from portal import Portal, settle, told

from hub.testing.cluster import Kafka

pytestmark = [pytest.mark.kill, pytest.mark.kafka, pytest.mark.timeout(240)]


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux can set another process's limits")
def test_a_full_disk_at_the_broker_loses_nothing(tmp_path: Path) -> None:
    """No file may grow beyond a few kilobytes: the broker gives up; with room again, everything is there, in order."""
    with Kafka(tmp_path / "kafka") as node, Hub(node, tmp_path) as hub:
        portal = Portal(hub)
        eventually(lambda: sum(map(len, told(hub).values())) > 50)
        pid = node.pid
        assert pid is not None
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, 4096))
        limit = time.monotonic() + 40
        while node.pid is not None and time.monotonic() < limit:
            time.sleep(0.2)
        assert node.pid is None, "the broker went on writing"
        time.sleep(5)
        node.start()
        done = sum(map(len, told(hub).values()))
        eventually(lambda: sum(map(len, told(hub).values())) > done + 50, 90)
        portal.stop()
        settle(hub, portal)

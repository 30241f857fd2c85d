"""A worker that was stopped, replaced and woken up changes nothing; and its place is taken in good time."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from city import Hub, eventually
from portal import Portal, settle, told

from hub.catalogue import ROOT
from hub.process import end, spawn
from hub.testing.cluster import Kafka

pytestmark = [pytest.mark.kill, pytest.mark.kafka, pytest.mark.timeout(180)]


def test_a_worker_that_wakes_up_changes_nothing(tmp_path: Path) -> None:
    """SIGSTOP at work, another slot takes over, something is released, SIGCONT: nothing lost, nothing disordered."""
    with Kafka(tmp_path / "kafka") as node, Hub(node, tmp_path, roles=()) as hub:
        portal = Portal(hub)
        one = spawn([*hub.line, "run", "normalise"], cwd=ROOT, log=tmp_path / "one.log")
        eventually(lambda: sum(map(len, told(hub).values())) > 50)
        os.kill(one.pid, signal.SIGSTOP)
        stopped = sum(map(len, told(hub).values()))
        two = spawn([*hub.line, "--set", "workers.slot=2", "run", "normalise"], cwd=ROOT, log=tmp_path / "two.log")
        begun = time.monotonic()
        eventually(lambda: sum(map(len, told(hub).values())) > stopped + 100)
        taken_over = time.monotonic() - begun
        hub.json("drop", "publik", "--code", "undecodable", "--why", "test", "--yes")
        os.kill(one.pid, signal.SIGCONT)
        time.sleep(5)
        portal.stop()
        settle(hub, portal)
        for worker in (one, two):
            end(worker, 15)
        # Half of it is the broker's session of eight seconds; the rest is what these machines need to start Python.
        assert taken_over < 30

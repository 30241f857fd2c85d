"""The Kafka of tests and demo: it comes back with its data and its address, and does not outlive its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from hub.catalogue import ROOT
from hub.testing.cluster import Kafka

pytestmark = pytest.mark.kafka


def write(node: Kafka, value: bytes) -> None:
    """Write a record and wait for its acknowledgement."""
    producer = KafkaProducer(bootstrap_servers=node.bootstrap, acks="all")
    producer.send("kept", value).get(20)
    producer.close()


def read(node: Kafka) -> list[bytes]:
    """Read all records."""
    partition = TopicPartition("kept", 0)
    consumer = KafkaConsumer(bootstrap_servers=node.bootstrap, consumer_timeout_ms=10_000)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    end = consumer.end_offsets([partition])[partition]
    found: list[bytes] = []
    for record in consumer:
        found.append(record.value)
        if record.offset + 1 >= end:
            break
    consumer.close()
    return found


def test_it_comes_back_with_its_data_and_its_address(tmp_path: Path) -> None:
    """After an orderly stop, and after a kill: acknowledged records are there, at the same port."""
    node = Kafka(tmp_path)
    node.start()
    try:
        address = node.bootstrap
        admin = KafkaAdminClient(bootstrap_servers=address)
        admin.create_topics([NewTopic("kept", 1, 1)])
        admin.close()
        write(node, b"1")
        node.stop()
        assert node.pid is None
        node.start()
        assert node.bootstrap == address
        write(node, b"2")
        node.kill()
        again = Kafka(tmp_path)
        again.start()
        try:
            assert again.bootstrap == address
            assert read(again) == [b"1", b"2"]
        finally:
            again.stop()
    finally:
        node.stop()


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a process that starts a node and tells its pid."""
    program = (
        "import sys, time; from pathlib import Path; from hub.testing.cluster import Kafka\n"
        "node = Kafka(Path(sys.argv[1])); node.start(); print(node.pid, flush=True); time.sleep(120)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_it_does_not_outlive_a_killed_parent(parent: subprocess.Popen[str]) -> None:
    """The kernel ends the node."""
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    os.kill(pid, 0)
    parent.send_signal(signal.SIGKILL)
    limit = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < limit:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()

"""How fast each tool does the same job, on one Kafka, in interleaved rounds.

    python bench/throughput.py --rounds 3

Every peer is a process of its own that reads one topic and writes another.  It is measured from outside, the same
for all: end offsets of its output topic, and CPU by /proc, over a window after a warm-up.  Only the ratios of one
round travel between machines.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from subprocess import Popen

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from connector import PRODUCT
from job import KIND, Job, record

from hub import catalogue
from hub.catalogue import ROOT
from hub.model.record import Header
from hub.process import end, spawn
from hub.testing.cluster import Kafka

PARTITIONS = 4
SOURCE = f"raw.{PRODUCT}"
TICKS = os.sysconf("SC_CLK_TCK")
QUIET = {"log_level": 2}
"""A broker that is stopped at the end is no news."""
CHECKED = 5_000
"""Outputs of each peer that are compared with the job's own."""
PEERS = {
    "faust_plain": "Faust, plain per-event agent",
    "faststream_one": "FastStream, one by one, as documented",
    "faststream_batch": "FastStream, batch subscriber",
    "kafka_python_loop": "kafka-python, by hand",
    "quix": "Quix Streams",
    "bytewax_flow": "Bytewax",
    "aiokafka_batches": "aiokafka batches, by hand",
    "librdkafka_loop": "librdkafka loop, by hand",
    "Loop": "Java, loop by hand",
    "Streams": "Kafka Streams, one thread",
    "librdkafka_hub": "the hub's path over librdkafka, without its worker",
    "hub_normalise": "the hub: role normalise",
}
JAVA = ROOT / ".hub" / "bench" / "java"
BASE = "faust_plain"


@dataclass
class Measured:
    """One peer in one round."""

    rate: float
    cpu: float
    """CPU seconds of the worker per million records."""
    broker: float
    """CPU seconds of the broker per million records."""
    peak: int
    """Most resident memory, MB."""
    first: float
    """Seconds from the start to the first output."""


class Bench:
    """A node with the input in it."""

    def __init__(self, node: Kafka, records: int) -> None:
        self.node = node
        self.records = records
        self._admin = AdminClient({**QUIET, "bootstrap.servers": node.bootstrap})
        self._ends = Consumer({**QUIET, "bootstrap.servers": node.bootstrap, "group.id": "ends"})
        self.make(SOURCE)
        for name in (f"quarantine.{PRODUCT}", f"state.{PRODUCT}", "normalise.switch"):
            self.make(name)
        self._fill()

    def make(self, name: str) -> None:
        """Make a topic anew."""
        if name in self._admin.list_topics(timeout=10).topics:
            for future in self._admin.delete_topics([name]).values():
                future.result()
            while name in self._admin.list_topics(timeout=10).topics:
                time.sleep(0.1)
        for future in self._admin.create_topics([NewTopic(name, PARTITIONS, 1)]).values():
            future.result()

    def _fill(self) -> None:
        producer = Producer(
            {
                **QUIET,
                "bootstrap.servers": self.node.bootstrap,
                "partitioner": "murmur2_random",
                "linger.ms": 20,
                "batch.size": 262_144,
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        headers = [
            (Header.FEED, b"booking"),
            (Header.READ_AT, str(int(time.time() * 1000)).encode()),
            (Header.CONTENT_TYPE, b"application/json"),
        ]
        for number in range(self.records):
            key, value = record(number)
            producer.produce(SOURCE, value, key, headers=[*headers, (Header.RAW_ID, f"r{number}".encode())])
            if number % 10_000 == 0:
                producer.poll(0)
        producer.flush()

    def written(self, topic: str) -> int:
        """Count the records of a topic."""
        return sum(
            self._ends.get_watermark_offsets(TopicPartition(topic, number), timeout=5)[1]
            for number in range(PARTITIONS)
        )

    def run(
        self, peer: str, number: int, warm: float, window: float, look: Callable[[int], None] | None = None
    ) -> Measured:
        """Run a peer over the input, and measure it for a while; `look` is handed its process id before that."""
        target = "event.school_catering.v1" if peer == "hub_normalise" else f"out.{peer}"
        self.make(target)
        group = f"bench.{peer}.{number}.{int(time.time())}"
        number_of = catalogue.schemas().id_of(KIND)
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "bench"),
            "BENCH_SCHEMA": str(ROOT / catalogue.schemas().version(number_of).path),
            "BENCH_SCHEMA_ID": str(number_of),
        }
        started = time.monotonic()
        child = spawn(
            [*_program(peer), self.node.bootstrap, SOURCE, target, group],
            environment=environment,
            cwd=ROOT,
            log=self.node.folder / f"{peer}.log",
        )
        try:
            while not self._begun(target):
                if child.poll() is not None or time.monotonic() - started > 60:
                    said = (self.node.folder / f"{peer}.log").read_text("utf-8", "replace")
                    raise SystemExit(f"{peer} wrote nothing:\n{said[-3000:]}")
                time.sleep(0.02)
            first = time.monotonic() - started
            time.sleep(warm)
            if look is not None:
                look(child.pid)
            before, begun = (self.written(target), _cpu(child.pid), _cpu(self.node.pid or 0)), time.monotonic()
            time.sleep(window)
            after, seconds = (self.written(target), _cpu(child.pid), _cpu(self.node.pid or 0)), time.monotonic() - begun
            if after[0] >= self.records:
                raise SystemExit(f"{peer} came to the end of the input; use more --records")
            count = max(after[0] - before[0], 1)
            return Measured(
                count / seconds,
                (after[1] - before[1]) / count * 1e6,
                (after[2] - before[2]) / count * 1e6,
                _peak(child),
                first,
            )
        finally:
            end(child, 5)

    def _begun(self, topic: str) -> bool:
        try:
            return self.written(topic) > 0
        except KafkaException:
            # A topic that was just made has no leader yet, or one that does not know it.
            return False

    def check(self, peer: str) -> int:
        """Compare a peer's outputs with the job's own, by partition: record, key and order; return how many."""
        target = "event.school_catering.v1" if peer == "hub_normalise" else f"out.{peer}"
        convert = Job().convert
        consumer = Consumer(
            {**QUIET, "bootstrap.servers": self.node.bootstrap, "group.id": "check", "enable.auto.commit": False}
        )
        checked = 0
        for number in range(PARTITIONS):
            pairs = []
            # A peer may have taken one partition after the other.
            there = self._ends.get_watermark_offsets(TopicPartition(target, number), timeout=5)[1]
            wanted = min(there, CHECKED // PARTITIONS)
            for topic in (SOURCE, target):
                consumer.assign([TopicPartition(topic, number, 0)])
                found = []
                while len(found) < wanted:
                    found += consumer.consume(wanted - len(found), 5)
                pairs.append([(message.key(), message.value()) for message in found])
            given, made = pairs
            if [(key, convert(value)) for key, value in given] != made:
                raise SystemExit(f"{peer}: partition {number} is not what the job makes of it")
            checked += len(made)
        consumer.close()
        return checked


def _program(peer: str) -> list[str]:
    if peer[0].isupper():
        return ["java", "-Xmx512m", "-cp", f"{JAVA}/classes:{JAVA}/lib/*", peer]
    return [sys.executable, str(ROOT / "bench" / "peers" / f"{peer}.py")]


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _peak(child: Popen[bytes]) -> int:
    status = Path(f"/proc/{child.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def main() -> None:
    """Measure, print, and keep what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--records", type=int, default=4_000_000)
    parser.add_argument("--warm", type=float, default=2.0)
    parser.add_argument("--window", type=float, default=5.0)
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--out", type=Path, help="JSON file for what was measured")
    options = parser.parse_args()
    found: dict[str, list[Measured]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, Kafka(Path(folder) / "kafka", heap="1g") as node:
        bench = Bench(node, options.records)
        for number in range(options.rounds):
            # Rotated, so that nobody always comes first.
            turn = number % len(options.peers)
            for peer in (*options.peers[turn:], *options.peers[:turn]):
                found[peer].append(bench.run(peer, number, options.warm, options.window))
                if number == 0:
                    bench.check(peer)
                print(f"round {number + 1}  {peer:<20} {found[peer][-1].rate:10,.0f}/s", flush=True)
    for peer, rounds in found.items():
        base = [one.rate for one in found[BASE]] if BASE in found else [0.0] * len(rounds)
        ratio = statistics.median(one.rate / other for one, other in zip(rounds, base, strict=True)) if any(base) else 0
        rates = sorted(one.rate for one in rounds)
        print(
            f"{PEERS[peer]:<40} {rates[0]:9,.0f} {statistics.median(rates):9,.0f} {rates[-1]:9,.0f}  "
            f"{ratio:5.1f} x  {statistics.median(one.cpu for one in rounds):6.1f} CPU s/M"
        )
    if options.out:
        measured = {
            peer: {"label": PEERS[peer], "rounds": [asdict(one) for one in rounds]} for peer, rounds in found.items()
        }
        options.out.write_text(json.dumps(measured, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()

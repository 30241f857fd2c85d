"""How long a release of 10,000 parked records of 1,000 subjects takes, on a real Kafka, by the command line.

    python bench/release.py

Prints the seconds of each step, and checks that every subject's events came out once, in their order.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from uuid import uuid4

from kafka import KafkaProducer

from hub.catalogue import ROOT
from hub.kafka.reading import reader, whole
from hub.kafka.wire import event_topic, header, raw_topic
from hub.model.record import Header, Seq
from hub.process import end, spawn
from hub.testing.cluster import Kafka

SUBJECTS, RECORDS = 1_000, 10


def body(citizen: str, number: int) -> bytes:
    """Ask for a link; the first of each subject is of a kind that nobody knows."""
    kind = "link_requested" if number else "???"
    link: dict[str, object] = {"subject": f"chrono:E{number}", "role": "parent", "scope": [], "until": None}
    at = "2026-03-10T08:00:00+01:00"
    return json.dumps({"id": str(uuid4()), "type": kind, "at": at, "citizen": citizen, "link": link}).encode()


def main() -> None:
    """Park, drop the bad ones with a release of the others, look."""
    with tempfile.TemporaryDirectory() as folder, Kafka(Path(folder) / "kafka") as node:
        line = [sys.executable, "-m", "hub.cli", "--set", f"kafka.bootstrap={node.bootstrap}"]
        line += ["--set", f"data_dir={folder}", "--set", f"store.url=sqlite:///{folder}/hub.sqlite"]
        line += ["--set", f"telemetry.discovery_file={folder}/prometheus.json"]
        subprocess.run([*line, "topics", "apply"], cwd=ROOT, check=True, capture_output=True)
        producer = KafkaProducer(bootstrap_servers=node.bootstrap, acks="all", linger_ms=20)
        now = str(int(time.time() * 1000)).encode()
        citizens = [str(uuid4()) for _ in range(SUBJECTS)]
        for number in range(RECORDS):
            for citizen in citizens:
                producer.send(
                    raw_topic("publik"),
                    key=f"publik:{citizen}".encode(),
                    value=body(citizen, number),
                    headers=[
                        (Header.FEED, b"request"),
                        (Header.RAW_ID, str(uuid4()).encode()),
                        (Header.READ_AT, now),
                        (Header.CONTENT_TYPE, b"application/json"),
                    ],
                )
        producer.close()
        child = spawn([*line, "run", "normalise"], cwd=ROOT, log=Path(folder) / "normalise.log")
        started = time.monotonic()
        waiting: list[dict[str, int]] = []
        while sum(group["records"] + group["behind"] for group in waiting) < SUBJECTS * RECORDS:
            time.sleep(1)
            told = subprocess.run(
                [*line, "quarantine", "list", "publik", "--json"], cwd=ROOT, check=True, capture_output=True
            )
            waiting = json.loads(told.stdout)
        print(f"parked {SUBJECTS * RECORDS} records of {SUBJECTS} subjects, {time.monotonic() - started:.1f} s")
        started = time.monotonic()
        options = ["--code", "invalid", "--why", "a bench", "--yes", "--json"]
        done = subprocess.run(
            [*line, "quarantine", "drop", "publik", *options], cwd=ROOT, check=False, capture_output=True
        )
        seconds = time.monotonic() - started
        print(json.loads(done.stdout)["done"] if done.returncode == 0 else done.stderr.decode())
        print(f"dropped {SUBJECTS} and released the others in {seconds:.1f} s, preview and report included")
        seen: dict[str, list[Seq]] = defaultdict(list)
        with reader({"bootstrap_servers": node.bootstrap}) as consumer:
            for record in whole(consumer, event_topic("citizen_portal")):
                seen[header(record, "ce_subject")].append(Seq.parse(header(record, Header.SEQ)))
        right = all(len(found) == RECORDS - 1 and found == sorted(found) for found in seen.values())
        print(f"{sum(map(len, seen.values()))} events of {len(seen)} subjects, each in order: {right}")
        end(child, 15)


if __name__ == "__main__":
    main()

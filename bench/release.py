"""How long a release of 10,000 parked records of 1,000 keys takes, on a real Kafka, by the command line.

    python bench/release.py

Fails unless every record but the dropped ones came out once, in the order of its key, within what is promised.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import uuid4

from kafka import KafkaProducer

from hub import catalogue
from hub.catalogue import ROOT
from hub.kafka.reading import reader, whole
from hub.kafka.wire import event_topic, raw_topic
from hub.model.record import Header
from hub.process import end, spawn
from hub.testing.cluster import Kafka

KEYS, RECORDS = 1_000, 10
PROMISED = 30.0
"""Seconds from the command to its report."""


def body(citizen: str, number: int) -> bytes:
    """Ask for a link; the first of each key is of a kind that nobody knows."""
    kind = "link_requested" if number else "???"
    link: dict[str, object] = {"subject": f"chrono:E{number}", "role": "parent", "scope": [], "until": None}
    at = "2026-03-10T08:00:00+01:00"
    return json.dumps({"id": str(uuid4()), "type": kind, "at": at, "citizen": citizen, "link": link}).encode()


def main() -> int:
    """Park, drop the bad ones with a release of the others, look; fail when anything is missing, twice or late."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="JSON file for what was measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Kafka(Path(folder) / "kafka") as node:
        line = [sys.executable, "-m", "hub.cli", "--set", f"kafka.bootstrap={node.bootstrap}"]
        line += ["--set", f"data_dir={folder}", "--set", f"store.url=sqlite:///{folder}/hub.sqlite"]
        line += ["--set", f"telemetry.discovery_file={folder}/prometheus.json"]
        subprocess.run([*line, "topics", "apply"], cwd=ROOT, check=True, capture_output=True)
        citizens = [str(uuid4()) for _ in range(KEYS)]
        fill(node, citizens)
        child = spawn([*line, "run", "normalise"], cwd=ROOT, log=Path(folder) / "normalise.log")
        try:
            parked = park(line)
            started = time.monotonic()
            drop = ["quarantine", "drop", "publik", "--code", "invalid", "--why", "a bench", "--yes", "--json"]
            subprocess.run([*line, *drop], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
            seconds = time.monotonic() - started
            found = told(node)
        finally:
            end(child, 15)
    wanted = [f"chrono:E{number}" for number in range(1, RECORDS)]
    right = sum(found[citizen] == wanted for citizen in citizens)
    print(f"parked {KEYS * RECORDS:,} records of {KEYS:,} keys in {parked:.1f} s")
    print(f"released in {seconds:.1f} s, preview and report included (promised: {PROMISED:g} s)")
    print(f"{right:,} of {KEYS:,} keys are whole and in order")
    measured = {"keys": KEYS, "records": KEYS * RECORDS, "in_order": right, "seconds": seconds, "promised": PROMISED}
    if options.out:
        options.out.write_text(json.dumps(measured, indent=1) + "\n", "utf-8")
    return int(right < KEYS or len(found) > KEYS or seconds > PROMISED)


def fill(node: Kafka, citizens: Sequence[str]) -> None:
    """Write the records into raw, as intake does."""
    producer = KafkaProducer(bootstrap_servers=node.bootstrap, acks="all", linger_ms=20)
    now = str(int(time.time() * 1000)).encode()
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


def park(line: Sequence[str]) -> float:
    """Wait until all of them are parked; return the seconds that it took."""
    started = time.monotonic()
    while True:
        told = subprocess.run(
            [*line, "quarantine", "list", "publik", "--json"], cwd=ROOT, check=True, capture_output=True
        )
        waiting = sum(group["records"] + group["behind"] for group in json.loads(told.stdout))
        seconds = time.monotonic() - started
        if waiting == KEYS * RECORDS:
            return seconds
        if seconds > 300:
            raise SystemExit(f"release: only {waiting} records are parked")
        time.sleep(1)


def told(node: Kafka) -> Mapping[str, list[str]]:
    """Return what the events of each citizen say, as often and in the order in which they say it."""
    found: dict[str, list[str]] = defaultdict(list)
    with reader({"bootstrap_servers": node.bootstrap}) as consumer:
        for record in whole(consumer, event_topic("citizen_portal")):
            payload = catalogue.schemas().decode(record.value or b"")
            found[payload.citizen].append(payload.subject)
    return found


if __name__ == "__main__":
    sys.exit(main())

"""A vendor's answer that is too large for Kafka, on the whole path: set aside once, kept whole, and the polls go on."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from kafka import KafkaConsumer

from hub.catalogue import ROOT
from hub.model.record import Header
from hub.process import end, spawn
from hub.testing.cluster import Kafka

pytestmark = pytest.mark.kafka
LARGE = json.dumps({"SEM_1": {"texte": "x" * 3_000_000}}).encode()


class Vendor(ThreadingHTTPServer):
    """Answers with too much once, and with nothing from then on."""

    def __init__(self) -> None:
        self.asked = 0
        super().__init__(("127.0.0.1", 0), Answers)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Vendor)
        self.server.asked += 1
        body = LARGE if self.server.asked == 1 else b"{}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    """Serve on loopback."""
    with Vendor() as made:
        yield made
        made.shutdown()


def test_an_answer_of_three_megabytes_is_set_aside_and_the_next_is_read(vendor: Vendor, tmp_path: Path) -> None:
    """Its quarantine record tells size and digest, the file holds the bytes, and later answers are in raw."""
    with Kafka(tmp_path / "kafka") as node:
        values = {
            "kafka.bootstrap": node.bootstrap,
            "store.url": f"sqlite:///{tmp_path}/hub.sqlite",
            "data_dir": str(tmp_path),
            "blobs.folder": str(tmp_path / "blobs"),
            "telemetry.discovery_file": str(tmp_path / "run" / "prometheus.json"),
            "connectors.metromobilite.base_url": f"http://127.0.0.1:{vendor.server_address[1]}",
            "connectors.metromobilite.poll_seconds": "0.5",
        }
        sets = [part for item in values.items() for part in ("--set", "=".join(item))]
        hub = [sys.executable, "-m", "hub.cli", *sets]
        assert spawn([*hub, "topics", "apply"], cwd=ROOT).wait(60) == 0
        roles = spawn([*hub, "run", "--logs", str(tmp_path / "log"), "intake", "normalise"], cwd=ROOT)
        consumer = KafkaConsumer(
            "raw.metromobilite",
            "quarantine.metromobilite",
            bootstrap_servers=node.bootstrap,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=4 * 1024 * 1024,
        )
        try:
            raw: list[bytes] = []
            aside: dict[str, bytes] = {}
            limit = time.monotonic() + 45
            while time.monotonic() < limit and not (aside and len(raw) > 2):
                for tp, records in consumer.poll(500).items():
                    for record in records:
                        if tp.topic.startswith("raw."):
                            raw.append(record.value)
                        elif record.key.startswith(b"original/"):
                            aside = dict(record.headers)
        finally:
            consumer.close()
            assert end(roles, 30) == 0
    digest = hashlib.sha256(LARGE).hexdigest()
    assert raw[0] == f"sha256:{digest} {len(LARGE)}".encode()
    assert raw[1:3] == [b"{}", b"{}"]
    assert (aside[Header.CODE], aside[Header.BLOB]) == (b"too_large", raw[0])
    assert digest.encode() in aside[Header.DETAIL]
    (kept,) = (tmp_path / "blobs").glob("*/*")
    assert (kept.name, kept.read_bytes()) == (digest, LARGE)

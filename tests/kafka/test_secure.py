"""TLS and SCRAM: the whole path logs in with a certificate and a password, and a wrong one is told at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from hub.catalogue import ROOT
from hub.config import load
from hub.kafka.clients import for_kafka_python
from hub.kafka.raw import RawWriter
from hub.model.intake import Emit
from hub.process import end, spawn
from hub.store import Store
from hub.testing.cluster import ADMIN, Kafka

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """Run a node that lets nobody in without a login."""
    with Kafka(tmp_path_factory.mktemp("secure"), secure=True) as node:
        yield node


def settings(node: Kafka, folder: Path, password: Path | None = None) -> list[str]:
    """Say how to get in."""
    values = {
        "kafka.bootstrap": node.bootstrap,
        "kafka.security_protocol": "SASL_SSL",
        "kafka.username": ADMIN,
        "kafka.password_file": str(password or node.password_file),
        "kafka.ca_file": str(node.ca_file),
        "store.url": f"sqlite:///{folder}/hub.sqlite",
        "data_dir": str(folder),
        "telemetry.discovery_file": str(folder / "run" / "prometheus.json"),
        "open_data.folder": str(folder / "opendata"),
    }
    return [f"{key}={value}" for key, value in values.items()]


def command(sets: list[str], *arguments: str) -> list[str]:
    """Write the command line."""
    return [sys.executable, "-m", "hub.cli", *(part for item in sets for part in ("--set", item)), *arguments]


def test_the_whole_path_works_behind_a_login(secure: Kafka, tmp_path: Path) -> None:
    """Topics are made, and a request for a link becomes a link that Kafka tells of."""
    sets = settings(secure, tmp_path)
    subprocess.run(command(sets, "topics", "apply"), check=True, timeout=60, cwd=ROOT, capture_output=True)
    child = spawn(
        command(sets, "run", "--logs", str(tmp_path / "log"), "normalise", "identify", "project", "deliver"), cwd=ROOT
    )
    try:
        citizen = str(uuid4())
        body = {
            "id": str(uuid4()),
            "type": "link_requested",
            "at": "2026-03-10T08:00:00+01:00",
            "citizen": citizen,
            "link": {"subject": "chrono:E1", "role": "parent", "scope": [], "until": None},
        }
        writer = RawWriter(for_kafka_python(load(None, sets, environment={}).settings.kafka))
        wish = Emit(
            "request", f"publik:{citizen}", json.dumps(body).encode(), int(time.time() * 1000), "application/json"
        )
        writer.emit("publik", wish)
        writer.close()
        store = Store(f"sqlite:///{tmp_path}/hub.sqlite")
        limit = time.monotonic() + 40
        while time.monotonic() < limit:
            if (tmp_path / "hub.sqlite").exists() and (tmp_path / "run" / "roles.json").exists():
                try:
                    if store.links_of(citizen) and store.outbox_counts().get(("identity", "sent")):
                        break
                except Exception:
                    # The tables are still being made.
                    pass
            time.sleep(0.2)
        assert [link.subject for link in store.links_of(citizen)] == ["chrono:E1"]
        assert store.outbox_counts()["identity", "sent"] == 1
        store.close()
    finally:
        assert end(child, 30) == 0


@pytest.mark.parametrize("role", ["normalise", "intake", "web"])
def test_a_wrong_password_is_told_in_one_line_and_not_waited_for(secure: Kafka, tmp_path: Path, role: str) -> None:
    """Exit code 3 and a line that names the settings; the password is not in it."""
    wrong = tmp_path / "wrong"
    wrong.write_text("guess-me", "utf-8")
    ended = subprocess.run(
        command(settings(secure, tmp_path, wrong), "run", role),
        capture_output=True,
        text=True,
        timeout=40,
        cwd=ROOT,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    assert ended.returncode == 3
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1
    assert "kafka.password_file" in lines[0]
    assert "guess-me" not in ended.stderr + ended.stdout

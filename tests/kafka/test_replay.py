"""A corrected mapping tells a range again: the same events, replaced, swept, and nobody is notified."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from city import Hub, cancelled, eventually, linked, told

from hub.catalogue import ROOT
from hub.kafka.reading import reader, whole
from hub.kafka.wire import event_topic, header
from hub.testing.cluster import Kafka

pytestmark = pytest.mark.kafka
NEWER = (str(Path(__file__).parent / "newer.py"),)


def rows(path: Path) -> dict[str, tuple[int, str]]:
    """Read revision and label of each child's entry; none while there are no tables."""
    if not (path / "hub.sqlite").exists():
        return {}
    with sqlite3.connect(path / "hub.sqlite") as database:
        if not database.execute("SELECT name FROM sqlite_master WHERE name = 'entries'").fetchall():
            return {}
        found = database.execute("SELECT subject, rev, payload FROM entries").fetchall()
    return {subject: (rev, json.loads(payload)["label"]) for subject, rev, payload in found}


def replay(hub: Hub, *arguments: str, code: int = 0) -> Any:
    """Run the command for machines."""
    done = subprocess.run(
        [*hub.line, "replay", "chrono", *arguments, "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout) if done.stdout else done.stderr


def test_a_corrected_mapping_replaces_and_sweeps(tmp_path: Path) -> None:
    """Ids stay, revisions rise, what is not said any more disappears; the preview said so, and no resident is told."""
    citizen = str(uuid4())
    with Kafka(tmp_path / "kafka") as node:
        with Hub(node, tmp_path) as old:
            old.call("E1", cancelled("E1", 1))
            eventually(lambda: len(rows(tmp_path)) == 1)
            linked(old, citizen, 4)
            time.sleep(1.1)
            since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
            for child in ("E2", "E3", "E4"):
                old.call(child, cancelled(child, int(child[1:])))
            eventually(lambda: len(rows(tmp_path)) == 4)
            # Of a meal that was booked, and of its end.
            eventually(lambda: told(old, citizen) == ["chrono:E4"] * 2)
            why = ("--why", "labels in capitals")
            assert "Nothing was changed" not in replay(old, "--since", since, *why)

        with Hub(node, tmp_path, NEWER) as new:
            assert "no record was read" in replay(new, "--since", "2099-01-01", *why, "--yes", code=1)
            preview = replay(new, "--since", since, *why)["preview"]
            assert [preview[name] for name in ("records", "changed", "new", "gone")] == [3, 4, 1, 2]
            assert [preview[name] for name in ("residents", "notifications")] == [1, 0]
            assert rows(tmp_path)["chrono:E2"] == (1, "Cantine")
            done = replay(new, "--since", since, *why, "--yes")["done"]
            assert (done["released"], done["events"], done["rejected"]) == (3, 5, 0)
            eventually(lambda: "chrono:E3" not in rows(tmp_path))
            assert rows(tmp_path) == {
                "chrono:E1": (1, "Cantine"),
                "chrono:E2": (2, "CANTINE"),
                "chrono:E4": (2, "CANTINE"),
            }
            ids: dict[str, list[str]] = {}
            with reader(new.options) as consumer:
                for record in whole(consumer, event_topic("school_catering")):
                    ids.setdefault(header(record, "ce_subject"), []).append(header(record, "ce_id"))
            # A cancelled meal is one that was booked: two facts, each told twice under its own id.
            assert sorted(ids["chrono:E2"]) == sorted(list(set(ids["chrono:E2"])) * 2)
            assert len(ids["replay:chrono"]) == 16
            assert len(set(ids["chrono:E4"])) == 3, "what nobody had been told of"

            again = replay(new, "--since", since, *why, "--yes")
            assert [again["preview"][name] for name in ("same", "changed", "gone")] == [5, 0, 0]
            linked(new, citizen, 5)
            new.call("E5", cancelled("E5", 5))
            eventually(lambda: rows(tmp_path).get("chrono:E5") == (2, "CANTINE"))
            assert len(rows(tmp_path)) == 4
            eventually(lambda: told(new, citizen) == ["chrono:E4"] * 2 + ["chrono:E5"] * 2)

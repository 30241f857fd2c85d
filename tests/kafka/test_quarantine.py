"""The workbench on a real Kafka: a bad record is found, corrected and released, and nothing overtakes it."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from getpass import getuser
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from city import Hub, cancelled, eventually, link, linked, told
from prometheus_client.parser import text_string_to_metric_families

from hub.catalogue import ROOT
from hub.store import Store
from hub.testing.cluster import Kafka

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """Run the roles over a node."""
    with Kafka(tmp_path_factory.mktemp("node")) as node, Hub(node, tmp_path_factory.mktemp("hub")) as made:
        yield made


def undecodable(hub: Hub) -> Counter[str]:
    """Count what waits because it is no JSON."""
    found: Counter[str] = Counter()
    for group in hub.json("list", "publik"):
        if group["code"] == "undecodable":
            found.update({name: group[name] for name in ("records", "keys", "behind")})
    return found


def waiting(hub: Hub, subject: str, product: str = "publik") -> list[dict[str, Any]]:
    """List what waits for a citizen, or for a subject of another product."""
    done = subprocess.run(
        [*hub.line, "quarantine", "show", product, "--key", f"{product}:{subject}", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout) if done.returncode == 0 else []
    return found


def test_a_bad_record_is_corrected_and_released_in_its_place(hub: Hub, tmp_path: Path) -> None:
    """What waited behind comes out after it, in order; nobody is notified, and nothing is released twice."""
    citizen = str(uuid4())
    before = undecodable(hub)
    hub.send(citizen, link(citizen, 1))
    hub.send(citizen, b"{")
    hub.send(citizen, link(citizen, 3))
    eventually(lambda: len(waiting(hub, citizen)) == 2)
    rows = waiting(hub, citizen)
    assert [(row["code"], row["today"].split(":")[0]) for row in rows] == [
        ("undecodable", "undecodable"),
        ("behind", "passes, 1 events"),
    ]
    assert undecodable(hub) - before == Counter(records=1, keys=1, behind=1)
    tried = hub.json("try", "publik", "--key", f"publik:{citizen}", code=1)
    assert (tried["released"], tried["waiting"], tried["rejected"][0]["code"]) == (0, 2, "undecodable")

    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"[")
    said = hub.hub("quarantine", "edit", "publik", rows[0]["at"], str(garbage), "--why", "test", "--yes", code=1)
    assert "undecodable" in said
    assert "Nothing was changed" in said
    good = tmp_path / "good.json"
    good.write_text(json.dumps(link(citizen, 2)), "utf-8")
    edited = hub.json("edit", "publik", rows[0]["at"], str(good), "--why", "half a message", "--yes")
    assert edited["done"]["edited"] == 1
    assert [row["edited"] for row in waiting(hub, citizen)] == [True, False]

    told = len(hub.subjects())
    preview = hub.json("release", "publik", "--key", f"publik:{citizen}", "--why", "corrected")["preview"]
    assert (preview["released"], preview["events"], preview["notifications"]) == (2, 2, 0)
    assert len(hub.subjects()) == told
    done = hub.json("release", "publik", "--key", f"publik:{citizen}", "--why", "corrected", "--yes")
    assert (done["done"]["released"], done["done"]["events"], done["unanswered"]) == (2, 2, 0)
    assert done["reports"][0]["why"] == "corrected"
    own = [subject for subject in hub.subjects() if subject.startswith(f"publik:{citizen}")]
    assert own == [f"publik:{citizen}", *[f"publik:{citizen}1"] * 2]

    again = hub.hub("quarantine", "release", "publik", "--key", f"publik:{citizen}", "--why", "x", "--yes", code=1)
    assert "does not wait" in again
    assert "Nothing was changed" in again
    hub.send(citizen, link(citizen, 4))
    store = Store(hub.database)
    eventually(lambda: set(store.linked_subjects("chrono")) >= {"E1", "E2", "E3", "E4"})
    store.close()


def test_a_dropped_record_lets_the_others_go_on(hub: Hub) -> None:
    """Dropping gives one record up, and what waited behind it is released; a typo changes nothing."""
    citizen = str(uuid4())
    hub.send(citizen, b"nonsense")
    hub.send(citizen, link(citizen, 11))
    eventually(lambda: len(waiting(hub, citizen)) == 2)
    at = waiting(hub, citizen)[0]["at"]
    number, offset = at.split("/")
    wrong = f"{number}/{int(offset) + 1000}"
    assert "does not wait" in hub.hub("quarantine", "drop", "publik", "--at", wrong, "--why", "x", "--yes", code=1)
    assert "no code" in hub.hub("quarantine", "release", "publik", "--code", "undecodabel", "--why", "x", code=2)
    done = hub.json("drop", "publik", "--at", at, "--why", "a test of theirs", "--yes")["done"]
    assert (done["dropped"], done["released"], done["waiting"]) == (1, 1, 0)
    assert waiting(hub, citizen) == []


def test_all_that_can_be_released_is_and_residents_are_told_if_the_operator_says_so(hub: Hub, tmp_path: Path) -> None:
    """The preview says whom it concerns and how many messages that makes; the log keeps who did it, and why."""
    citizen = str(uuid4())
    linked(hub, citizen, 31)
    hub.call("E31", b"{")
    hub.call("E32", b"{")
    eventually(lambda: len(waiting(hub, "E31", "chrono")) == len(waiting(hub, "E32", "chrono")) == 1)
    good = tmp_path / "good.json"
    good.write_text(json.dumps(cancelled("E31", 1)), "utf-8")
    at = waiting(hub, "E31", "chrono")[0]["at"]
    hub.json("edit", "chrono", at, str(good), "--why", "half a message", "--yes")

    said = hub.hub("quarantine", "try", "chrono", code=1)
    assert "1 of 2 now pass; 1 fail, 1 would wait." in said
    assert "Events: 2 (0 of them on accounts already). Residents concerned: 1. Notifications: 0." in said
    assert "1 still fail: undecodable" in said

    why = "all but one are corrected"
    given = hub.json("release", "chrono", "--all", "--notify", "--why", why, "--yes", code=1)
    # Of a meal that was booked, and of its end.
    assert [given["preview"][name] for name in ("residents", "notifications")] == [1, 2]
    assert [given["done"][name] for name in ("released", "events", "rejected", "waiting")] == [1, 2, 1, 1]
    eventually(lambda: "chrono:E31" in told(hub, citizen))
    lines = [json.loads(line) for line in (hub.logs / "normalise.log").read_text("utf-8").splitlines()]
    obeyed = [line for line in lines if line["event"] == "command obeyed" and line["why"] == why]
    assert {(line["who"], line["kind"], line["product"]) for line in obeyed} == {(getuser(), "release", "chrono")}
    assert sorted((line["released"], line["waits"]) for line in obeyed) == [(0, 1), (1, 0)]


def test_without_yes_and_without_a_terminal_nothing_happens(hub: Hub) -> None:
    """A script that forgot to say so changes nothing, and is told."""
    citizen = str(uuid4())
    hub.send(citizen, b"{")
    eventually(lambda: len(waiting(hub, citizen)) == 1)
    said = hub.hub("quarantine", "drop", "publik", "--key", f"publik:{citizen}", "--why", "x", code=2)
    assert "1 dropped" in said
    assert "add --yes" in said
    assert len(waiting(hub, citizen)) == 1


def test_a_flood_of_bad_records_pauses_its_product_and_nothing_else(hub: Hub) -> None:
    """Nothing more of the flood is set aside or committed before somebody says so; other products go on."""
    citizens = [str(uuid4()) for _ in range(40)]
    eventually(lambda: metric(hub, "hub_up", None) == 1)
    for citizen in citizens[:-3]:
        hub.send(citizen, b"{")
    eventually(lambda: metric(hub, "hub_product_paused", "publik") == 1)
    # Partitions go on beside one another: which records were decided before that depends on how fast each was.
    for citizen in citizens[-3:]:
        hub.send(citizen, b"{")
    time.sleep(1)
    aside = sum(len(waiting(hub, citizen)) for citizen in citizens[-3:])
    assert aside == 0
    assert metric(hub, "hub_product_paused", "ils_di") == 0
    said = hub.hub("resume", "publik", "--why", "they are as they are")
    assert "goes on" in said
    eventually(lambda: len(waiting(hub, citizens[-1])) == 1)
    assert metric(hub, "hub_product_paused", "publik") == 0
    hub.hub("pause", "publik", "--why", "test")
    eventually(lambda: metric(hub, "hub_product_paused", "publik") == 1)
    citizen = str(uuid4())
    hub.send(citizen, link(citizen, 21))
    time.sleep(2)
    assert f"publik:{citizen}" not in hub.subjects()
    hub.hub("resume", "publik", "--why", "test")
    eventually(lambda: f"publik:{citizen}" in hub.subjects())
    assert "no connector" in hub.hub("pause", "publick", "--why", "x", code=2)


def metric(hub: Hub, name: str, product: str | None) -> float | None:
    """Ask normalise for one value; None before it can be asked."""
    if not hub.discovery.exists():
        return None
    targets = json.loads(hub.discovery.read_text("utf-8"))
    (address,) = [target["targets"][0] for target in targets if target["labels"]["role"] == "normalise"]
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return None
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and sample.labels.get("product") == product:
                return sample.value
    return None

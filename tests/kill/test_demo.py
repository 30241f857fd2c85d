"""A school day with kills: whatever dies in its middle, the ledger balances, and nothing is left running."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from hub.catalogue import ROOT
from hub.config import ROLES
from hub.testing.monitoring import exposed, missing, panels, rules

pytestmark = [pytest.mark.kill, pytest.mark.kafka, pytest.mark.timeout(280)]
DAY_SECONDS = 34


class Running:
    """A demo in a folder of its own; every process of it carries a mark."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = uuid4().hex
        self.output = folder / "output.txt"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hub.cli", "demo", "--once", "--families", "40", "--seconds", str(DAY_SECONDS)],
                cwd=folder,
                stdout=output,
                stderr=output,
                env={**os.environ, "HUB_RUN_ID": self.mark},
            )

    def text(self) -> str:
        """Return what was printed."""
        return self.output.read_text("utf-8", "replace")

    def await_day(self) -> None:
        """Wait until the story has begun."""
        limit = time.monotonic() + 90
        while "School day" not in self.text():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < limit, self.text()
            time.sleep(0.2)

    def alive(self) -> list[str]:
        """Find every process that carries the mark."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    if f"HUB_RUN_ID={self.mark}".encode() in (entry / "environ").read_bytes():
                        found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:120])
                except OSError:
                    continue
        return found

    def pid_of(self, role: str) -> int | None:
        """Look up a role's process."""
        try:
            listed = json.loads((self.folder / ".hub" / "run" / "roles.json").read_text("utf-8"))
            return int(listed[role]["pid"])
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def note(self, what: str, **more: str) -> None:
        """Write into the town's journal what is broken on purpose: it excuses what it explains."""
        ports = json.loads((self.folder / ".hub" / "town" / "ports.json").read_text("utf-8"))
        httpx.post(f"http://127.0.0.1:{ports['http']}/town/note", json={"what": what, **more}).raise_for_status()

    def broker(self) -> int:
        """Find the broker's process."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    line = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if b"kafka.Kafka" in line and str(self.folder).encode() in line:
                    return int(entry.name)
        raise AssertionError("no broker")


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Running]:
    """Begin a day, and prove that nothing of it is left."""
    running = Running(tmp_path)
    running.await_day()
    yield running
    if running.process.poll() is None:
        running.process.terminate()
        running.process.wait(60)
    limit = time.monotonic() + 10
    while running.alive() and time.monotonic() < limit:
        time.sleep(0.2)
    assert running.alive() == []


def during(action: Callable[[], None]) -> threading.Thread:
    """Do something beside the day."""
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    return thread


def test_rules_and_panels_ask_for_what_the_running_hub_tells(day: Running) -> None:
    """Every selector of every alert and of the dashboard is exposed by one of the roles."""
    targets = json.loads((day.folder / ".hub" / "run" / "prometheus.json").read_text("utf-8"))
    limit = time.monotonic() + DAY_SECONDS - 10
    problems = ["nothing was scraped"]
    # Some labels only show once something has happened: the day needs a moment.
    while problems and time.monotonic() < limit and "difference" not in day.text():
        time.sleep(2)
        texts = []
        for target in targets:
            with urllib.request.urlopen(f"http://{target['targets'][0]}/metrics", timeout=5) as answer:
                texts.append(answer.read().decode())
        asked = (*rules(ROOT / "deploy/prometheus/alerts.yml"), *panels(ROOT / "deploy/grafana/hub.json"))
        problems = missing(asked, exposed(texts))
    assert problems == []


def test_each_role_is_killed_and_the_ledger_balances(day: Running) -> None:
    """Kill -9 of each of the six roles, one after another, in the middle of the day."""
    killed: list[str] = []

    def kill_all() -> None:
        time.sleep(5)
        for role in (*ROLES, "normalise", "project"):
            pid = day.pid_of(role)
            if pid is not None:
                day.note("killed", role=role)
                os.kill(pid, signal.SIGKILL)
                killed.append(role)
            time.sleep(3)

    killing = during(kill_all)
    assert day.process.wait(250) == 0, day.text()
    killing.join(5)
    assert set(ROLES) <= set(killed)
    assert "difference 0" in day.text()
    # The family's day is told from what was looked up: its messages, whoever asked for none, and the open data.
    story = day.text().partition("One family through all three outputs")[2]
    assert "Camille, hubee: 1 RecordRequested" in story
    assert re.search(r"Camille Charvet, answered in \d+ ms\n +Cantine cette semaine: ", story)
    assert re.search(r"mail: « État civil : votre demande est terminée », sent \d+ ms after the account knew", story)
    assert re.search(r"Julien Charvet\n +got nothing\n(.*\n)* +no message of its own for .*« canteen »", story)
    assert "kept inside, under the threshold of 5" in story


def test_the_broker_is_away_for_a_while_and_the_ledger_balances(day: Running) -> None:
    """A broker that answers nothing for 25 s, less than a record waits for it, stops nobody and loses nothing.

    At 30 s, which is how long one waits, it is a matter of milliseconds whether the broker still takes it.
    """

    def freeze() -> None:
        time.sleep(6)
        pid = day.broker()
        day.note("broker_away")
        os.kill(pid, signal.SIGSTOP)
        time.sleep(25)
        os.kill(pid, signal.SIGCONT)
        day.note("broker_back")

    freezing = during(freeze)
    assert day.process.wait(250) == 0, day.text()
    freezing.join(5)
    assert "difference 0" in day.text()


def test_nothing_outlives_a_killed_demo(day: Running) -> None:
    """Kill -9 of the demo itself: the kernel ends its children, and the next start goes on."""
    day.process.kill()
    day.process.wait()
    limit = time.monotonic() + 10
    while day.alive() and time.monotonic() < limit:
        time.sleep(0.1)
    assert day.alive() == []
    again = Running(day.folder)
    again.await_day()
    again.process.terminate()
    again.process.wait(60)
    assert again.alive() == []

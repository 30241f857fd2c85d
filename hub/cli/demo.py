"""`hub demo`: the whole hub on this machine, fed by a town in a box for a school day, and the account of it."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from subprocess import Popen
from typing import IO, Any

import click
import httpx
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from hub import catalogue
from hub.catalogue import ROOT
from hub.cli.ledger import settle, show
from hub.config import ROLES, Settings, load
from hub.kafka import topics
from hub.kafka.admin import Admin
from hub.kafka.clients import for_kafka_python
from hub.model.errors import Transient
from hub.process import end, end_with_parent, free_port, is_free, spawn, stop_requested
from hub.roles.database import store_url
from hub.roles.intake import polled
from hub.roles.runtime import ENVIRONMENT, topic_plan
from hub.store import Refused, Store
from hub.testing import family
from hub.testing.cluster import Kafka
from hub.testing.story import Stopwatch, Times, Whole, percentile, tell, undisturbed
from hub.testing.town.settings import settings, toml
from hub.web.tokens import hash_of

HOME = Path(".hub")
CONFIG = HOME / "config" / "demo.toml"
LOGS = HOME / "log"
RUN = HOME / "run"
TOWN = HOME / "town"
JOURNAL = TOWN / "journal.jsonl"
SUBSCRIBER = LOGS / "subscriber.log"
TOKEN = RUN / "demo.token"
"""The demo's own API token; the hub keeps its hash."""
HISTORY_SECONDS = 60.0
"""How long the day waits for what the systems have kept to be read; one that is down then may stay so."""
PATIENCE = 6.0
"""Seconds after which a step is told even if not all of its facts have arrived: some never will."""


class Stopped(Exception):
    """Somebody wants the demo to end."""


class Failed(Exception):
    """Something did not start; the text says what, and where its log is."""


@dataclass
class Demo:
    """What the demo has started, and what it needs to tell about it."""

    console: Console
    stop: threading.Event
    town: httpx.Client = field(init=False)
    settings: Settings = field(init=False)
    store: Store = field(init=False)
    subscriber: Popen[bytes] = field(init=False)
    kafka: Kafka | None = None
    children: dict[str, Popen[bytes]] = field(default_factory=dict)

    def wait(self, what: str, ready: Callable[[], bool], seconds: float, log: Path | None = None) -> None:
        """Wait for something, or say what did not come."""
        limit = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > limit:
                raise Failed(f"{what} did not start within {seconds:.0f} s" + (f"; see {log}" if log else ""))
            self.stop.wait(0.05)

    def check(self) -> None:
        """Raise when somebody wants an end, or when a child has ended."""
        if self.stop.is_set():
            raise Stopped
        for name, child in self.children.items():
            if child.poll() is not None:
                raise Failed(f"{name} ended with {child.returncode}; see {LOGS}")
        if self.kafka is not None and self.kafka.pid is None:
            raise Failed(f"Kafka ended; see {self.kafka.folder / 'kafka.log'}")


@click.command("demo")
@click.option("--once", is_flag=True, help="End after the story; so it does without a terminal.")
@click.option("--families", type=click.IntRange(10, 5000), default=200, show_default=True, help="Size of a new town.")
@click.option("--seconds", type=click.IntRange(10, 3600), default=60, show_default=True, help="Length of the day.")
def command(once: bool, families: int, seconds: int) -> None:
    """Play a school day in Grenoble on a real Kafka, tell it, and print the ledger.

    Exit code 0 only if the ledger balances.  Everything lies under .hub; started again it goes on from there.
    """
    if "MAKELEVEL" in os.environ:
        # Make may be killed: the demo ends in order, and its children with it.
        end_with_parent(signal.SIGTERM)
    once = once or not sys.stdout.isatty()
    console = Console(soft_wrap=True) if sys.stdout.isatty() else Console(width=140, soft_wrap=True)
    demo = Demo(console, stop_requested())
    code = 1
    try:
        with _alone():
            code = _play(demo, once=once, families=families, seconds=seconds)
    except Stopped:
        console.print("Stopped.")
        code = 130
    except (Failed, Refused, Transient) as error:
        console.print(f"[red]hub demo: {escape(str(error))}[/red]")
        code = ENVIRONMENT
    sys.exit(code)


def _play(demo: Demo, *, once: bool, families: int, seconds: int) -> int:
    console = demo.console
    began = time.monotonic()
    with ExitStack() as running:
        _start_everything(demo, running, families)
        about = demo.town.get("/town/").json()
        console.print(
            f"Up in {time.monotonic() - began:.0f} s: Kafka, {len(ROLES)} roles, and a town of {about['families']} "
            "families.",
            highlight=False,
        )
        _read_history(demo)
        console.print(f"School day {about['days'] + 1} of this town, {about['today']}.\n", highlight=False)
        since = int(time.time() * 1000)
        journal, whole = _tell_the_day(demo, seconds)
        console.print()
        _measure(demo, since, whole, journal)
        ledger = settle(demo.settings, JOURNAL, 60.0, demo.check)
        show(ledger, console)
        console.print()
        _tell_mails(demo)
        _tell_family(demo, about["family"], journal, since)
        _tell_subscriber(demo)
        _tell_addresses(demo, about)
        if not once:
            demo.town.post("/town/quiet", params={"on": "1"})
            console.print("\nThe town goes on quietly. Ctrl-C ends everything.")
            try:
                while True:
                    demo.check()
                    demo.stop.wait(0.5)
            except Stopped:
                console.print("Ending …")
        return 0 if ledger.balanced else 1


# -- starting ------------------------------------------------------------------------------------------


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the lock of this checkout: two demos would share a town."""
    RUN.mkdir(parents=True, exist_ok=True)
    lock: IO[str] = (RUN / "demo.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise Failed("a demo is running in this folder already; end it first") from None
    with lock:
        yield


def _start_everything(demo: Demo, running: ExitStack, families: int) -> None:
    console = demo.console
    for folder in (LOGS, CONFIG.parent):
        folder.mkdir(parents=True, exist_ok=True)
    web_port = _kept_port("web")
    with console.status("Starting Kafka and the town …"):
        kafka = Kafka(HOME / "kafka" / "demo")
        (TOWN / "ports.json").unlink(missing_ok=True)
        command = [sys.executable, "-m", "hub.testing.town.host", "--dir", str(TOWN), "--families", str(families)]
        command += ["--hooks-url", f"http://127.0.0.1:{web_port}/hooks"]
        demo.children["town"] = town = spawn(command, log=LOGS / "town.log")
        running.callback(end, town, 5.0)
        running.enter_context(kafka)
        demo.kafka = kafka
        demo.wait("The town", (TOWN / "ports.json").exists, 30, LOGS / "town.log")
        ports = json.loads((TOWN / "ports.json").read_text("utf-8"))
        demo.town = running.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{ports['http']}", timeout=30))
        vendors = demo.town.get("/town/settings").json()
        written = settings(
            HOME,
            bootstrap=kafka.bootstrap,
            replication=1,
            size="demo",
            store={"url": f"sqlite:///{HOME / 'data' / 'hub.sqlite'}"},
            web_port=web_port,
            smtp_port=ports["smtp"],
            vendors=vendors,
            sign_in=demo.town.get("/town/sign_in").json(),
        )
        CONFIG.write_text(toml(written), "utf-8")
        demo.settings = load(str(CONFIG)).settings
        _make_topics(demo.settings)
    with console.status("Starting the roles …"):
        (RUN / "roles.json").unlink(missing_ok=True)
        hub = spawn(
            [sys.executable, "-m", "hub.cli", "--env", str(CONFIG), "run", "--logs", str(LOGS)], log=LOGS / "hub.log"
        )
        demo.children["hub run"] = hub
        running.callback(end, hub, 25.0)
        demo.wait("The hub", _all_ready, 60, LOGS)
        demo.store = Store(store_url(demo.settings))
        running.callback(demo.store.close)
        SUBSCRIBER.unlink(missing_ok=True)
        script = [
            sys.executable,
            str(ROOT / "examples" / "subscriber.py"),
            kafka.bootstrap,
            demo.settings.web.public_url,
        ]
        demo.subscriber = spawn(script, log=SUBSCRIBER)
        running.callback(end, demo.subscriber, 5.0)


def _kept_port(name: str) -> int:
    """Keep an address over restarts while its port is free."""
    path = RUN / "ports.json"
    known: dict[str, int] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    if name not in known or not is_free(known[name]):
        known[name] = free_port()
        path.write_text(json.dumps(known), "utf-8")
    return known[name]


def _make_topics(settings: Settings) -> None:
    plan = topic_plan(settings)
    admin = Admin(for_kafka_python(settings.kafka))
    try:
        committed = admin.committed(plan.groups)
        admin.apply(plan, topics.steps(plan, admin.actual(plan.topics), committed), committed)
    finally:
        admin.close()


def _roles() -> dict[str, int]:
    path = RUN / "roles.json"
    if not path.exists():
        return {}
    return {role: entry["port"] for role, entry in json.loads(path.read_text("utf-8")).items()}


def _all_ready() -> bool:
    found = _roles()
    if found.keys() != set(ROLES):
        return False
    for port in found.values():
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=2).status_code != 200:
                return False
        except httpx.HTTPError:
            return False
    return True


def _read_history(demo: Demo) -> None:
    """Wait until every system was read to its end once: what it has kept is not news of the day."""
    began = time.monotonic()
    asked = set(polled(catalogue.connectors(), demo.settings))
    port = _roles()["intake"]
    while (left := asked - _read(port)) and time.monotonic() - began < HISTORY_SECONDS:
        demo.check()
        demo.stop.wait(0.2)
    demo.console.print(
        f"Read what {len(asked) - len(left)} of {len(asked)} systems have kept in {time.monotonic() - began:.0f} s"
        + (f"; not yet read to their end: {', '.join(sorted(left))}." if left else "."),
        highlight=False,
    )


def _read(port: int) -> set[str]:
    """Ask intake which products it has read to their end."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics?name[]=hub_source_polls_total", timeout=5).text
    return {
        sample.labels["product"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels["result"] == "good" and sample.value
    }


# -- the story -----------------------------------------------------------------------------------------


@dataclass
class _Told:
    time: str
    text: str
    facts: list[Mapping[str, Any]]
    seen_at: float
    account: str | None = None
    times: list[Times] = field(default_factory=list)


def _tell_the_day(demo: Demo, seconds: int) -> tuple[list[Mapping[str, Any]], list[Whole]]:
    """Start the day; tell each step once its facts are on the account, or have had time enough.

    Return its journal, and when each fact was said by its system and on the account.
    """
    before = len(demo.town.get("/town/journal").json())
    demo.town.post("/town/day/start", params={"seconds": seconds}).raise_for_status()
    watch = Stopwatch()
    waiting: list[_Told] = []
    played = 0
    journal: list[Mapping[str, Any]] = demo.town.get("/town/journal").json()
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeElapsedColumn(), console=demo.console, transient=True) as progress:
        task = progress.add_task("The day")
        while True:
            demo.check()
            state = demo.town.get("/town/progress", params={"since": played}).json()
            journal += demo.town.get("/town/journal", params={"since": len(journal)}).json()
            for step in state["told"]:
                played += 1
                facts = [entry for entry in journal[step["first"] : step["last"]] if entry["kind"] == "said"]
                waiting.append(_Told(step["time"], step["text"], facts, time.monotonic(), step["account"]))
            progress.update(task, total=state["steps"], completed=state["played"])
            watch.rows(demo.store.stored())
            waiting = _tell_what_is_known(demo, waiting, watch)
            if state["state"] == "failed":
                raise Failed(f"the day broke off: {state['failed']}")
            if state["state"] == "over" and not waiting:
                return journal[before:], watch.whole
            demo.stop.wait(0.5)


def _tell_what_is_known(demo: Demo, waiting: Sequence[_Told], watch: Stopwatch) -> list[_Told]:
    left: list[_Told] = []
    for told in waiting:
        unknown = []
        for said in told.facts:
            times = watch.times(said)
            if times is None:
                unknown.append(said)
            else:
                told.times.append(times)
        told.facts = unknown
        # In the order of the day: what is known waits for what came before it.
        if left or (unknown and time.monotonic() - told.seen_at < PATIENCE):
            left.append(told)
            continue
        measured = tell(told.times)
        line = f"[cyan]{told.time}[/cyan]  {escape(told.text)}"
        if told.account is not None:
            measured += f"; the account shows {len(demo.store.account(told.account))} entries"
        demo.console.print(line + (f"[dim]; {escape(measured)}[/dim]" if measured else ""), highlight=False)
    return left


def _measure(demo: Demo, since: int, whole: Sequence[Whole], journal: Sequence[Mapping[str, Any]]) -> None:
    spans = [row.recorded_at - row.read_at for row in demo.store.stored() if row.recorded_at >= since]
    calm = undisturbed(whole, journal)
    demo.console.print(
        f"{len(spans)} facts today; from read to account: {_within(spans)}.\n"
        f"{len(whole)} of them are told above; from the moment at which it was said to the account, pauses between two "
        f"polls included: {_within([one.took for one in calm])}, for the {len(calm)} whose system did not fail on "
        f"purpose meanwhile; {_within([one.took for one in whole])}, with what failed.\n",
        highlight=False,
    )


def _within(spans: Sequence[int]) -> str:
    return f"half within {percentile(spans, 0.5)} ms, 99 % within {percentile(spans, 0.99)} ms"


def _tell_subscriber(demo: Demo) -> None:
    """Show what a service saw that follows citizens with nothing but a stock client."""
    lines = SUBSCRIBER.read_text("utf-8").splitlines() if SUBSCRIBER.exists() else []
    if demo.subscriber.poll() is not None:
        demo.console.print(
            f"[red]examples/subscriber.py ended with {demo.subscriber.returncode}; see {SUBSCRIBER}[/red]"
        )
        return
    demo.console.print(
        f"examples/subscriber.py, a stock Confluent client, saw {len(lines)} events of citizens; the last:"
    )
    for line in lines[-3:]:
        demo.console.print(f"  {escape(line)}", highlight=False)
    demo.console.print()


def _token(settings: Settings) -> None:
    """Give the demo a token, once, as `hub token new` does for any service."""
    path = settings.web.tokens_file
    text = path.read_text("utf-8") if path.exists() else ""
    if "[demo]" in text and TOKEN.exists():
        return
    secret = secrets.token_urlsafe(32)
    TOKEN.touch(0o600)
    TOKEN.write_text(secret, "utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600)
    path.write_text(f'[demo]\nsha256 = "{hash_of(secret)}"\nscopes = ["account:read"]\n', "utf-8")


def _tell_mails(demo: Demo) -> None:
    demo.console.print("What the mail server took:")
    mails = demo.town.get("/town/mails").json()
    kinds: dict[str, int] = {}
    for mail in mails:
        kinds[mail["subject"]] = kinds.get(mail["subject"], 0) + 1
    for subject, count in sorted(kinds.items(), key=lambda item: -item[1])[:6]:
        demo.console.print(f"  {count:4} × « {escape(subject)} »", highlight=False)
    demo.console.print()


def _tell_family(demo: Demo, about: Mapping[str, Any], journal: Sequence[Mapping[str, Any]], since: int) -> None:
    """Follow one family through the account, the messages and the open data, all looked up anew."""
    limit = time.monotonic() + PATIENCE
    while family.pending(about, demo.store) and time.monotonic() < limit:
        demo.check()
        demo.stop.wait(0.2)
    _token(demo.settings)
    seen = []
    headers = {"Authorization": f"Bearer {TOKEN.read_text('utf-8')}"}
    for parent in about["parents"]:
        url = f"{demo.settings.web.public_url}/api/v1/accounts/{parent['citizen']}"
        asked = time.monotonic()
        account = httpx.get(url, headers=headers, timeout=10).raise_for_status().json()
        seen.append(family.seen_of(parent["name"], round((time.monotonic() - asked) * 1000), account))
    mails = demo.town.get("/town/mails").json()
    now = datetime.now(UTC)
    datasets = catalogue.datasets().values()
    day = family.look(about, journal, mails, demo.store, demo.settings, datasets, seen, since, now)
    for line in family.tell(day):
        demo.console.print(escape(line), highlight=False, soft_wrap=True)
    demo.console.print()


def _tell_addresses(demo: Demo, about: Mapping[str, Any]) -> None:
    url = demo.settings.web.public_url
    reader = about["reader"]
    token = demo.store.make_login(reader["citizen"], datetime.now(UTC))
    rows = [
        (f"Account of {reader['name']} (link for one login)", f"{url}/connexion/{token}"),
        ("Operations", f"{url}/operations"),
        *((f"Metrics of {role}", f"http://127.0.0.1:{port}/metrics") for role, port in sorted(_roles().items())),
    ]
    for name, address in rows:
        demo.console.print(f"  {name:<48} {address}", highlight=False, soft_wrap=True)
    demo.console.print(
        f'\n  curl -H "Authorization: Bearer $(cat {TOKEN})" {url}/api/v1/accounts/{reader["citizen"]}',
        highlight=False,
        soft_wrap=True,
    )

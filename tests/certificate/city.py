"""A city to be attacked: brokers, a database, a town at speed, and every role as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
from kafka.admin import KafkaAdminClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.engine import make_url

from certificate.nursery import Born, Nursery
from hub.catalogue import ROOT
from hub.kafka.raw import RawWriter
from hub.process import end, free_port, is_free, spawn
from hub.store import Store
from hub.testing.cluster import Cluster, Kafka
from hub.testing.postgres import Postgres
from hub.testing.town.settings import settings, toml

PROGRAM = "hub.cli"
"""The module that is run for a role, if it is not to fail."""
PAIRED = ("normalise", "identify", "project")
SINGLE = ("intake", "deliver", "web")
BUSY = {"normalise": "raw.chrono", "identify": "event.school_catering.v1", "project": "event.school_catering.v1"}
"""Its busiest topic."""
DONE = {
    "normalise": "hub_records_decided_total",
    "identify": "hub_records_decided_total",
    "project": "hub_entries_written_total",
    "intake": "hub_raw_written_total",
}
"""What a role counts once it is safe."""
WORKS_SECONDS = 90.0
"""How long a role may take to work again before the run is given up."""
NEEDS_A_PERSON = (2, 3)
"""Exit codes of a role that will not get better by being started again."""


class Broken(Exception):
    """The run cannot go on; the text says why."""


class Role:
    """One place for a process of a role: whoever dies in it is followed by another."""

    def __init__(self, city: City, role: str, slot: int) -> None:
        """Take a port, which every process of this place answers on."""
        self.role, self.slot = role, slot
        self.name = f"{role}.{slot}"
        self.port = free_port()
        self.wanted = True
        self.process: Born | None = None
        self.started = 0.0
        self.peak = 0
        """Most resident memory of any of its processes, MB."""
        self._city = city

    def start(self) -> None:
        """Start a process here; only the keeper does."""
        if not is_free(self.port):
            self.port = free_port()
        arguments = ["--env", str(self._city.config), "--set", f"workers.slot={self.slot}"]
        arguments += ["--set", f"telemetry.port={self.port}", "run", self.role]
        self.started = time.monotonic()
        log = self._city.folder / "log" / f"{self.name}.log"
        self.process = self._city.nursery.start(self._city.program(self.role), arguments, log)

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal; none if it is just gone."""
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, number)

    def _ask(self, path: str) -> httpx.Response | None:
        try:
            return self._city.asking.get(f"http://127.0.0.1:{self.port}{path}")
        except httpx.HTTPError:
            return None

    def metric(self, name: str) -> dict[tuple[str, ...], float]:
        """Ask for a metric, by values of the labels in their names' order; empty while nobody answers."""
        # All there is takes 30 ms to write, twenty times a second, of a machine on which a role is to come up.
        answer = self._ask(f"/metrics?name[]={name}")
        return {
            tuple(value for _, value in sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(answer.text if answer else "")
            for sample in family.samples
        }

    @property
    def memory(self) -> int:
        """Resident memory of the process, MB; 0 while there is none."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()  # type: ignore[union-attr]
            return int(status.partition("VmRSS:")[2].split()[0]) // 1024
        except (OSError, AttributeError, IndexError):
            return 0

    @property
    def ready(self) -> bool:
        """Whether it says that it works."""
        answer = self._ask("/readyz")
        return answer is not None and answer.status_code == 200

    @property
    def partitions(self) -> set[str]:
        """Partitions of its busiest topic that it owns, and takes records of as they come."""
        return {number for number, topic in self.metric("hub_offset_committed") if topic == BUSY[self.role]}

    @property
    def works(self) -> bool:
        """Whether something that it did since it was started is safe: a record, a poll."""
        if self.role in DONE:
            return sum(self.metric(DONE[self.role]).values()) > 0
        return self.ready


class City:
    """Everything that runs.  `with City(folder) as city: …`."""

    def __init__(
        self,
        folder: Path,
        *,
        brokers: int,
        postgres: bool,
        families: int,
        seed: int,
        program: Callable[[str], str] = lambda _role: PROGRAM,
    ) -> None:
        """`program` gives the module that is run as the command line for a role."""
        self.folder = folder
        self.seed = seed
        self.nodes: list[Kafka] = []
        self.postgres: Postgres | None = None
        self.roles: dict[str, Role] = {}
        self.town: httpx.Client
        self.asking: httpx.Client
        self.store: Store
        self.writer: RawWriter
        self.config = folder / "hub.toml"
        self.journal = folder / "town" / "journal.jsonl"
        self.crashes: list[str] = []
        """Roles that ended by themselves, with their codes."""
        self.killed = 0
        self._brokers, self._with_postgres, self._families = brokers, postgres, families
        self.program = program
        self._expected: set[int] = set()
        """Processes whose end is ours."""
        self._stop = threading.Event()
        self._closing = ExitStack()
        self._broken: str | None = None

    def __enter__(self) -> Self:
        """Start everything."""
        with ExitStack() as stack:
            self._start(stack)
            self._closing = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End everything."""
        self._closing.close()

    # -- starting -----------------------------------------------------------------------------

    def _start(self, stack: ExitStack) -> None:
        (self.folder / "log").mkdir(parents=True)
        if self._brokers > 1:
            cluster = stack.enter_context(Cluster(self.folder / "kafka", self._brokers))
            self.nodes, self.bootstrap = cluster.nodes, cluster.bootstrap
        else:
            node = stack.enter_context(Kafka(self.folder / "kafka"))
            self.nodes, self.bootstrap = [node], node.bootstrap
        url = f"sqlite:///{self.folder}/hub.sqlite"
        store = {"url": url}
        if self._with_postgres:
            self.postgres = stack.enter_context(Postgres())
            url = self.postgres.url
            without = make_url(url)._replace(password=None).render_as_string()
            store = {"url": without, "password_file": str(self.postgres.folder / "password")}
        self.web_port = free_port()
        self._start_town(stack, store)
        self.run("topics", "apply")
        self.nursery = stack.enter_context(Nursery())
        # A process that was killed answers on no connection that is kept.
        limits = httpx.Limits(max_keepalive_connections=0)
        self.asking = stack.enter_context(httpx.Client(timeout=2, limits=limits))
        self.store = Store(url)
        stack.callback(self.store.close)
        self.writer = RawWriter({"bootstrap_servers": self.bootstrap})
        stack.callback(self.writer.close)
        for role in (*PAIRED, *SINGLE):
            for slot in (1, 2) if role in PAIRED else (1,):
                self.add(role, slot)
        for target in (self._keep, self._sample):
            thread = threading.Thread(target=target, daemon=True)
            thread.start()
            stack.callback(thread.join, 30)
        stack.callback(self._stop.set)
        self.until(lambda: all(role.ready for role in self.roles.values()), "the roles to get ready")

    def _start_town(self, stack: ExitStack, store: Mapping[str, str]) -> None:
        town = self.folder / "town"
        command = [sys.executable, "-m", "hub.testing.town.host", "--dir", str(town), "--seed", str(self.seed)]
        command += ["--families", str(self._families), "--hooks-url", f"http://127.0.0.1:{self.web_port}/hooks"]
        child = spawn(command, log=self.folder / "log" / "town.log", cwd=ROOT)
        stack.callback(end, child, 5.0)
        self.until((town / "ports.json").exists, "the town to wake up")
        ports = json.loads((town / "ports.json").read_text("utf-8"))
        self.town = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{ports['http']}", timeout=60))
        written = settings(
            self.folder,
            bootstrap=self.bootstrap,
            replication=min(self._brokers, 3),
            size="town",
            store=store,
            web_port=self.web_port,
            smtp_port=ports["smtp"],
            vendors=self.town.get("/town/settings").json(),
        )
        self.config.write_text(toml(written), "utf-8")

    def add(self, role: str, slot: int) -> Role:
        """Give a role another place; the keeper fills it."""
        place = Role(self, role, slot)
        self.roles = {**self.roles, place.name: place}
        return place

    def remove(self, place: Role) -> None:
        """Stop a place in order, and give it up."""
        place.wanted = False
        if place.process is not None:
            self._expected.add(place.process.pid)
            end(place.process, 20)
        self.roles = {name: role for name, role in self.roles.items() if role is not place}

    # -- what keeps it going ------------------------------------------------------------------

    def _keep(self) -> None:
        try:
            while not self._stop.wait(0.05):
                for place in list(self.roles.values()):
                    self._keep_one(place)
        finally:
            for place in self.roles.values():
                place.wanted = False
                place.signal(signal.SIGCONT)
            children = [place.process for place in self.roles.values() if place.process is not None]
            for child in children:
                child.terminate()
            for child in children:
                end(child, 15)

    def _keep_one(self, place: Role) -> None:
        process = place.process
        if process is not None and process.poll() is None:
            return
        if process is not None:
            place.process = None
            if process.pid not in self._expected:
                self.crashes.append(f"{place.name}: {process.returncode}")
                if process.returncode in NEEDS_A_PERSON:
                    self._broken = f"{place.name} needs a person; see {self.folder / 'log' / f'{place.name}.log'}"
                self.note("killed", role=place.role)
            self._expected.discard(process.pid)
        if place.wanted:
            place.start()

    def _sample(self) -> None:
        while not self._stop.wait(1.0):
            for place in self.roles.values():
                place.peak = max(place.peak, place.memory)

    # -- asking and telling -------------------------------------------------------------------

    def until(self, ready: Callable[[], bool], what: str, seconds: float = WORKS_SECONDS) -> float:
        """Wait for something; return how many seconds it took, raise `Broken` when it does not come."""
        begun = time.monotonic()
        while not ready():
            if self._broken is not None:
                raise Broken(self._broken)
            if time.monotonic() - begun > seconds:
                raise Broken(f"waited {seconds:.0f} s for {what}; see {self.folder / 'log'}")
            time.sleep(0.05)
        return time.monotonic() - begun

    def note(self, what: str, **more: str) -> None:
        """Write into the town's journal what is broken on purpose: it excuses what it explains."""
        self.town.post("/town/note", json={"what": what, **more}).raise_for_status()

    def act(self, product: str, action: str, **args: Any) -> Any:
        """Let something happen at a vendor."""
        answer = self.town.post("/town/act", json={"product": product, "action": action, "args": args})
        answer.raise_for_status()
        return answer.json()["result"]

    def rush(self, rate: float) -> int:
        """Set how many things happen in a second; return how many have."""
        done: int = self.town.post("/town/rush", params={"rate": rate}).json()["done"]
        return done

    def kill(self, place: Role) -> None:
        """Kill -9, said in the journal first."""
        self.note("killed", role=place.role)
        if place.process is not None:
            self._expected.add(place.process.pid)
        place.signal(signal.SIGKILL)
        self.killed += 1

    def run(self, *arguments: str, codes: Sequence[int] = (0,), seconds: float = 120) -> str:
        """Run one command of the hub and return what it said."""
        done = subprocess.run(
            [sys.executable, "-m", PROGRAM, "--env", str(self.config), *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if done.returncode not in codes:
            raise Broken(f"hub {' '.join(arguments)}: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    @contextmanager
    def admin(self) -> Iterator[KafkaAdminClient]:
        """Connect to the cluster for a moment."""
        client = KafkaAdminClient(bootstrap_servers=self.bootstrap.split(","))
        try:
            yield client
        finally:
            client.close()

    @contextmanager
    def database_away(self) -> Iterator[None]:
        """Take the database away: PostgreSQL is killed, SQLite is locked by somebody else."""
        if self.postgres is not None:
            self.postgres.kill()
            self.killed += 1
            try:
                yield
            finally:
                self.postgres.start()
            return
        with closing(sqlite3.connect(self.folder / "hub.sqlite", timeout=20, isolation_level=None)) as locking:
            locking.execute("BEGIN EXCLUSIVE")
            yield
            locking.execute("ROLLBACK")

    @property
    def entries(self) -> int:
        """How many events stand in SQL."""
        counts = self.store.counts()
        return counts["entries"] + counts["commands"]

"""The whole chain on one machine: how long a record takes to the account, hop by hop, and how fast each role is alone.

    python bench/chain.py --rates 1 100 1000 5000 --seconds 15
    python bench/chain.py --postgres

Records are callbacks of the school catering as its connector takes them, of children who are linked to a citizen each.
Nothing is asked of the roles: the log's own times and the account's rows say when a record was where.  Only in a run
of its own the account's API is asked, as a portal would, when its answer shows a record.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, Popen, run
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import httpx
import psycopg
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from hub.calendar import CITY
from hub.catalogue import ROOT
from hub.kafka.wire import CITIZEN_TOPIC, event_topic, raw_topic
from hub.model.record import Header
from hub.process import end, free_port, spawn
from hub.testing.cluster import Kafka
from hub.testing.postgres import USER, Postgres

CHILDREN, BOOKINGS = 2_000, 7
"""Children, and days of this week on which each has a booking: what the account shows on any day."""
PRODUCT, DOMAIN = "chrono", "school_catering"
TICKS = os.sysconf("SC_CLK_TCK")
SHARES = (0.5, 0.99, 0.999)
LOOKED_AT, READERS = 10, 32
"""Records a second that are looked for in the API's answers, and who looks at once at most."""
PROMISED = 200.0
"""Milliseconds from a record's read to the API, at `PACE` records a second."""
PACE = 1_000.0
MOVES, MOVED = 20, 1_000.0
"""Moves of links that are looked for, and the milliseconds that are promised for each."""
ROLES = ("normalise", "identify", "project")
QUIET = {"log_level": 2}
"""A broker that is stopped at the end is no news."""


class Said(NamedTuple):
    """A record of a citizen's child."""

    citizen: UUID
    read_at: int
    """When it was read, UTC milliseconds."""


class Api(NamedTuple):
    """The account's API of a web role that runs."""

    url: str
    token: str
    pid: int

    def get(self, client: httpx.Client, citizen: UUID) -> Any:
        """Return an account."""
        answer = client.get(f"{self.url}/{citizen}", headers={"Authorization": f"Bearer {self.token}"})
        return answer.raise_for_status().json()


class Hub:
    """A node, a database, the command line, and what is in them."""

    def __init__(self, folder: Path, *, postgres: bool = False, size: str = "demo") -> None:
        """Make everything and start nothing; `size` decides how many partitions there are."""
        self.folder = folder
        self._closing = ExitStack()
        self.node = self._closing.enter_context(Kafka(folder / "kafka", heap="1g"))
        settings = {"store.url": f"sqlite:///{folder}/hub.sqlite"}
        self.query: Callable[[str], list[tuple[Any, ...]]]
        self.line = [sys.executable, "-m", "hub.cli"]
        if postgres:
            server = self._closing.enter_context(Postgres())
            settings = {
                "store.url": f"postgresql+psycopg://{USER}@127.0.0.1:{server.port}/postgres",
                "store.password_file": str(server.folder / "password"),
            }
            connection = psycopg.connect(server.url.replace("+psycopg", ""), autocommit=True)
            self._closing.enter_context(connection)
            self.query = lambda text: connection.execute(text.encode()).fetchall()
        else:
            self.query = self._sqlite
        for key, value in {
            "kafka.bootstrap": self.node.bootstrap,
            "kafka.size": size,
            **settings,
            "data_dir": str(folder),
            "telemetry.discovery_file": str(folder / "prometheus.json"),
        }.items():
            self.line += ["--set", f"{key}={value}"]
        run([*self.line, "topics", "apply"], cwd=ROOT, check=True, stdout=DEVNULL)
        self._offsets = Consumer({**QUIET, "bootstrap.servers": self.node.bootstrap, "group.id": "bench"})
        self._producer = Producer(
            {
                **QUIET,
                "bootstrap.servers": self.node.bootstrap,
                "partitioner": "murmur2_random",
                "linger.ms": 1,
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        self._told = 0
        wait(lambda: self._led(CITIZEN_TOPIC))

    def _led(self, topic: str) -> bool:
        try:
            self.ends(topic)
        except KafkaException:
            # A topic that was just made has no leader yet, or one that does not know it.
            return False
        return True

    def close(self) -> None:
        """Stop what was started."""
        self._closing.close()

    def _sqlite(self, text: str) -> list[tuple[Any, ...]]:
        try:
            connection = sqlite3.connect(f"file:{self.folder}/hub.sqlite?mode=ro", uri=True)
        except sqlite3.OperationalError:
            return []
        try:
            return connection.execute(text).fetchall()
        except sqlite3.OperationalError:
            # Its tables are not there yet.
            return []
        finally:
            connection.close()

    @contextmanager
    def roles(self, *names: str, workers: int = 1) -> Iterator[Mapping[str, Popen[bytes]]]:
        """Run roles as processes of their own; of more workers than one, the others have a number after their name."""
        children = {
            name if slot == 1 else f"{name}{slot}": spawn(
                [*self.line, "--set", f"workers.slot={slot}", "run", name],
                cwd=ROOT,
                log=self.folder / f"{name}{slot}.log",
            )
            for name in names
            for slot in range(1, workers + 1)
        }
        try:
            yield children
        finally:
            for child in children.values():
                end(child, 15)

    @contextmanager
    def web(self) -> Iterator[Api]:
        """Run the web role, with a token for its account API."""
        port = free_port()
        self.line += ["--set", f"web.port={port}", "--set", f"web.tokens_file={self.folder}/tokens.toml"]
        scope = ["token", "new", "bench", "--scope", "account:read"]
        made = run([*self.line, *scope], cwd=ROOT, capture_output=True, check=True)
        with self.roles("web") as children:
            wait(lambda: answers(f"http://127.0.0.1:{port}/api/v1/openapi.json"))
            yield Api(f"http://127.0.0.1:{port}/api/v1/accounts", made.stdout.decode().strip(), children["web"].pid)

    def ends(self, topic: str) -> dict[int, int]:
        """Return the end of each partition of a topic."""
        numbers = self._offsets.list_topics(topic, timeout=10).topics[topic].partitions
        return {number: self._offsets.get_watermark_offsets(TopicPartition(topic, number))[1] for number in numbers}

    def count(self, topic: str) -> int:
        """Count the records of a topic."""
        return sum(self.ends(topic).values())

    def lag(self, group: str, topic: str) -> int:
        """Count the records of a topic that a group has not committed."""
        consumer = Consumer({**QUIET, "bootstrap.servers": self.node.bootstrap, "group.id": group})
        until = self.ends(topic)
        committed = consumer.committed([TopicPartition(topic, number) for number in until], timeout=10)
        consumer.close()
        return sum(until[tp.partition] - max(tp.offset, 0) for tp in committed)

    def entries(self) -> int:
        """Count the rows of all accounts."""
        found = self.query("SELECT count(*) FROM entries")
        return int(found[0][0]) if found else 0

    def put(self, topic: str, key: bytes, value: bytes) -> None:
        """Put a record anywhere."""
        self._producer.produce(topic, value, key)
        self._producer.poll(0)

    def say(self, product: str, feed: str, key: str, body: Mapping[str, Any] | bytes) -> int:
        """Put a record into raw, as intake does; return when it was read, UTC milliseconds."""
        read_at = time.time_ns() // 1_000_000
        self._producer.produce(
            raw_topic(product),
            body if isinstance(body, bytes) else json.dumps(body).encode(),
            key.encode(),
            headers=[
                (Header.FEED, feed.encode()),
                (Header.RAW_ID, str(uuid4()).encode()),
                (Header.READ_AT, str(read_at).encode()),
                (Header.CONTENT_TYPE, b"application/json"),
            ],
        )
        return read_at

    def flush(self) -> None:
        """Wait until the broker has it all."""
        self._producer.flush()

    def callback(self) -> Said:
        """Let the canteen say that a child was there, and the next time round that it was not."""
        number, self._told = self._told, self._told + 1
        child, booking = number % CHILDREN, number // CHILDREN % BOOKINGS
        there = number // CHILDREN // BOOKINGS % 2 == 0
        today = datetime.now(CITY).date()
        day = (today + timedelta(days=booking - today.weekday())).isoformat()
        body = {
            "id": str(UUID(int=number)),
            "event": "presence" if there else "absence",
            "at": datetime.now(UTC).isoformat(),
            "booking": {
                "id": 1 + child * BOOKINGS + booking,
                "user_external_id": f"E{child}",
                "in_waiting_list": False,
                # Bookings of long ago are forgotten: each would be a new one.
                "event": {"slug": f"cantine-{day}", "label": "Cantine", "datetime": f"{day} 11:30:00"},
            },
        }
        read_at = self.say(PRODUCT, "callback", f"chrono:E{child}", body)
        self._producer.poll(0)
        return Said(UUID(int=child), read_at)

    def link(self) -> None:
        """Link every child to a citizen, by the portal, and wait until identify knows."""
        for child in range(CHILDREN):
            citizen = str(UUID(int=child))
            body = {
                "id": str(uuid4()),
                "type": "link_requested",
                "at": "2026-03-01T08:00:00+01:00",
                "citizen": citizen,
                "link": {"subject": f"chrono:E{child}", "role": "parent", "scope": [], "until": None},
            }
            self.say("publik", "request", f"publik:{citizen}", body)
        self.flush()
        with self.roles(*ROLES, "deliver"):
            wait(lambda: self.count(CITIZEN_TOPIC) >= CHILDREN, 180)


def answers(url: str) -> bool:
    """Tell whether somebody is there."""
    try:
        return httpx.get(url, timeout=2).status_code < 500
    except httpx.HTTPError:
        return False


def wait(done: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until something is so."""
    limit = time.monotonic() + seconds
    while not done():
        if time.monotonic() > limit:
            raise SystemExit("chain: nothing comes any more; see the roles' logs")
        time.sleep(0.1)


def alone(hub: Hub, records: int) -> dict[str, dict[str, float]]:
    """Let one role after the other work off a backlog: events per second, and its CPU per million of them."""
    count: dict[str, Callable[[], int]] = {
        "normalise": lambda: hub.count(event_topic(DOMAIN)),
        "identify": lambda: hub.count(CITIZEN_TOPIC),
        "project": hub.entries,
    }
    source = {"normalise": raw_topic(PRODUCT), "identify": event_topic(DOMAIN), "project": event_topic(DOMAIN)}
    for _ in range(records):
        hub.callback()
    hub.flush()
    found = {}
    for role in ROLES:
        with hub.roles(role) as children:
            pid = children[role].pid
            samples = [(time.monotonic(), count[role](), cpu(pid))]
            while hub.lag(f"hub.{role}", source[role]):
                time.sleep(0.2)
                samples.append((time.monotonic(), count[role](), cpu(pid)))
            found[role] = {**steady(samples), "peak": peak(pid), "events": samples[-1][1] - samples[0][1]}
    return found


def together(hub: Hub, records: int) -> dict[str, float]:
    """Let all roles work off one backlog at once, as fast as they can: rows of accounts per second."""
    before = hub.entries()
    for _ in range(records):
        hub.callback()
    hub.flush()
    with hub.roles(*ROLES) as children:
        pids = [child.pid for child in children.values()]
        samples = [(time.monotonic(), hub.entries(), sum(map(cpu, pids)))]
        while samples[-1][1] < before + records:
            time.sleep(0.2)
            samples.append((time.monotonic(), hub.entries(), sum(map(cpu, pids))))
            if samples[-1][0] > samples[0][0] + 300:
                raise SystemExit("chain: nothing comes any more; see the roles' logs")
        return {**steady(samples), "events": samples[-1][1] - before}


def steady(samples: Sequence[tuple[float, int, float]]) -> dict[str, float]:
    """Return the rate and the CPU per million from (moment, count, CPU seconds), without the start and the end."""
    low, high = samples[0][1], samples[-1][1]
    middle = [one for one in samples if 0.1 < (one[1] - low) / max(high - low, 1) < 0.95]
    if len(middle) < 2:
        raise SystemExit("over before it was measured; use more --records")
    seconds, made, spent = (last - first for first, last in zip(middle[0], middle[-1], strict=True))
    return {"rate": made / seconds, "cpu": spent / made * 1e6}


def paced(hub: Hub, rate: float, seconds: float) -> dict[str, Any]:
    """Say so many records a second for a while, and look when each was where."""
    begun = time.time_ns() // 1_000_000
    tops = {topic: hub.ends(topic) for topic in (event_topic(DOMAIN), CITIZEN_TOPIC)}
    said = sum(1 for _ in saying(hub, rate, seconds))
    hub.flush()
    known = -1
    while (entries := hub.entries()) != known:
        known = entries
        time.sleep(2)
    spans: dict[str, list[float]] = defaultdict(list)
    for topic, name in ((event_topic(DOMAIN), "event"), (CITIZEN_TOPIC, "citizen")):
        spans[name] = [at - read for at, read in stamps(hub, topic, tops[topic])]
    # The numbers are ours.
    rows = hub.query(f"SELECT recorded_at - read_at FROM entries WHERE read_at >= {begun}")  # noqa: S608
    spans["account"] = [float(row[0]) for row in rows]
    return {
        "rate": rate,
        "said": said,
        "events": len(spans["account"]),
        **{name: {str(share): quantile(values, share) for share in SHARES} for name, values in spans.items()},
    }


def saying(hub: Hub, rate: float, seconds: float) -> Iterator[Said]:
    """Say so many records a second for a while, and yield each as it is said."""
    start, said = time.monotonic(), 0
    while (now := time.monotonic()) - start < seconds:
        while said < (now - start) * rate:
            yield hub.callback()
            said += 1
        time.sleep(0.0005)


def visible(hub: Hub, api: Api, rate: float, seconds: float) -> dict[str, Any]:
    """Say so many records a second, and ask the API for some of them again and again until its answer shows them."""
    step = max(1, round(rate / LOOKED_AT))
    with (
        httpx.Client(timeout=30, limits=httpx.Limits(max_connections=READERS)) as client,
        ThreadPoolExecutor(READERS) as readers,
    ):
        # What the web role does once is not what is measured.
        for _ in range(5):
            api.get(client, UUID(int=0))
        seen = []
        for number, said in enumerate(saying(hub, rate, seconds)):
            if number % step == 0:
                seen.append(readers.submit(until_shown, api, client, said, partial(tells, read_at=said.read_at)))
        hub.flush()
        took = [one.result() for one in seen]
    return {
        "rate": rate,
        "looked_at": len(took),
        **{str(share): quantile(took, share) for share in SHARES[:2]},
        "promised": PROMISED,
    }


def moves(hub: Hub, api: Api) -> dict[str, float]:
    """Move the links of one account after the other, as a desk does; return the milliseconds to the API's answer."""
    took = []
    with httpx.Client(timeout=30) as client:
        for number in range(MOVES):
            citizen, other = UUID(int=number), UUID(int=CHILDREN + number)
            body = {
                "id": str(uuid4()),
                "type": "move",
                "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "clerk": "bench",
                "citizen": str(citizen),
                "move": {"to": str(other), "subjects": None},
            }
            read_at = hub.say("publik", "household", f"publik:{citizen}", body)
            hub.flush()
            took.append(until_shown(api, client, Said(citizen, read_at), lambda account: not account["links"]))
    return {"asked": MOVES, "0.5": quantile(took, 0.5), "longest": max(took), "promised": MOVED}


def until_shown(api: Api, client: httpx.Client, said: Said, shows: Callable[[Any], bool]) -> float:
    """Return the milliseconds from a record's read to the first answer of the API that shows it."""
    while not shows(api.get(client, said.citizen)):
        if time.time() * 1000 - said.read_at > 60_000:
            raise SystemExit("chain: the account does not show a record; see the roles' logs")
        # Whoever asks more often takes from the roles what they need.
        time.sleep(0.01)
    return time.time() * 1000 - said.read_at


def tells(account: Any, read_at: int) -> bool:
    """Tell whether a line of an account was read at a moment or after it."""
    reads = [line["why"]["read_at"] for block in account["blocks"] for line in block["lines"] if line["why"]]
    return any(round(datetime.fromisoformat(read).timestamp() * 1000) >= read_at for read in reads)


def stamps(hub: Hub, topic: str, since: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """Yield when each record was written, and when what caused it was read, in milliseconds."""
    until = hub.ends(topic)
    consumer = Consumer(
        {**QUIET, "bootstrap.servers": hub.node.bootstrap, "group.id": "look", "enable.auto.commit": False}
    )
    for number, end_ in until.items():
        if since[number] >= end_:
            continue
        consumer.assign([TopicPartition(topic, number, since[number])])
        left = end_ - since[number]
        while left > 0:
            for message in consumer.consume(min(left, 5000), 5):
                left -= 1
                yield message.timestamp()[1], int(dict(message.headers())[Header.READ_AT])
    consumer.close()


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which a share of all lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def cpu(pid: int) -> float:
    """Return the CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak(pid: int) -> int:
    """Return the most resident memory of a process, MB."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()[0]) // 1024


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", type=float, nargs="*", default=[1, 100, 1000, 5000])
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--records", type=int, default=100_000, help="in the backlog that each role works off alone")
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--out", type=Path, help="JSON file for what was measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        hub = Hub(Path(folder), postgres=options.postgres)
        try:
            hub.link()
            found: dict[str, Any] = {"database": "PostgreSQL" if options.postgres else "SQLite"}
            found["alone"] = alone(hub, options.records)
            for role, one in found["alone"].items():
                print(f"{role:<10} alone {one['rate']:9,.0f} events/s  {one['cpu']:6.1f} CPU s/M  {one['peak']} MB")
            found["together"] = together(hub, options.records)
            print(f"all together {found['together']['rate']:10,.0f} events/s  {found['together']['cpu']:6.1f} CPU s/M")
            found["paced"] = []
            with hub.roles(*ROLES):
                time.sleep(8)
                for rate in options.rates:
                    one = paced(hub, rate, options.seconds)
                    found["paced"].append(one)
                    told = "; ".join(
                        f"{name} " + " ".join(f"{one[name][str(share)]:,.0f}" for share in SHARES)
                        for name in ("event", "citizen", "account")
                    )
                    print(f"{rate:6,.0f}/s  {one['events']:8,} events  ms p50 p99 p99.9: {told}", flush=True)
                with hub.web() as api:
                    shown = found["visible"] = visible(hub, api, PACE, options.seconds)
                    moved = found["moved"] = moves(hub, api)
                p50, p99 = (shown[str(share)] for share in SHARES[:2])
                print(
                    f"{PACE:6,.0f}/s  {shown['looked_at']:8,} looked at in the API  ms p50 p99: {p50:,.0f} {p99:,.0f}"
                )
                print(f"a move of links is in the API after {moved['0.5']:,.0f} ms, at most {moved['longest']:,.0f}")
        finally:
            hub.close()
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()

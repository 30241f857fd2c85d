"""How the hub grows: workers, partitions, parked keys, links of a metropolis, and accounts in a full database.

python bench/scale.py                      everything
python bench/scale.py workers accounts     some of it
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import httpx
from chain import CHILDREN, DOMAIN, PRODUCT, QUIET, Api, Hub, cpu, peak, quantile, stamps, wait
from confluent_kafka import Consumer, TopicPartition

from hub import catalogue
from hub.kafka.wire import CITIZEN_TOPIC, IDENTITY_TOPIC, event_topic, raw_topic
from schemas.models.identity import Link, LinkSet, Role

WORKERS = (1, 2, 4, 5)
SIZES = {"demo": 4, "town": 12, "metropolis": 48}
PARKED = (0, 10, 10_000)
BACKLOGS = (40_000, 160_000, 640_000)
CITIZENS = (1_000, 10_000, 100_000, 450_000, 1_000_000)
METROPOLIS = 450_000
SUBJECTS = 2
"""Links of a citizen: a child and a library card, say."""
ENTRIES = 4
"""Entries of a citizen in the full database."""
RATE, SECONDS = 200, 15
"""Reads of accounts per second, and for how long."""
SINCE = datetime(2026, 1, 5, tzinfo=UTC)


@contextmanager
def city(**options: Any) -> Iterator[Hub]:
    """Make a city, and take it down."""
    with tempfile.TemporaryDirectory() as folder:
        hub = Hub(Path(folder), **options)
        try:
            yield hub
        finally:
            hub.close()


def rate(hub: Hub, records: int, *, workers: int = 1) -> dict[str, float]:
    """Measure how fast workers of normalise take a backlog down, without their start and their end.

    By the moments at which events were made: a worker makes the more of them visible at once, the more partitions
    it has.
    """
    topic = event_topic(DOMAIN)
    before = hub.ends(topic)
    samples, weight = drain(hub, records, workers=workers)
    made = sorted(at / 1000 for at, _ in stamps(hub, topic, before))
    low, high = int(len(made) * 0.1), int(len(made) * 0.95)
    spent = spent_until(samples, made[high]) - spent_until(samples, made[low])
    return {"rate": (high - low) / (made[high] - made[low]), "cpu": spent / (high - low) * 1e6, "peak": weight}


def drain(hub: Hub, records: int, *, workers: int = 1) -> tuple[list[tuple[float, float]], int]:
    """Let workers of normalise take a backlog of callbacks down; return moments and CPU seconds, and one's peak."""
    for _ in range(records):
        hub.callback()
    hub.flush()
    with hub.roles("normalise", workers=workers) as children:
        pids = [child.pid for child in children.values()]
        samples = [(time.time(), 0.0)]
        while hub.lag("hub.normalise", raw_topic(PRODUCT)):
            time.sleep(0.1)
            samples.append((time.time(), sum(map(cpu, pids))))
        return samples, max(map(peak, pids))


def spent_until(samples: Sequence[tuple[float, float]], moment: float) -> float:
    """Return the CPU seconds up to a moment, between two samples in proportion."""
    for (early, less), (late, more) in pairwise(samples):
        if early <= moment <= late:
            return less + (more - less) * (moment - early) / (late - early)
    return samples[-1][1]


def by_workers(records: int) -> list[dict[str, float]]:
    """Measure 1, 2, 4 and 5 workers over twelve partitions, on the cores that there are."""
    found = []
    with city(size="town") as hub:
        drain(hub, CHILDREN * 10)
        for workers in WORKERS:
            found.append({"workers": workers, **rate(hub, records, workers=workers)})
            print(found[-1], flush=True)
    return found


def by_partitions(records: int) -> list[dict[str, float]]:
    """Measure one worker over 4, 12 and 48 partitions."""
    found = []
    for size, partitions in SIZES.items():
        with city(size=size) as hub:
            drain(hub, CHILDREN * 10)
            found.append({"partitions": partitions, **rate(hub, records)})
        print(found[-1], flush=True)
    return found


def by_parked(records: int) -> list[dict[str, float]]:
    """Measure one worker while keys are parked: the portal's, whose order matters, beside the canteen's."""
    found = []
    for parked in PARKED:
        with city() as hub:
            for number in range(parked):
                hub.say("publik", "request", f"publik:{UUID(int=number)}", b"{")
            hub.flush()
            drain(hub, CHILDREN * 10)
            found.append({"parked": parked, **rate(hub, records)})
        print(found[-1], flush=True)
    return found


def by_backlog() -> list[dict[str, float]]:
    """Measure one worker over backlogs of so many records."""
    found = []
    with city() as hub:
        drain(hub, CHILDREN * 10)
        for records in BACKLOGS:
            found.append({"backlog": records, **rate(hub, records)})
            print(found[-1], flush=True)
    return found


def by_links() -> list[dict[str, float]]:
    """Measure how long identify takes from its start to the first event of a citizen, and what its links weigh."""
    found: list[dict[str, float]] = []
    for citizens in CITIZENS:
        with city() as hub:
            fill(hub, citizens)
            # One event per child is there, and one role has to start for it.
            for _ in range(CHILDREN):
                hub.callback()
            hub.flush()
            with hub.roles("normalise"):
                wait(lambda hub=hub: hub.lag("hub.normalise", raw_topic(PRODUCT)) == 0)  # type: ignore[misc]
            started = time.monotonic()
            with hub.roles("identify") as children:
                wait(lambda hub=hub: hub.count(CITIZEN_TOPIC) > 0)  # type: ignore[misc]
                seconds = time.monotonic() - started
                pid = children["identify"].pid
                spent = cpu(pid)
                time.sleep(2)
                found.append(
                    {
                        "citizens": citizens,
                        "links": citizens * SUBJECTS,
                        "first_event": seconds,
                        "cpu": spent,
                        "resident": resident(pid),
                    }
                )
        print(found[-1], flush=True)
    few, many = found[0], found[-1]
    many["per_citizen"] = (many["resident"] - few["resident"]) / (many["citizens"] - few["citizens"])
    return found


def fill(hub: Hub, citizens: int) -> None:
    """Tell links as if they had been told long ago; the first children are those whom the canteen knows."""
    encode = catalogue.schemas().encode
    for number in range(citizens):
        citizen = str(UUID(int=number))
        for subject in (f"{PRODUCT}:E{number}", f"ils_di:{100_000 + number}"):
            link = Link(citizen=citizen, role=Role.PARENT, since=SINCE)
            hub.put(
                IDENTITY_TOPIC,
                subject.encode(),
                encode(LinkSet(subject=subject, version=1, links=(link,), command=citizen)),
            )
    hub.flush()
    group = Consumer({**QUIET, "bootstrap.servers": hub.node.bootstrap, "group.id": "hub.identify"})
    ends = hub.ends(IDENTITY_TOPIC)
    group.commit(
        offsets=[TopicPartition(IDENTITY_TOPIC, number, end) for number, end in ends.items()], asynchronous=False
    )
    group.close()


def by_accounts() -> dict[str, float]:
    """Measure the account read at so many requests a second, over a database that is full of a metropolis."""
    citizens = METROPOLIS
    with city() as hub:
        with hub.roles("project"):
            wait(lambda: bool(hub.query("SELECT 1 FROM alembic_version")))
        stuff(hub.folder / "hub.sqlite", citizens)
        with hub.web() as api:
            took = asyncio.run(ask(api, citizens))
            found = {
                "citizens": citizens,
                "entries": citizens * ENTRIES,
                "per_second": RATE,
                "asked": len(took),
                **{str(share): quantile(took, share) for share in (0.5, 0.99, 0.999)},
                "cpu": cpu(api.pid),
                "peak": peak(api.pid),
            }
    print(found, flush=True)
    return found


def stuff(path: Path, citizens: int) -> None:
    """Write a metropolis into the tables, in bulk: what project would have written event by event."""
    at = int(SINCE.timestamp() * 1000)
    with sqlite3.connect(path) as database:
        database.executemany(
            "INSERT INTO links (subject, citizen, role, scope, since, opened_by) VALUES (?, ?, 'PARENT', '[]', ?, '')",
            (
                (subject, str(UUID(int=number)), at)
                for number in range(citizens)
                for subject in (f"{PRODUCT}:E{number}", f"ils_di:{100_000 + number}")
            ),
        )
        meal = json.dumps(
            {
                "booking_id": "1",
                "meal_date": "2026-03-10",
                "activity": "LUNCH",
                "label": "Cantine",
                "waiting_list": False,
            }
        )
        database.executemany(
            "INSERT INTO entries (event_id, subject, type, product, audience, occurred_at, read_at, recorded_at,"
            " seq_epoch, seq_offset, seq_index, rev, payload, raw_partition)"
            " VALUES (?, ?, 'hub.school_catering.MealBooked', ?, 'person', ?, ?, ?, 1, ?, 0, 1, ?, 0)",
            (
                (
                    str(UUID(int=number * ENTRIES + nth)),
                    f"{PRODUCT}:E{number}",
                    PRODUCT,
                    at,
                    at,
                    at,
                    number * ENTRIES + nth,
                    meal,
                )
                for number in range(citizens)
                for nth in range(ENTRIES)
            ),
        )
        database.executemany(
            "INSERT INTO commands (event_id, type, citizen, subject, about, product, read_at, recorded_at, result)"
            " VALUES (?, 'hub.citizen_portal.LinkRequested', ?, ?, ?, 'publik', ?, ?, 'done')",
            (
                (str(UUID(int=number)), citizen, f"publik:{citizen}", f"{PRODUCT}:E{number}", at, at)
                for number in range(citizens)
                if (citizen := str(UUID(int=number)))
            ),
        )
    with sqlite3.connect(path) as database:
        database.execute("ANALYZE")


async def ask(api: Api, citizens: int) -> list[float]:
    """Ask for accounts at an even pace, whether or not the last answer is there; return milliseconds."""
    chance = Random(7)
    took: list[float] = []

    async def one(client: httpx.AsyncClient) -> None:
        citizen = UUID(int=chance.randrange(citizens))
        begun = time.perf_counter()
        answer = await client.get(f"{api.url}/{citizen}", headers={"Authorization": f"Bearer {api.token}"})
        took.append((time.perf_counter() - begun) * 1000)
        if answer.status_code != 200 or len(answer.json()["links"]) != SUBJECTS:
            raise SystemExit(f"the account was answered with {answer.status_code}")

    async with httpx.AsyncClient(timeout=30) as client:
        for _ in range(5):
            await one(client)
        took.clear()
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(RATE * SECONDS):
                await asyncio.sleep(max(0.0, begun + number / RATE - time.perf_counter()))
                group.create_task(one(client))
    return took


def resident(pid: int) -> int:
    """Return the resident memory of a process, bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) * 1024


def main() -> None:
    """Measure, print, keep."""
    parts: dict[str, Callable[[int], Any]] = {
        "workers": by_workers,
        "partitions": by_partitions,
        "parked": by_parked,
        "backlog": lambda _: by_backlog(),
        "links": lambda _: by_links(),
        "accounts": lambda _: by_accounts(),
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(parts)}; all, if none is named")
    parser.add_argument("--records", type=int, default=80_000)
    parser.add_argument("--out", type=Path, help="JSON file for what was measured")
    options = parser.parse_args()
    chosen: Sequence[str] = options.parts or list(parts)
    if unknown := set(chosen) - parts.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    found = {name: parts[name](options.records) for name in chosen}
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()

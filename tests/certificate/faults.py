"""What can go wrong, one function each, and a seeded order in which it does.

A fault breaks something, waits until it works again, and returns how long that took.  Load goes on meanwhile.
"""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from certificate.city import PAIRED, SINGLE, Broken, City
from hub.kafka.wire import event_topic
from hub.model.errors import Transient
from hub.model.intake import Emit
from hub.process import is_free

GONE_SECONDS = 12.0
"""How long a frozen process sleeps: longer than its session, so that another takes its partitions."""
POISON = b"{"
KEYS = {"chrono": "bookings", "ils_di": "patron", "hubee": "case", "metromobilite": "evtTC", "publik": "request"}
"""A feed of each product."""


@dataclass
class Poisoned:
    """A record that nobody can read, and what mends it."""

    product: str
    key: str
    mended: str | None
    """What the message should have been, where somebody knows."""
    at: float = field(default_factory=time.monotonic)


@dataclass
class Log:
    """What was broken, and how long it took until it worked again."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    counts: Counter[str] = field(default_factory=Counter)
    poisoned: list[Poisoned] = field(default_factory=list)
    settled: Counter[str] = field(default_factory=Counter)
    """Poisoned records by what was done with them."""

    def add(self, name: str, seconds: float | None = None) -> None:
        """Count a fault."""
        self.counts[name] += 1
        if seconds is not None:
            self.seconds[name].append(seconds)


Fault = Callable[[City, Log, random.Random], None]


def kill(role: str) -> Fault:
    """Kill -9 of a process of a role; another follows in the same slot."""

    def fault(city: City, log: Log, chance: random.Random) -> None:
        place = chance.choice([place for place in city.roles.values() if place.role == role])
        begun = time.monotonic()
        city.kill(place)
        city.until(lambda: place.process is not None and place.started > begun, f"{place.name} to be started")
        city.until(lambda: place.works, f"{place.name} to work again")
        log.add(f"{role}: kill -9, same slot", time.monotonic() - begun)

    return fault


def gone(role: str) -> Fault:
    """Kill -9 of a slot that does not return: the other one takes its partitions."""

    def fault(city: City, log: Log, chance: random.Random) -> None:
        place, other = chance.sample([place for place in city.roles.values() if place.role == role], 2)
        owned = place.partitions
        begun = time.monotonic()
        place.wanted = False
        city.kill(place)
        city.until(lambda: owned <= other.partitions, f"{other.name} to take over")
        log.add(f"{role}: kill -9, slot taken over", time.monotonic() - begun)
        place.wanted = True
        city.until(lambda: place.works, f"{place.name} to come back")

    return fault


def freeze(role: str, seconds: float = GONE_SECONDS) -> Fault:
    """SIGSTOP until another has taken over, then SIGCONT: an owner that wakes up."""

    def fault(city: City, log: Log, chance: random.Random) -> None:
        place = chance.choice([place for place in city.roles.values() if place.role == role])
        # What it had in hand may be said twice, as by one that was killed.
        city.note("killed", role=role)
        place.signal(signal.SIGSTOP)
        time.sleep(seconds)
        begun = time.monotonic()
        place.signal(signal.SIGCONT)
        city.until(lambda: place.works, f"{place.name} to work again")
        log.add(f"{role}: woken up by SIGCONT", time.monotonic() - begun)

    return fault


def join(role: str) -> Fault:
    """Let a third worker come and go in order: two rebalances."""

    def fault(city: City, log: Log, chance: random.Random) -> None:
        place = city.add(role, 3)
        city.until(lambda: place.works, f"{place.name} to get its part")
        owned = place.partitions
        begun = time.monotonic()
        city.remove(place)

        def taken() -> bool:
            found = [other.partitions for other in city.roles.values() if other.role == role]
            return owned <= set().union(*found)

        city.until(taken, f"{role} to take over from a worker that left")
        log.add(f"{role}: clean stop, handed over", time.monotonic() - begun)

    return fault


def broker(city: City, log: Log, chance: random.Random) -> None:
    """Kill -9 of a broker, and its return."""
    node = chance.choice(city.nodes)
    with _kafka_away(city):
        begun = time.monotonic()
        node.kill()
        city.killed += 1
        time.sleep(chance.uniform(0.5, 4))
        city.until(lambda: is_free(node.port) and is_free(node.controller_port), "a broker's ports")
        node.start(60)
        log.add("broker: kill -9 and return", time.monotonic() - begun)


def leaders(city: City, log: Log, chance: random.Random) -> None:
    """Move every leader of the event topics and of two sources to another broker."""
    with _kafka_away(city), city.admin() as admin:
        moved = {}
        for found in admin.describe_topics(["raw.chrono", *map(event_topic, ("school_catering", "library"))]):
            for partition in found["partitions"]:
                first, *others = partition["replica_nodes"]
                moved[TopicPartition(found["name"], partition["partition_index"])] = [*others, first]
        # The first of the copies is the one that is to lead.
        admin.alter_partition_reassignments(moved)
        admin.elect_leaders(0, list({tp.topic for tp in moved}), raise_errors=False)
    log.add("leaders moved")


def refused(city: City, log: Log, chance: random.Random) -> None:
    """Let the broker refuse every produce to an event topic for a few seconds."""
    topic = event_topic(chance.choice(("school_catering", "library")))
    copies = min(len(city.nodes), 3)
    with _kafka_away(city), city.admin() as admin:
        for least in (copies + 1, min(copies, 2)):
            admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"min.insync.replicas": str(least)})])
            time.sleep(4)
    log.add("produce refused for 4 s")


def vendor(city: City, log: Log, chance: random.Random) -> None:
    """Let a vendor be away, one answer be cut off, and one be an error page."""
    product = chance.choice(("chrono", "ils_di", "hubee", "metromobilite"))
    for kind, times in (("503", 4), ("truncate", 1), ("html200", 1)):
        city.town.post("/town/faults", json={"product": product, "path": "/", "kind": kind, "times": times})
    log.add("vendor away")


def database(city: City, log: Log, chance: random.Random) -> None:
    """Take the database away for a few seconds."""
    with city.database_away():
        time.sleep(chance.uniform(2, 4))
    before = city.entries
    log.add("database: back, SQL moves", city.until(lambda: city.entries > before, "SQL to move again"))


def mail(city: City, log: Log, chance: random.Random) -> None:
    """Let the mail server ask to come back later, lose an answer, and refuse an address for good."""
    for kind, times in (("451", 6), ("lost_answer", 1), ("550", 1)):
        city.town.post("/town/faults", json={"product": "mail", "kind": kind, "times": times})
    log.add("mail server away")


def poison(product: str) -> Fault:
    """Put a record into a source's topic that nobody can read; what comes after it for its subject waits."""

    def fault(city: City, log: Log, chance: random.Random) -> None:
        if product == "publik":
            citizen = str(uuid4())
            one, other = (f"chrono:{name}" for name in chance.sample(city.store.linked_subjects("chrono"), 2))
            mended = city.act("publik", "garble", citizen=citizen, subject=one, role="parent")
            # What comes behind it means something else in any other order.
            city.act("publik", "link", citizen=citizen, subject=other, role="parent")
            city.act("publik", "unlink", citizen=citizen, subject=one)
            city.act("publik", "link", citizen=citizen, subject=one, role="parent")
            city.act("publik", "unlink", citizen=citizen, subject=other)
            log.poisoned.append(Poisoned(product, f"publik:{citizen}", mended))
        else:
            known = city.store.linked_subjects(product)
            key = f"{product}:{chance.choice(known)}" if known else f"{product}:poison"
            emit = Emit(KEYS[product], key, POISON, int(time.time() * 1000), "application/json")
            for _ in range(10):
                try:
                    city.writer.emit(product, emit)
                    break
                except Transient:
                    time.sleep(1)
            else:
                raise Broken("the broker did not take a poisoned record")
            log.poisoned.append(Poisoned(product, key, None))
        log.add("poison record")

    return fault


REASON = ("--why", "certificate", "--yes", "--json")


def mend(city: City, log: Log, *, older: float) -> None:
    """Put right what was poisoned and has waited for `older` seconds: correct it and release it, or drop it."""
    for poisoned in list(log.poisoned):
        if time.monotonic() - poisoned.at < older:
            continue
        product, key = poisoned.product, ("--key", poisoned.key)
        shown = city.run("quarantine", "show", product, *key, "--json", codes=(0, 1, 2))
        rows = json.loads(shown) if shown.startswith("[") else []
        # What waited behind another that was bad, and is bad itself, bears no code of its own.
        bad = [row["at"] for row in rows if row["code"] != "behind"] or [row["at"] for row in rows[:1]]
        if not bad:
            # It may not have been decided yet.
            continue
        log.settled["waited behind"] += len(rows) - len(bad)
        if poisoned.mended is not None:
            file = city.folder / "mended"
            file.write_text(poisoned.mended, "utf-8")
            city.run("quarantine", "edit", product, bad[0], str(file), *REASON)
            city.run("quarantine", "release", product, *key, *REASON)
            log.settled["corrected and released"] += 1
        else:
            # What waits behind may be bad as well: an error page of the vendor's, say.
            city.run("quarantine", "drop", product, "--at", bad[0], *REASON, codes=(0, 1))
            log.settled["dropped"] += 1
        log.poisoned.remove(poisoned)


def drop_the_rest(city: City, log: Log) -> None:
    """Drop what the vendors' own failures left, as whoever is on duty would, until nothing waits."""
    for _ in range(20):
        groups = json.loads(city.run("quarantine", "list", "--json"))
        if not groups:
            return
        for group in groups:
            options = ("--code", group["code"], *REASON)
            city.run("quarantine", "drop", group["product"], *options, codes=(0, 1))
            log.settled["dropped"] += group["records"]
    raise Broken("something still waits in the quarantine")


@contextmanager
def _kafka_away(city: City) -> Iterator[None]:
    city.note("broker_away")
    try:
        yield
    finally:
        city.note("broker_back")


def schedule(chance: random.Random, kills: int, brokers: int) -> list[tuple[str, Fault]]:
    """Return faults in a random order, among them at least so many kills; on several brokers for each role in turn."""
    roles = PAIRED if brokers > 1 else (chance.choice(PAIRED),)
    once: list[tuple[str, Fault]] = [
        *((f"freeze {role}", freeze(role)) for role in roles),
        *((f"join {role}", join(role)) for role in roles),
        *((f"gone {role}", gone(role)) for role in roles),
        *((f"poison {product}", poison(product)) for product in KEYS),
        # The one that is released, not dropped.
        *([("poison publik", poison("publik"))] * 2 if brokers > 1 else []),
        *((fault.__name__, fault) for fault in (vendor, database, mail, refused, broker)),
        *([("leaders", leaders)] if brokers > 1 else []),
    ]
    kinds = [(f"kill {role}", kill(role)) for role in (*PAIRED, *SINGLE, *PAIRED)]
    if brokers > 1:
        kinds.append(("broker", broker))
    found = list(once)
    certain = sum(name.startswith(("gone", "broker")) for name, _ in once)
    for number in range(max(kills - certain, len((*PAIRED, *SINGLE)))):
        found.append(kinds[number % len(kinds)])
        if number % 8 == 7:
            found.append(chance.choice(once))
    chance.shuffle(found)
    return found

"""One run of the certificate: a city under load, a seeded row of faults, and the verdict."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kafka import KafkaConsumer

from certificate.city import PROGRAM, City
from certificate.faults import GONE_SECONDS, Fault, Log, drop_the_rest, mend, schedule
from certificate.oracle import Verdict, judge, read_journal
from hub.testing.town.settings import POLL_SECONDS

MEND_SECONDS = 15.0
"""How long a poisoned record is left: what comes behind it must wait."""


@dataclass
class Form:
    """How large a run is."""

    name: str
    events: int
    kills: int
    brokers: int
    postgres: bool
    families: int
    rate: float
    """Things that the town lets happen in a second."""
    pause: float
    """Mean seconds between two faults."""
    settle: float
    """Seconds after which what has not arrived is lost."""
    overlap: float = GONE_SECONDS + 5
    """Seconds that a transaction may take beside another worker's: one is frozen in the middle of his."""


FULL = Form("full", 100_000, 60, 3, True, 200, 160, 1.5, 300)
SHORT = Form("short", 5_000, 8, 1, False, 40, 80, 0.5, 120)


@dataclass
class Certificate:
    """What came of a run."""

    form: Form
    seed: int
    verdict: Verdict
    log: Log
    kills: int
    seconds: float
    crashes: list[str]
    peaks: dict[str, int]
    """Most memory of each role's processes, MB."""
    happened: int = 0
    """What the town let happen in its hurry."""
    missing: list[str] = field(default_factory=list)
    """What the run did not reach, though it should."""

    @property
    def passed(self) -> bool:
        """Whether nothing went wrong, and enough was tried."""
        return self.verdict.clean and not self.missing


def certify(
    folder: Path,
    form: Form,
    seed: int,
    tell: Callable[[str], None],
    program: Callable[[str], str] = lambda _role: PROGRAM,
    faults: Sequence[tuple[str, Fault]] | None = None,
) -> Certificate:
    """Run a city, break it, and judge; raise `Broken` when it cannot go on.  `faults`: these instead of a schedule."""
    chance = random.Random(seed)
    begun = time.monotonic()
    log = Log()
    with City(
        folder,
        brokers=form.brokers,
        postgres=form.postgres,
        families=form.families,
        seed=seed,
        program=program,
    ) as city:
        _await_beginning(city, form)
        settled_at = int(time.time() * 1000)
        tell(f"{form.brokers} brokers and {len(city.roles)} processes up in {time.monotonic() - begun:.0f} s")
        city.rush(form.rate)
        if faults is None:
            faults = schedule(chance, form.kills, form.brokers)
        for number, (name, fault) in enumerate(faults, 1):
            time.sleep(chance.uniform(0.5, 1.5) * form.pause)
            mend(city, log, older=MEND_SECONDS)
            started = time.monotonic()
            fault(city, log, chance)
            tell(
                f"{time.monotonic() - begun:6.0f} s  {number:3}/{len(faults)}  {name:<22} "
                f"{time.monotonic() - started:5.1f} s  {city.entries} events on accounts"
            )
        while city.entries < form.events * 1.02:
            time.sleep(1)
            mend(city, log, older=MEND_SECONDS)
        happened = city.rush(0)
        tell(f"{time.monotonic() - begun:6.0f} s  the town falls silent; waiting for what is under way")
        limit = time.monotonic() + 120
        while log.poisoned and time.monotonic() < limit:
            mend(city, log, older=0)
            time.sleep(1)
        drop_the_rest(city, log)
        _settle_quietly(city)
        ledger = _settle(city, form)
        tell(f"{time.monotonic() - begun:6.0f} s  judging")
        (folder / "ledger.json").write_text(json.dumps(ledger, indent=1), "utf-8")
        verdict = judge(
            city.bootstrap,
            _topics(city),
            read_journal(city.journal),
            city.store,
            ledger,
            city.folder / "data" / "opendata",
            settled_at,
        )
        made = Certificate(
            form,
            seed,
            verdict,
            log,
            city.killed,
            time.monotonic() - begun,
            city.crashes,
            {place.name: place.peak for place in city.roles.values()},
            happened,
        )
        made.missing = _missing(made)
        return made


def _await_beginning(city: City, form: Form) -> None:
    """Wait until what the town had said before the hurry is on the accounts, and its links are known everywhere."""
    city.until(lambda: city.store.linked_subjects("chrono") != [], "the first links")
    _settle_quietly(city)
    city.run("ledger", *_ledger(city, 60, form.overlap), codes=(0, 1))

    def told() -> bool:
        return not any(channel == "identity" and state != "sent" for channel, state in city.store.outbox_counts())

    city.until(told, "links to be told")
    time.sleep(4 * POLL_SECONDS)


def _settle_quietly(city: City) -> None:
    """Wait until nothing more comes to the accounts."""
    before = -1
    while (now := city.entries) != before:
        before = now
        time.sleep(4 * POLL_SECONDS)


def _settle(city: City, form: Form) -> dict[str, object]:
    """Take the ledger until it balances, or until the time is over."""
    told = city.run(
        "ledger", "--json", *_ledger(city, form.settle, form.overlap), codes=(0, 1), seconds=form.settle + 300
    )
    # The files for the public follow a few seconds later.
    time.sleep(6)
    found: dict[str, object] = json.loads(told)
    return found


def _ledger(city: City, seconds: float, overlap: float) -> tuple[str, ...]:
    return "--journal", str(city.journal), "--wait", str(seconds), "--overlap", str(overlap)


def _topics(city: City) -> dict[str, list[str]]:
    consumer = KafkaConsumer(bootstrap_servers=city.bootstrap.split(","))
    try:
        names = sorted(consumer.topics())
    finally:
        consumer.close()
    return {
        "raw": [name for name in names if name.startswith("raw.")],
        "event": [name for name in names if name.startswith("event.") and name != "event.identity.v1"],
    }


def _missing(made: Certificate) -> list[str]:
    missing = []
    if made.verdict.events < made.form.events:
        missing.append(f"{made.verdict.events} events of {made.form.events}")
    if made.kills < made.form.kills:
        missing.append(f"{made.kills} kills of {made.form.kills}")
    if made.log.poisoned:
        missing.append(f"{len(made.log.poisoned)} poisoned records are still there")
    if made.log.counts["poison record"]:
        efforts = ("corrected and released", "waited behind")
        missing += [f"nothing of what was poisoned: {effort}" for effort in efforts if not made.log.settled[effort]]
    return missing

"""How long a town's year takes from facts to files: 1.25 million loans, a school year of meals.

    python bench/open_data.py --loans 1250000

The database is made first and not measured.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import insert

from hub import catalogue
from hub.config import OpenData, Settings
from hub.delivery import exports
from hub.delivery.open_data import OpenDataTurn
from hub.kafka.project import as_json
from hub.model.event import StoredEvent
from hub.model.record import Seq
from hub.roles.policy import CityPolicy
from hub.store import Store
from hub.store import tables as t
from schemas.models.transport import DisruptionPublished

EXPORT, REGENERATED = 30.0, 60.0
"""Seconds that are promised: for the year, and from an event to its file."""
NEWS = "SEM_BENCH"
BRANCHES = [f"BIB{number:02}" for number in range(14)]
KINDS = ["LIVRE", "BD", "CD", "DVD", "REVUE", "JEU", "PARTITION", "LIVRE_LU", "LISEUSE", "CARTE"]


class Silent:
    """Nobody is told."""

    def written(self, dataset: str, rows: int, at: float) -> None:
        """Say nothing."""

    def sound(self, dataset: str, withdrawn: int) -> None:
        """Say nothing."""

    def refused(self, dataset: str, problem: str) -> None:
        """Stop: a year that is refused measures nothing."""
        raise AssertionError(f"{dataset}: {problem}")


def fill(store: Store, loans: int) -> None:
    """Write the facts of a year."""
    chance = random.Random(1)
    kinds = chance.choices(KINDS, [40, 20, 8, 12, 6, 3, 1, 1, 1, 1], k=loans)
    with store._write() as connection:  # noqa: SLF001 - what is measured is reading
        for start in range(0, loans, 50_000):
            rows = [
                {
                    "event_id": f"loan-{number}",
                    "fact": "loan",
                    "period": f"2025-{1 + number % 12:02}",
                    "place": chance.choice(BRANCHES),
                    "kind": kinds[number],
                    "rev": 1,
                }
                for number in range(start, min(start + 50_000, loans))
            ]
            connection.execute(insert(t.facts), rows)
        meals = [
            {
                "event_id": f"meal-{number}",
                "fact": "meal",
                "period": f"2025-{1 + number % 12:02}-{1 + number % 28:02}",
                "place": f"Restaurant {chance.randrange(60)}",
                "kind": "",
                "rev": 1,
            }
            for number in range(loans // 5)
        ]
        connection.execute(insert(t.facts), meals)


def disruption(at: datetime) -> StoredEvent:
    """Return an event that changes a dataset as soon as it is told."""
    payload = DisruptionPublished(
        disruption_id=NEWS, kind="chantier", lines=("SEM:C1",), starts_at=at, title="Travaux", description="Travaux"
    )
    moment = int(at.timestamp() * 1000)
    return StoredEvent(
        id=NEWS,
        type=payload.TYPE,
        subject=f"metromobilite:{NEWS}",
        product="metromobilite",
        audience=payload.AUDIENCE,
        time=moment,
        read_at=moment,
        seq=Seq(1, 0, 0),
        rev=1,
        payload=payload,
        data=as_json(payload),
    )


def main() -> int:
    """Measure the export of the year, and how long an event takes to a file beside it; fail above what is promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loans", type=int, default=1_250_000)
    parser.add_argument("--out", type=Path, help="JSON file for what was measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = Store(f"sqlite:///{folder}/hub.sqlite")
        store.migrate()
        fill(store, options.loans)
        now = datetime(2026, 3, 10, 7, 40, tzinfo=UTC)
        settings = OpenData(folder=folder / "www", supplied=folder / "supplied")
        datasets = catalogue.datasets()
        turn = OpenDataTurn(store, settings, datasets, "http://127.0.0.1/donnees", Silent(), lambda: now)
        halt = threading.Event()
        began = time.monotonic()
        turn(halt)
        exported = time.monotonic() - began
        # The worst moment for an event: a turn has begun and has already looked where it would be.
        began = time.monotonic()
        rest = turn(halt)
        store.project([disruption(now)], CityPolicy(Settings()), now)
        time.sleep(rest)
        turn(halt)
        regenerated = time.monotonic() - began
        table = exports.files_of(datasets["perturbations"], settings.warehouse)[0]
        told = NEWS in (settings.folder / table.path).read_text("utf-8")
        store.close()
    print(f"{options.loans:,} loans exported in {exported:.1f} s (promised: {EXPORT:g} s)")
    print(f"an event is in its file after {regenerated:.1f} s at most: {told} (promised: {REGENERATED:g} s)")
    measured = {
        "loans": options.loans,
        "export": {"seconds": exported, "promised": EXPORT},
        "regenerated": {"seconds": regenerated, "promised": REGENERATED},
    }
    if options.out:
        options.out.write_text(json.dumps(measured, indent=1) + "\n", "utf-8")
    return int(not told or exported > EXPORT or regenerated > REGENERATED)


if __name__ == "__main__":
    sys.exit(main())

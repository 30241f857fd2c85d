"""How long a town's year takes from facts to files: 1.25 million loans, a school year of meals.

    .venv/bin/python bench/open_data.py [--loans 1250000]

The database is made first and not measured. Prints one JSON line; exits 1 above the limit.
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
from hub.config import OpenData
from hub.delivery.open_data import OpenDataTurn
from hub.store import Store
from hub.store import tables as t

LIMIT = 30.0
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


def main() -> None:
    """Measure the first turn, which gates and writes all of it, and one after it, which changes nothing."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--loans", type=int, default=1_250_000)
    loans = parser.parse_args().loans
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = Store(f"sqlite:///{folder}/hub.sqlite")
        store.migrate()
        fill(store, loans)
        now = datetime(2026, 3, 10, 7, 40, tzinfo=UTC)
        settings = OpenData(folder=folder / "www", supplied=folder / "supplied")
        turn = OpenDataTurn(store, settings, catalogue.datasets(), "http://127.0.0.1/donnees", Silent(), lambda: now)
        took = []
        for _ in range(2):
            began = time.monotonic()
            turn(threading.Event())
            took.append(round(time.monotonic() - began, 2))
        rows = {name: len(export.rows) for name, export in turn.exports.items() if export.rows}
        store.close()
    print(json.dumps({"loans": loans, "first_seconds": took[0], "next_seconds": took[1], "rows": rows}))
    sys.exit(took[0] > LIMIT)


if __name__ == "__main__":
    main()

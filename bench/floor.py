"""What a record costs on the pure path, by feed, as a multiple of a loop of fixed work in the same run.

    python bench/floor.py            print it
    python bench/floor.py --check    fail if a feed costs a fifth more than `bench/floor.json` says
    python bench/floor.py --keep     write `bench/floor.json` anew, and say in the commit why

The path is: decode, validate, map, encode, and the message for the broker.  CPU time of this process alone is
counted, in turns with the loop, so that a busy or a slow machine moves both.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from hub import catalogue
from hub.kafka import wire
from hub.model.connector import Connector
from hub.model.decision import Deliver
from hub.pipeline.process import process
from hub.testing.samples import Sample, samples

KEPT = Path(__file__).with_name("floor.json")
ALLOWED = 1.2
ROUNDS = 25
LOOKS = 3
"""How often a feed is measured before it counts as dearer: whatever disturbs only adds."""
DOCUMENT = json.dumps({"a": list(range(20)), "b": {"c": "text " * 10, "d": [True, None, 1.5]}})


def loop() -> None:
    """Do the fixed work: what a path does, and none of it ours."""
    for number in range(400):
        found = json.loads(DOCUMENT)
        found["e"] = hashlib.sha1(str(number).encode(), usedforsecurity=False).hexdigest()
        parts = [f"{key}={len(str(value))}" for key, value in found.items()]
        "&".join(sorted(parts)).upper().split("&")


def path(connector: Connector, of: list[Sample]) -> Callable[[], None]:
    """Return what takes every good sample of a feed through the path."""
    schemas = catalogue.schemas()
    good = [
        sample
        for sample in of
        if any(
            isinstance(decision, Deliver)
            for decision in process(sample.record, connector, schemas, sample.previous).decisions
        )
    ]

    def run() -> None:
        for sample in good:
            for decision in process(sample.record, connector, schemas, sample.previous).decisions:
                if isinstance(decision, Deliver):
                    wire.event_message(decision.event)

    run.records = len(good)  # type: ignore[attr-defined]
    return run


def spent(work: Callable[[], None], times: int) -> float:
    """Return the CPU seconds of doing something so many times."""
    begun = time.process_time()
    for _ in range(times):
        work()
    return time.process_time() - begun


def measure(only: Collection[str] = ()) -> dict[str, tuple[float, float]]:
    """Return cost per record as a multiple of the loop, and microseconds on this machine, by product and feed."""
    found = {}
    for product, connector in catalogue.connectors().items():
        every = list(samples(connector))
        for feed in connector.feeds:
            if only and f"{product}.{feed}" not in only:
                continue
            work = path(connector, [sample for sample in every if sample.feed == feed])
            records: int = work.records  # type: ignore[attr-defined]
            if not records:
                continue
            times = max(1, int(0.02 / max(spent(work, 1), 1e-6)))
            loop()
            turns = [(spent(work, times) / times / records, spent(loop, 2) / 2) for _ in range(ROUNDS)]
            # The least of each: whatever disturbs only adds.
            cost, fixed = map(min, zip(*turns, strict=True))
            found[f"{product}.{feed}"] = cost / fixed, cost * 1e6
    return found


def _dearer(found: Mapping[str, tuple[float, float]], kept: Mapping[str, float]) -> list[str]:
    return sorted(name for name, (ratio, _) in found.items() if ratio > ALLOWED * kept.get(name, ratio))


def main() -> None:
    """Measure, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--out", type=Path, help="JSON file for what was measured")
    options = parser.parse_args()
    found = measure()
    kept = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}
    for _ in range(LOOKS - 1):
        if dearer := _dearer(found, kept):
            found |= {name: min(found[name], again) for name, again in measure(dearer).items()}
    dearer = _dearer(found, kept)
    for name, (ratio, cost) in sorted(found.items()):
        share = ratio / kept.get(name, ratio)
        print(f"{name:<28} {ratio * 1000:7.2f} thousandths of the loop  {share:5.2f} of what it was  {cost:8.1f} us")
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    if options.keep:
        KEPT.write_text(json.dumps({name: round(one[0], 6) for name, one in sorted(found.items())}, indent=1) + "\n")
    if options.check and (dearer or found.keys() != kept.keys()):
        sys.exit(f"dearer than a fifth more, or not known: {', '.join(dearer or sorted(found.keys() ^ kept.keys()))}")


if __name__ == "__main__":
    main()

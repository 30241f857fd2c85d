"""`make certify`: run the certificate, say what came of it, and write the page."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from certificate import page
from certificate.city import PAIRED, Broken
from certificate.faults import Fault, freeze
from certificate.run import FULL, SHORT, Certificate, Form, certify
from certificate.sink import block

SLEEP_SECONDS = 60.0
LONGEST_GROWTH = 0.2
"""Share by which a role's memory may grow while a sink is away."""


def main() -> int:
    """Run one form, or one target of its own."""
    parser = argparse.ArgumentParser(prog="certify", description="Run the hub under load and under attack, and judge.")
    parser.add_argument("what", choices=("full", "short", "zombie", "sink"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--events", type=int, help="events at least")
    parser.add_argument("--kills", type=int, help="kills at least")
    parser.add_argument("--seconds", type=float, default=600, help="how long the sink is away")
    parser.add_argument("--folder", type=Path, help="where everything lies, and is kept")
    options = parser.parse_args()
    # Told to stop, everything that was started is ended in order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    folder: Path = options.folder or Path(tempfile.mkdtemp(prefix="certify-"))
    try:
        code = _sink(folder, options.seconds) if options.what == "sink" else _run(folder, options, began)
    except Broken as error:
        print(f"certify: {error}", file=sys.stderr)
        code = 3
    if code:
        print(f"certify: logs, journal and databases are kept in {folder}", file=sys.stderr)
    elif not options.folder:
        shutil.rmtree(folder)
    return code


def _run(folder: Path, options: argparse.Namespace, began: float) -> int:
    form: Form = SHORT if options.what == "short" else FULL
    faults: Sequence[tuple[str, Fault]] | None = None
    if options.what == "zombie":
        form = replace(form, name="zombie", events=10_000, kills=0, rate=100, overlap=SLEEP_SECONDS + 5)
        faults = [(f"sleep of a minute, {role}", freeze(role, SLEEP_SECONDS)) for role in PAIRED]
    form = replace(form, events=options.events or form.events, kills=options.kills or form.kills)
    made = certify(folder, form, options.seed, lambda line: print(line, flush=True), faults=faults)
    _show(made)
    if options.what != "short":
        page.keep("zombie" if options.what == "zombie" else f"seed {made.seed}", page.result(made))
        print(f"{page.PAGE} was written; {time.monotonic() - began:.0f} s in all")
    return 0 if made.passed else 1


def _show(made: Certificate) -> None:
    verdict = made.verdict
    print(
        f"\nseed {made.seed}: {verdict.events:,} events, {made.kills} kills, {made.log.counts.total()} faults, "
        f"{verdict.mails} mails\n"
        f"lost {len(verdict.lost)}, doubled {len(verdict.doubled)}, out of order {len(verdict.inversions)}; "
        f"seen again under the same id {verdict.repeats}, longest stall {verdict.stall:.1f} s"
    )
    for name, seconds in sorted(made.log.seconds.items()):
        half, late, worst = page.quantiles(seconds)
        print(f"  {name:<40} {len(seconds):3} times: half {half:.1f} s, 99 % {late:.1f} s, worst {worst:.1f} s")
    print(f"  memory: {', '.join(f'{name} {peak} MB' for name, peak in sorted(made.peaks.items()))}")
    print(f"  quarantine: {', '.join(f'{count} {what}' for what, count in sorted(made.log.settled.items()))}")
    for problem in (*verdict.findings, *made.missing):
        print(f"  {problem}")
    for crash in made.crashes:
        print(f"  ended by itself: {crash}")


def _sink(folder: Path, seconds: float) -> int:
    found = block(folder, seconds, 500, lambda line: print(line, flush=True))
    growth = {name: (most - before) / before for name, (before, most) in found["memory"].items()}
    for name, share in growth.items():
        before, most = found["memory"][name]
        print(f"  {name:<12} {before} MB before, at most {most} MB: {share:+.0%}")
    print(f"all caught up after {found['caught_up']} s; {found['missing']} events are missing")
    page.keep("sink", {**page.machine(), **found})
    return 0 if found["missing"] == 0 and max(growth.values()) <= LONGEST_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())

"""`hub ledger`: what the simulated town said against what the hub has."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from hub import catalogue
from hub.cli.main import Environment
from hub.config import Settings
from hub.kafka.clients import for_kafka_python
from hub.kafka.ledger import read as read_topics
from hub.model.errors import Transient
from hub.roles.database import store_url
from hub.roles.runtime import ENVIRONMENT, topic_plan
from hub.store import Refused as StoreRefused
from hub.store import Store
from hub.testing.ledger import Ledger, Sent, Stored, reckon
from hub.testing.town.journal import read as read_journal

JOURNAL = Path(".hub/town/journal.jsonl")


def take(settings: Settings, journal: Path, overlap: float = 0.0) -> Ledger:
    """Read the journal, the topics and the database, and compare."""
    connectors = catalogue.connectors()
    schemas = catalogue.schemas()
    plan = topic_plan(settings)
    store = Store(store_url(settings))
    early = list(read_journal(journal))
    topics = read_topics(
        for_kafka_python(settings.kafka),
        {product: plan.epoch(product) for product in connectors},
        schemas.domains("person", "public", "command"),
    )
    try:
        stored = [Stored(*row) for row in store.stored()]
        notices = [Sent(*row) for row in store.outbox_rows("mail")]
    finally:
        store.close()
    return reckon(
        early=early,
        topics=topics,
        stored=stored,
        notices=notices,
        late=list(read_journal(journal)),
        connectors=connectors,
        schemas=schemas,
        overlap_ms=round(overlap * 1000),
    )


def settle(
    settings: Settings,
    journal: Path,
    seconds: float,
    check: Callable[[], None] = lambda: None,
    overlap: float = 0.0,
) -> Ledger:
    """Take the ledger again until it balances or the time is over: what is under way is no loss.

    `check` is called between two looks; it raises when nobody wants to wait any more.
    `overlap`: seconds that a transaction may take beside another worker's.
    """
    limit = time.monotonic() + seconds
    while True:
        ledger = take(settings, journal, overlap)
        if ledger.balanced or time.monotonic() > limit:
            return ledger
        check()
        time.sleep(1.0)


def show(ledger: Ledger, console: Console) -> None:
    """Print the ledger as tables, with the reasons for whatever is not where it might be expected."""
    table = Table(
        title="The ledger: what the town said, and what the hub has", title_justify="left", title_style="bold"
    )
    table.add_column("source")
    for name in (
        "served",
        "excused",
        "again",
        "raw",
        "delivered",
        "set aside",
        "skipped",
        "facts",
        "events",
        "entries",
    ):
        table.add_column(name, justify="right")
    table.add_column("difference", justify="right")
    for source in ledger.sources:
        table.add_row(
            source.product,
            str(source.served),
            str(source.excused.total()),
            str(source.again),
            str(source.raw),
            str(source.delivered),
            str(source.quarantined.total()),
            str(source.skipped.total()),
            str(source.facts),
            str(source.events),
            str(source.entries),
            _coloured(source.difference),
        )
    console.print(table)
    mails = ledger.mails
    console.print(
        f"mail: {mails.owed} facts owed by the town's reckoning"
        + (f" and {mails.either} perhaps" if mails.either else "")
        + f"; {mails.due} due = {mails.sent} sent + {mails.refused} refused + {mails.waiting} waiting; "
        f"{mails.taken} taken by the mail server; difference {_coloured(mails.difference)}"
    )
    if mails.untold or mails.uncalled:
        console.print(f"  [red]mail: {mails.untold} owed and not told, {mails.uncalled} told and not owed[/red]")
    for source in ledger.sources:
        if source.foreign:
            console.print(f"  {source.product}: raw without the name of an answer: {source.foreign}", highlight=False)
        for title, counts in (
            ("not in raw", source.excused),
            ("set aside", source.quarantined),
            ("skipped", source.skipped),
            ("facts that nobody could observe", source.hidden),
        ):
            if counts:
                told = ", ".join(f"{count} {why}" for why, count in sorted(counts.items()))
                console.print(f"  {source.product}: {title}: {told}", highlight=False)
        if source.difference:
            wrong = {
                "lost": len(source.lost),
                "never served": source.unserved,
                "doubled": source.doubled,
                "outcome missing": source.adrift,
                "events from nothing": source.unfounded,
                "facts not as said": len(source.mismatched),
                "entries not as events": source.misfiled,
            }
            told = ", ".join(f"{count} {why}" for why, count in wrong.items() if count)
            console.print(f"  [red]{source.product}: {told}[/red]", highlight=False)
            # Kinds only: a subject may be a person.
            kinds = sorted({f"{name.split()[0]} {said}≠{found}" for name, (said, found) in source.mismatched.items()})
            if kinds:
                console.print(f"  [red]{source.product}: said≠found: {', '.join(kinds)}[/red]", highlight=False)
    console.print(f"[bold]difference {_coloured(ledger.difference)}[/bold]")


def _coloured(number: int) -> str:
    return f"[red]{number}[/red]" if number else f"[green]{number}[/green]"


@click.command("ledger")
@click.option("--json", "as_json", is_flag=True, help="Figures as JSON, each mismatch with its subject.")
@click.option(
    "--journal",
    type=click.Path(path_type=Path),
    default=JOURNAL,
    show_default=True,
    help="The town's journal.",
)
@click.option("--wait", type=float, default=15.0, show_default=True, help="Seconds to wait for what is under way.")
@click.option(
    "--overlap",
    type=float,
    default=0.0,
    show_default=True,
    help="With several workers: seconds that a transaction may take. A wish and a fact within it may be seen either way.",
)
@click.pass_obj
def command(environment: Environment, as_json: bool, journal: Path, wait: float, overlap: float) -> None:
    """Compare what the simulated town said with what the hub has; exit code 1 when it does not balance."""
    if not journal.exists():
        click.echo(f"hub ledger: no journal {journal}; `make demo` writes one, or name it with --journal", err=True)
        sys.exit(ENVIRONMENT)
    settings = environment.settings_with_kafka("ledger")
    try:
        ledger = settle(settings, journal, wait, overlap=overlap)
    except Transient as error:
        click.echo(f"hub ledger: {error.reason}; is the database of store.url there?", err=True)
        sys.exit(ENVIRONMENT)
    except StoreRefused as error:
        click.echo(f"hub ledger: {error}", err=True)
        sys.exit(ENVIRONMENT)
    if as_json:
        click.echo(json.dumps(ledger.json(), ensure_ascii=False, indent=1))
    else:
        show(ledger, Console())
    sys.exit(0 if ledger.balanced else 1)

"""`hub replay`: tell a product's records again by a corrected mapping."""

from __future__ import annotations

import getpass
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import click

from hub import catalogue
from hub.cli.main import Environment
from hub.config import Settings
from hub.kafka.clients import for_kafka_python
from hub.kafka.project import as_json, to_store
from hub.kafka.workbench import Order, Workbench
from hub.model.command import Kind
from hub.model.connector import Connector
from hub.model.errors import Transient
from hub.model.event import Event
from hub.pipeline.replay import Again
from hub.pipeline.shelf import Shelf
from hub.roles.database import store_url
from hub.roles.policy import CityPolicy
from hub.roles.runtime import ENVIRONMENT, topic_plan
from hub.store import Refused, Store

ANSWER_SECONDS = 600.0
"""How long a replay is waited for; it goes on whether or not anybody waits."""


@dataclass
class Radius:
    """What a replay would change."""

    records: int = 0
    events: list[Event] = field(default_factory=list)
    same: int = 0
    changed: int = 0
    new: int = 0
    gone: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    newest: int = 0
    """Highest revision among the rows of the range."""
    residents: int = 0


@click.command("replay")
@click.argument("product")
@click.option(
    "--since",
    required=True,
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]),
    help="Records that were read from this moment on, UTC.",
)
@click.option("--why", required=True, help="Kept with the records: the reason, without personal data.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="For machines; without --yes only the preview.")
@click.pass_obj
def command(environment: Environment, product: str, since: datetime, why: str, yes: bool, as_json: bool) -> None:
    """Tell PRODUCT's records again by today's mapping: the same events, corrected; nobody is notified.

    First says what would change. What the corrected mapping does not give any more disappears from accounts.
    """
    connector = catalogue.connectors().get(product)
    if connector is None:
        click.echo(f"hub replay: no connector {product!r}; there are {', '.join(catalogue.connectors())}", err=True)
        sys.exit(2)
    settings = environment.settings_with_kafka("replay")
    bench = Workbench(for_kafka_python(settings.kafka), product, topic_plan(settings).epoch(product))
    first = bench.offsets(int(since.replace(tzinfo=UTC).timestamp() * 1000))
    radius = _radius(bench, connector, first, settings)
    preview = _preview(product, connector, radius)
    if not as_json:
        _say(preview)
    _refuse(connector, radius)
    if not yes:
        if as_json:
            click.echo(json.dumps({"preview": preview}, ensure_ascii=False, indent=1))
            return
        if not sys.stdin.isatty():
            click.echo("hub replay: nothing was changed; add --yes to do it", err=True)
            sys.exit(2)
        click.confirm("Do it?", abort=True)
    orders = [
        Order(number, b"replay", Kind.REPLAY, target=offset, rev=connector.manifest.revision)
        for number, offset in sorted(first.items())
    ]
    reports, missing = bench.send(orders, who=getpass.getuser(), why=why, seconds=ANSWER_SECONDS)
    done = {name: sum(report[name] for report in reports) for name in ("released", "events")}
    rejected = sum(len(report["rejected"]) for report in reports)
    if as_json:
        told = {"preview": preview, "done": {**done, "rejected": rejected}, "unanswered": missing}
        click.echo(json.dumps(told, ensure_ascii=False, indent=1))
    else:
        click.echo(f"Done: {done['released']} records told again, {done['events']} events.")
    if missing:
        click.echo(
            f"hub replay: {missing} of {len(orders)} partitions have not answered in {ANSWER_SECONDS:.0f} s: "
            "is normalise running? It goes on when it is",
            err=True,
        )
        sys.exit(ENVIRONMENT)
    if rejected:
        click.echo("hub replay: a worker runs another revision of the mapping, or rejects some; see its log", err=True)
        sys.exit(1)


def _radius(bench: Workbench, connector: Connector, first: dict[int, int], settings: Settings) -> Radius:
    """Do the replay on paper, and compare it with the database."""
    found = Radius()
    quarantine = bench.read()
    store = Store(store_url(settings))
    try:
        agains = {
            number: Again.of(
                quarantine.shelves.get(number, Shelf()),
                connector,
                catalogue.schemas(),
                offset,
            )
            for number, offset in first.items()
        }
        records = bench.raw({number: again.begins for number, again in agains.items()})
        for number, group in groupby(records, key=lambda record: record.origin.partition):
            again = agains[number]
            last = again.first
            told: list[Event] = []
            epoch = 0
            for record in group:
                told += again.tell([record])
                last, epoch = record.origin.offset, record.origin.epoch
            rows = store.in_range(connector.product, epoch, number, again.first, last + 1)
            now = {event.id: as_json(event.payload) for event in told}
            found.newest = max([found.newest, *(rev for rev, _ in rows.values())])
            for name, payload in now.items():
                if name not in rows:
                    found.new += 1
                elif rows[name][1] == payload:
                    found.same += 1
                else:
                    found.changed += 1
            found.gone += len(rows.keys() - now.keys())
            found.records += again.records
            found.events += told
            found.rejected.update(str(code) for code in again.rejected.values())
        reach = store.reach([to_store(event) for event in found.events], CityPolicy(settings), datetime.now(UTC))
        found.residents = len(reach.residents)
    except Transient as error:
        click.echo(f"hub replay: {error.reason}; is the database of store.url there?", err=True)
        sys.exit(ENVIRONMENT)
    except Refused as error:
        click.echo(f"hub replay: {error}", err=True)
        sys.exit(ENVIRONMENT)
    finally:
        store.close()
    return found


def _preview(product: str, connector: Connector, radius: Radius) -> dict[str, Any]:
    return {
        "product": product,
        "revision": connector.manifest.revision,
        "records": radius.records,
        "events": len(radius.events),
        "same": radius.same,
        "changed": radius.changed,
        "new": radius.new,
        "gone": radius.gone,
        "residents": radius.residents,
        "notifications": 0,
        "rejected": dict(radius.rejected),
    }


def _say(preview: dict[str, Any]) -> None:
    click.echo(
        f"{preview['product']}, mapping {preview['revision']}: {preview['records']} records give "
        f"{preview['events']} events: {preview['same']} the same, {preview['changed']} changed, {preview['new']} new; "
        f"{preview['gone']} would disappear."
    )
    click.echo(f"Residents concerned: {preview['residents']}. Notifications: 0.")


def _refuse(connector: Connector, radius: Radius) -> None:
    """End with one line when the replay would do harm or nothing."""
    if not radius.records:
        click.echo("hub replay: no record was read since then. Nothing was changed.", err=True)
        sys.exit(1)
    if radius.rejected:
        told = ", ".join(f"{count} {code}" for code, count in sorted(radius.rejected.items()))
        click.echo(
            f"hub replay: today's mapping rejects what came out before ({told}): their events would be lost; "
            "correct the mapping. Nothing was changed.",
            err=True,
        )
        sys.exit(1)
    if radius.newest >= connector.manifest.revision and (radius.changed or radius.gone):
        click.echo(
            f"hub replay: rows were made by revision {radius.newest} already, so nothing would be replaced; raise "
            f"`revision` in the manifest of {connector.product}. Nothing was changed.",
            err=True,
        )
        sys.exit(1)

"""`hub list`: the connectors that there are."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Table

from hub import catalogue
from hub.testing.samples import samples


@click.command("list")
@click.option("--json", "as_json", is_flag=True)
def command(as_json: bool) -> None:
    """List connectors with what they take and what they say."""
    rows = [
        {
            "product": connector.product,
            "domain": connector.domain,
            "stability": str(connector.manifest.stability),
            "summary": connector.manifest.summary,
            "feeds": sorted(connector.feeds),
            "events": sorted({name for feed in connector.feeds.values() for name in feed.manifest.emits}),
            "samples": sum(1 for _ in samples(connector)),
        }
        for connector in catalogue.connectors().values()
    ]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    table = Table("product", "domain", "stability", "feeds", "events", "samples")
    for row in rows:
        table.add_row(
            str(row["product"]),
            str(row["domain"]),
            str(row["stability"]),
            ", ".join(row["feeds"]),  # type: ignore[arg-type]
            ", ".join(row["events"]),  # type: ignore[arg-type]
            str(row["samples"]),
        )
    Console().print(table)

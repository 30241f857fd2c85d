"""`hub pause`: stop processing one product's records; they wait in Kafka."""

from __future__ import annotations

import click

from hub.cli.main import Environment
from hub.cli.resume import switch


@click.command("pause")
@click.argument("product")
@click.option("--why", required=True, help="Kept and shown to whoever looks.")
@click.pass_obj
def command(environment: Environment, product: str, why: str) -> None:
    """Stop processing PRODUCT's records: what it says goes on being read and waits in Kafka, nothing else stops."""
    switch(environment, product, paused=True, why=why)
    click.echo(f"{product} is paused; `hub resume {product}` lets it go on.")

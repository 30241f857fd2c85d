"""`hub resume`: let a product that was paused, by somebody or by the breaker, go on."""

from __future__ import annotations

import getpass
import sys
import time

import click

from hub import catalogue
from hub.cli.main import Environment
from hub.kafka import switches
from hub.kafka.clients import for_kafka_python
from hub.kafka.raw import RawWriter
from hub.kafka.switches import GRACE_SECONDS, Switch
from hub.model.errors import Transient
from hub.roles.runtime import ENVIRONMENT


@click.command("resume")
@click.argument("product")
@click.option("--why", required=True, help="Kept and shown to whoever looks.")
@click.pass_obj
def command(environment: Environment, product: str, why: str) -> None:
    """Let PRODUCT's records be processed again; for ten minutes the breaker does not pause it."""
    switch(environment, product, paused=False, why=why)
    click.echo(
        f"{product} goes on; what is still rejected goes to quarantine, "
        f"and the breaker looks again in {GRACE_SECONDS // 60} minutes."
    )


def switch(environment: Environment, product: str, *, paused: bool, why: str) -> None:
    """Write a switch; end with one line when that cannot be done."""
    verb = "pause" if paused else "resume"
    if product not in catalogue.connectors():
        click.echo(f"hub {verb}: no connector {product!r}; there are {', '.join(catalogue.connectors())}", err=True)
        sys.exit(2)
    settings = environment.settings_with_kafka(verb)
    message = switches.message(product, Switch(paused, getpass.getuser(), why, int(time.time() * 1000)))
    writer = RawWriter(for_kafka_python(settings.kafka))
    try:
        writer.keep(message.topic, message.key, message.value or b"", message.headers)
    except Transient as error:
        click.echo(f"hub {verb}: {error.reason}", err=True)
        sys.exit(ENVIRONMENT)
    finally:
        writer.close()

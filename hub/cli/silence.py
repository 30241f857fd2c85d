"""`hub silence`: let nothing more be sent to a citizen, whatever they once asked for."""

from __future__ import annotations

import sys
import time

import click

from hub.cli.main import Environment
from hub.model.errors import Transient
from hub.roles.database import store_url
from hub.roles.runtime import ENVIRONMENT
from hub.store import Refused, Store


@click.command("silence")
@click.argument("citizen", type=click.UUID)
@click.option("--reason", type=click.Choice(["death", "opposition"]), help="What the city was told.")
@click.option("--end", is_flag=True, help="It was somebody else's: send to CITIZEN again what is wished for.")
@click.pass_obj
def command(environment: Environment, citizen: object, reason: str | None, end: bool) -> None:
    """Send nothing more to CITIZEN, by no channel, about nothing; what waits to go out does not.

    The account and the links stay as they are.  `hub erase` forgets all of it, this too.
    """
    if (reason is None) != end:
        raise click.UsageError("say why by --reason, or --end")
    store = Store(store_url(environment.load().settings))
    try:
        store.migrate()
        if reason is not None:
            store.stop(str(citizen), reason, time.time_ns() // 1_000_000)
        elif not store.hear_again(str(citizen)):
            click.echo("hub silence: nobody is silenced by that account's uuid; nothing was changed", err=True)
            sys.exit(1)
    except Transient as error:
        click.echo(f"hub silence: {error.reason}; is the database of store.url there?", err=True)
        sys.exit(ENVIRONMENT)
    except Refused as error:
        click.echo(f"hub silence: {error}", err=True)
        sys.exit(ENVIRONMENT)
    finally:
        store.close()
    click.echo("Nothing more is sent." if reason is not None else "What is wished for is sent again.")

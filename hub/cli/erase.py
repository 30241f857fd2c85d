"""`hub erase`: forget a citizen in SQL, at once."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import click

from hub.cli.main import Environment
from hub.model.errors import Transient
from hub.roles.database import store_url
from hub.roles.runtime import ENVIRONMENT
from hub.store import Refused, Store


@click.command("erase")
@click.argument("citizen", type=click.UUID)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def command(environment: Environment, citizen: object, yes: bool) -> None:
    """Delete what SQL holds of CITIZEN: links, wishes, mails, sessions, and entries that are nobody else's.

    Topics forget by their retention; docs/guide/resident-data.md says what is left to do.
    """
    settings = environment.load().settings
    if not yes:
        click.confirm("Nothing brings this back. Delete?", abort=True)
    store = Store(store_url(settings))
    try:
        store.migrate()
        gone = store.erase(str(citizen), datetime.now(UTC))
    except Transient as error:
        click.echo(f"hub erase: {error.reason}; is the database of store.url there?", err=True)
        sys.exit(ENVIRONMENT)
    except Refused as error:
        click.echo(f"hub erase: {error}", err=True)
        sys.exit(ENVIRONMENT)
    finally:
        store.close()
    click.echo(f"Deleted: links {gone.links}, entries {gone.entries}, mails {gone.mails}.")
    click.echo("Event topics forget within 90 days, raw records within 7.")

"""`hub login`: a one-time link to a citizen's account page."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import click

from hub.cli.main import Environment
from hub.model.errors import Transient
from hub.roles.database import store_url
from hub.roles.runtime import ENVIRONMENT
from hub.store import Refused, Store


@click.command("login")
@click.argument("citizen", type=click.UUID)
@click.pass_obj
def command(environment: Environment, citizen: object) -> None:
    """Print a link that opens the account page of CITIZEN once, within fifteen minutes."""
    settings = environment.load().settings
    store = Store(store_url(settings))
    try:
        store.migrate()
        token = store.make_login(str(citizen), datetime.now(UTC))
    except Transient as error:
        click.echo(f"hub login: {error.reason}; is the database of store.url there?", err=True)
        sys.exit(ENVIRONMENT)
    except Refused as error:
        click.echo(f"hub login: {error}", err=True)
        sys.exit(ENVIRONMENT)
    finally:
        store.close()
    click.echo(f"{settings.web.public_url.rstrip('/')}/connexion/{token}")

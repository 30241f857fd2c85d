"""`hub token`: API tokens of services."""

from __future__ import annotations

import secrets
import sys
import tomllib

import click

from hub.cli.main import Environment
from hub.web.tokens import SCOPES, hash_of


@click.group("token")
def command() -> None:
    """Give services their tokens; only hashes are kept."""


@command.command()
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice(SCOPES))
@click.pass_obj
def new(environment: Environment, name: str, scopes: tuple[str, ...]) -> None:
    """Make a token for the service NAME and print it, once."""
    path = environment.load().settings.web.tokens_file
    text = path.read_text("utf-8") if path.exists() else ""
    if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        click.echo("hub token: the name is letters, digits, - and _", err=True)
        sys.exit(2)
    if name in tomllib.loads(text):
        click.echo(f"hub token: {name} has one in {path}; remove its section first, or choose another name", err=True)
        sys.exit(2)
    secret = secrets.token_urlsafe(32)
    listed = ", ".join(f'"{scope}"' for scope in scopes)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written whole or not at all: the web role reads it meanwhile.
    beside = path.with_suffix(".new")
    beside.touch(mode=0o600)
    beside.write_text(f'{text}[{name}]\nsha256 = "{hash_of(secret)}"\nscopes = [{listed}]\n\n', "utf-8")
    beside.replace(path)
    click.echo(secret)

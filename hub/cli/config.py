"""`hub config`: every setting, and where it came from."""

from __future__ import annotations

import json
import sys

import click

from hub import catalogue
from hub.cli.main import Environment
from hub.config import check_connectors, check_files, check_sinks, leaves


@click.group("config")
def command() -> None:
    """Show and check the settings."""


@command.command()
@click.option("--origin", is_flag=True, help="Say where each value was set.")
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def show(environment: Environment, origin: bool, as_json: bool) -> None:
    """Print every value; secrets are files, whose names are no secrets."""
    loaded = environment.load()
    rows = [(key, value, loaded.origins.get(key, "default")) for key, value in leaves(loaded.settings.model_dump())]
    if as_json:
        click.echo(
            json.dumps([{"key": key, "value": value, "origin": where} for key, value, where in rows], default=str)
        )
        return
    for key, value, where in rows:
        click.echo(f"{key} = {value if value is not None else ''}" + (f"   # {where}" if origin else ""))


@command.command()
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def check(environment: Environment, as_json: bool) -> None:
    """Check values, what connectors need, and the files that are named; exit code 1 when something is wrong."""
    loaded = environment.load()
    problems = [
        *check_connectors(loaded, catalogue.connectors()),
        *check_sinks(loaded, catalogue.sinks()),
        *check_files(loaded.settings),
    ]
    if as_json:
        click.echo(json.dumps(problems))
    else:
        click.echo("\n".join(problems) or "config: nothing to report")
    sys.exit(1 if problems else 0)

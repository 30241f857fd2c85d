"""`hub config`: every setting, and where it came from."""

from __future__ import annotations

import json
import sys

import click

from hub.cli.main import Environment
from hub.config import check_files, leaves


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
@click.pass_obj
def check(environment: Environment) -> None:
    """Check values and the files that they name; exit code 1 when something is missing."""
    problems = check_files(environment.load().settings)
    for problem in problems:
        click.echo(problem)
    if not problems:
        click.echo("config: nothing to report")
    sys.exit(1 if problems else 0)

"""`hub run`: one role in this process, or all of them as children of a supervisor."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import click

from hub import catalogue
from hub.cli.main import Environment
from hub.config import ROLES, check_connectors, check_files, check_sinks
from hub.roles.supervisor import supervise


@click.command("run")
@click.argument("roles", nargs=-1, type=click.Choice(ROLES))
@click.option(
    "--logs",
    type=click.Path(path_type=Path),
    help="Folder for each role's log, at most 3 × 10 MB; without it they share stderr.",
)
@click.pass_obj
def command(environment: Environment, roles: tuple[str, ...], logs: Path | None) -> None:
    """Run ROLES, all six without any; SIGTERM drains and ends.

    One role runs in this process; several run as children that are started again when they end.
    """
    loaded = environment.load()
    for code, problems in (
        (2, check_connectors(loaded, catalogue.connectors())),
        (2, check_sinks(loaded, catalogue.sinks())),
        (3, check_files(loaded.settings)),
    ):
        if problems:
            click.echo(f"hub run: {problems[0]}", err=True)
            sys.exit(code)
    if len(roles) == 1:
        import_module(f"hub.roles.{roles[0]}").run(loaded.settings)
        return
    sys.exit(supervise(roles or ROLES, loaded.settings, environment.env, environment.sets, logs))

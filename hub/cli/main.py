"""`hub`: finds its commands by looking at the files beside it.

Exit codes: 0 fine, 1 findings, 2 wrong usage, 3 something outside has to be put right.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from hub import __version__
from hub.avro.parse import BrokenSchema
from hub.catalogue import BrokenConnector
from hub.config import ConfigError, Loaded, load

_HERE = Path(__file__).parent
_NOT_COMMANDS = {"__init__", "__main__", "main"}


class _Commands(click.Group):
    """One command per file; each file holds a click command named `command`."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """Name the files."""
        return sorted(path.stem for path in _HERE.glob("*.py") if path.stem not in _NOT_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Load one file."""
        if name not in self.list_commands(context):
            return None
        command: click.Command = import_module(f"hub.cli.{name}").command
        return command

    def invoke(self, context: click.Context) -> Any:
        """Tell in one line when a folder or schema of this checkout does not hold together."""
        try:
            return super().invoke(context)
        except (BrokenConnector, BrokenSchema) as error:
            print(f"hub: {error}", file=sys.stderr)
            raise SystemExit(1) from None


class Environment:
    """What every command may ask for: the settings, read when they are first needed."""

    def __init__(self, env: str | None, sets: tuple[str, ...]) -> None:
        """Keep what was asked for on the command line."""
        self.env = env
        self.sets = sets

    def load(self) -> Loaded:
        """Read the settings; end with one line when they are wrong."""
        try:
            return load(self.env, self.sets)
        except ConfigError as error:
            print(f"hub: {error}", file=sys.stderr)
            raise SystemExit(2) from None


@click.command(cls=_Commands)
@click.version_option(__version__, prog_name="hub")
@click.option("--env", help="Layer of settings: a name in deploy/config, or a .toml file.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="One setting, over all layers.")
@click.pass_context
def main(context: click.Context, env: str | None, sets: tuple[str, ...]) -> None:
    """Run, look at and put right the municipal hub."""
    context.obj = Environment(env, sets)

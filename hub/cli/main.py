"""`hub`: finds its commands by looking at the files beside it.

Exit codes: 0 fine, 1 findings, 2 wrong usage, 3 something outside has to be put right.
"""

from __future__ import annotations

import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from hub import __version__
from hub.avro.parse import BrokenSchema
from hub.catalogue import BrokenConnector
from hub.config import ConfigError, Loaded, Settings, load
from hub.kafka.clients import Refused, wait_for_broker
from hub.roles.runtime import ENVIRONMENT

_HERE = Path(__file__).parent
BROKER_SECONDS = 5.0
"""How long a command waits for a broker."""
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

    def settings_with_kafka(self, command: str) -> Settings:
        """Read the settings and make sure that a broker answers; end with one line when none does."""
        settings = self.load().settings
        given_up = threading.Event()
        timer = threading.Timer(BROKER_SECONDS, given_up.set)
        timer.daemon = True
        timer.start()
        try:
            if not wait_for_broker(settings.kafka, lambda *_: None, given_up):
                where = settings.kafka.bootstrap
                print(f"hub {command}: no broker answers at {where}; start it, or the demo", file=sys.stderr)
                raise SystemExit(ENVIRONMENT)
        except Refused as error:
            print(f"hub {command}: {error}", file=sys.stderr)
            raise SystemExit(ENVIRONMENT) from None
        finally:
            timer.cancel()
        return settings


@click.command(cls=_Commands)
@click.version_option(__version__, prog_name="hub")
@click.option("--env", help="Layer of settings: a name in deploy/config, or a .toml file.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="One setting, over all layers.")
@click.pass_context
def main(context: click.Context, env: str | None, sets: tuple[str, ...]) -> None:
    """Run, look at and put right the municipal hub."""
    context.obj = Environment(env, sets)

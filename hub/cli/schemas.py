"""`hub schemas`: check, lock and generate from the schema files."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from hub import catalogue
from hub.avro import compat, lock
from hub.avro.generate import module
from hub.avro.lint import lint
from hub.avro.parse import BrokenSchema, Version


def generated() -> dict[Path, str]:
    """Return what every generated model file should hold."""
    versions = catalogue.schema_files()
    folder = catalogue.ROOT / "schemas" / "models"
    return {
        folder / f"{domain}.py": module(domain, [version for version in versions if version.domain == domain])
        for domain in sorted({version.domain for version in versions})
    }


def findings() -> Iterator[str]:
    """Yield everything that is wrong with the schemas, one line each."""
    versions = catalogue.schema_files()
    broken = [line for version in versions for line in lint(version)]
    if broken:
        # Nothing else can be said of a schema that is not one.
        yield from broken
        return
    yield from compat.breaks(versions)
    yield from lock.check(catalogue.schema_lock(), versions)
    wanted = generated()
    for path in sorted(set((catalogue.ROOT / "schemas" / "models").glob("[a-z]*.py")) - wanted.keys()):
        yield f"{path.relative_to(catalogue.ROOT).as_posix()}: S402 has no schemas any more; remove it"
    for path, text in wanted.items():
        if not path.exists() or path.read_text("utf-8") != text:
            name = path.relative_to(catalogue.ROOT).as_posix()
            yield f"{name}: S401 is stale; run `hub schemas generate`"


def sound() -> tuple[Version, ...]:
    """Return the schemas; end the command when one breaks a rule, since ids and models are for ever."""
    versions = catalogue.schema_files()
    found = [line for version in versions for line in lint(version)]
    if found:
        click.echo("\n".join(found), err=True)
        sys.exit(1)
    return versions


@click.group("schemas")
def command() -> None:
    """Check, lock and generate from the canonical schemas."""


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Findings as a JSON list.")
def check(as_json: bool) -> None:
    """Lint, compatibility, lock and staleness; exit code 1 when something is found."""
    try:
        found = list(findings())
    except BrokenSchema as error:
        found = [str(error)]
    click.echo(json.dumps(found) if as_json else "\n".join(found) or "schemas: nothing to report")
    sys.exit(1 if found else 0)


@command.command()
def generate() -> None:
    """Write the Python models."""
    sound()
    for path, text in generated().items():
        path.write_text(text, "utf-8")
        click.echo(path.relative_to(catalogue.ROOT).as_posix())


@command.command("lock")
def lock_() -> None:
    """Give new versions their ids; published ones stay as they are."""
    extended = lock.extend(catalogue.schema_lock(), sound())
    (catalogue.ROOT / "schemas" / "lock.toml").write_text(lock.write(extended), "utf-8")
    click.echo(f"{len(extended)} versions are locked")

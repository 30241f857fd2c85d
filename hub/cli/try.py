"""`hub try`: one file through the pure path, and what is decided of it, field by field."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from hub import catalogue
from hub.model.connector import Connector
from hub.model.errors import Code, Stage
from hub.pipeline.process import process
from hub.testing.samples import record, told


@click.command("try")
@click.argument("product")
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--all", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Every file below a folder."
)
@click.option("--feed", help="Feed that takes the file; without it, the connector's only one, or each.")
@click.option(
    "--previous", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="State of the key before, as JSON."
)
@click.option("--key", default="", help="Raw key of the record, where it must be a certain one.")
@click.option("--json", "as_json", is_flag=True)
def command(
    product: str,
    files: tuple[Path, ...],
    folder: Path | None,
    feed: str | None,
    previous: Path | None,
    key: str,
    as_json: bool,
) -> None:
    """Decide FILES as if PRODUCT had sent them: nothing is written anywhere.

    Exit code 1 when a file is rejected.
    """
    connector = catalogue.connectors().get(product)
    if connector is None:
        click.echo(f"hub try: no connector {product!r}; there are {', '.join(catalogue.connectors())}", err=True)
        sys.exit(2)
    if feed is not None and feed not in connector.feeds:
        click.echo(f"hub try: {product} has no feed {feed!r}; it has {', '.join(connector.feeds)}", err=True)
        sys.exit(2)
    paths = [*files, *(sorted(path for path in folder.rglob("*") if path.is_file()) if folder is not None else ())]
    if not paths:
        click.echo("hub try: no file; name some, or --all FOLDER", err=True)
        sys.exit(2)
    state = previous.read_bytes() if previous is not None else None
    results = [
        (path, name, _decide(connector, name, path, state, key)) for path in paths for name in _feeds(connector, feed)
    ]
    if as_json:
        click.echo(json.dumps([{"file": str(p), "feed": f, **r} for p, f, r in results], ensure_ascii=False))
    else:
        console = Console(highlight=False, soft_wrap=True)
        for path, name, result in results:
            _tell(console, path, name, result, short=folder is not None)
        _sum_up(console, results)
    sys.exit(1 if any("quarantine" in d for _, _, r in results for d in r["decisions"]) else 0)


def _feeds(connector: Connector, feed: str | None) -> list[str]:
    return [feed] if feed is not None else sorted(connector.feeds)


def _decide(connector: Connector, feed: str, path: Path, state: bytes | None, key: str) -> dict[str, Any]:
    data = path.read_bytes()
    result = told(process(record(connector, feed, data, key=key), connector, catalogue.schemas(), state))
    stage = result["decisions"][0].get("stage")
    if connector.dress is not None and stage in (Stage.DECODE, Stage.VALIDATE):
        dressed = record(connector, feed, connector.dress(path.name, data), key=key)
        inner = told(process(dressed, connector, catalogue.schemas(), state))
        return {**inner, "dressed": True}
    return result


def _tell(console: Console, path: Path, feed: str, result: dict[str, Any], *, short: bool) -> None:
    dressed = ", taken as the payload of one" if result.get("dressed") else ""
    console.print(f"[bold]{escape(str(path))}[/] as {feed}{dressed}")
    for decision in result["decisions"]:
        if "deliver" in decision:
            console.print(
                f"  [green]deliver[/] {decision['deliver']} of {escape(decision['subject'])}, at {decision['time']}"
            )
            if not short:
                for name, value in decision["payload"].items():
                    console.print(f"    {name} = {escape(json.dumps(value, ensure_ascii=False))}")
        elif "quarantine" in decision:
            fields = f" ({escape(', '.join(decision['fields']))})" if decision["fields"] else ""
            console.print(
                f"  [red]quarantine[/] {decision['quarantine']} at {decision['stage']}: {escape(decision['detail'])}{fields}"
            )
            console.print(f"    {Code(decision['quarantine']).meaning}")
        else:
            console.print(f"  [yellow]skip[/] {decision['skip']}")


def _sum_up(console: Console, results: list[tuple[Path, str, dict[str, Any]]]) -> None:
    if len(results) < 2:
        return
    counts: Counter[str] = Counter()
    for _, _, result in results:
        for decision in result["decisions"]:
            kind = next(iter(decision.keys() & {"deliver", "quarantine", "skip"}))
            counts[f"{kind} {decision[kind]}"] += 1
    for name, count in sorted(counts.items()):
        console.print(f"{count:>6}  {name}")

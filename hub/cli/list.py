"""`hub list`: the connectors that there are, and how far each has been taken."""

from __future__ import annotations

import ast
import io
import json
import tokenize
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from hub import catalogue
from hub.model.connector import Connector
from hub.testing.samples import samples

OTHERS = ("__init__.py", "model.py", "source.py", "simulator.py")
"""Files of a connector that are no mapping."""
_NO_CODE = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="With the names of feeds, events and codes.")
def command(as_json: bool) -> None:
    """List connectors: how many feeds and events, lines of code of the mapping, samples, and codes these reach.

    A code is reached by a sample that is set aside with it.
    """
    rows = [_row(connector) for connector in catalogue.connectors().values()]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    # Narrow enough for 80 columns: a name that is cut off names nothing.
    table = Table(box=None, padding=(0, 1, 0, 0))
    for name in ("product", "domain", "stability"):
        table.add_column(name, no_wrap=True)
    for name in ("feeds", "events", "mapping", "samples", "codes"):
        table.add_column(name, justify="right")
    for row in rows:
        counts = (len(row["feeds"]), len(row["events"]), row["mapping_lines"], row["samples"], len(row["codes"]))
        table.add_row(row["product"], row["domain"], row["stability"], *(str(count) for count in counts))
    Console().print(table)


def _row(connector: Connector) -> dict[str, Any]:
    folder = catalogue.folder(connector)
    every = list(samples(connector))
    decided = [json.loads(sample.golden.read_text("utf-8"))["decisions"] for sample in every if sample.golden.exists()]
    return {
        "product": connector.product,
        "domain": connector.domain,
        "stability": str(connector.manifest.stability),
        "summary": connector.manifest.summary,
        "feeds": sorted(connector.feeds),
        "events": sorted({name for feed in connector.feeds.values() for name in feed.manifest.emits}),
        # The pieces that lie beside a mapping are part of it.
        "mapping_lines": sum(_lines(path) for path in folder.glob("*.py") if path.name not in OTHERS),
        "samples": len(every),
        "codes": sorted({one["quarantine"] for decisions in decided for one in decisions if "quarantine" in one}),
    }


def _lines(path: Path) -> int:
    """Count lines that hold code: no comments, no docstrings, nothing blank."""
    text = path.read_text("utf-8")
    told = {
        number
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    held = {
        number for token in tokens if token.type not in _NO_CODE for number in range(token.start[0], token.end[0] + 1)
    }
    return len(held - told)

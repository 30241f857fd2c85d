"""`hub capture`: records of a running hub as samples for a connector, without anybody in them."""

from __future__ import annotations

import ast
import re
import secrets
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from hub import catalogue
from hub.cli.main import Environment
from hub.kafka.clients import for_kafka_python
from hub.kafka.workbench import Workbench
from hub.model.connector import Connector
from hub.model.decision import Deliver, Outcome, Quarantine
from hub.model.errors import Undecodable
from hub.model.record import Record
from hub.pipeline.anonymise import Anonymiser
from hub.pipeline.decode import characters
from hub.pipeline.process import process
from hub.roles.runtime import topic_plan
from hub.testing.samples import READ_AT, record, samples

ENDINGS = {
    "application/json": "json",
    "application/xml": "xml",
    "application/x-protobuf": "pb",
    "text/csv": "csv",
    "text/plain": "txt",
    "text/plain; charset=ibm850": "txt",
}
ALWAYS = ("true", "false", "null", "none", "oui", "non", "yes", "no")


class Capture:
    """Takes records in the order in which they stand in raw, and keeps a few of each outcome."""

    def __init__(self, connector: Connector, folder: Path, each: int, today: datetime) -> None:
        """`folder` gets `<feed>/<outcome>_<n>.<ending>`, as samples have it."""
        self.connector = connector
        self.folder = folder
        self.each = each
        self.kept: Counter[tuple[str, str]] = Counter()
        self.seen: Counter[tuple[str, str]] = Counter()
        self.left_out: Counter[str] = Counter()
        self._schemas = catalogue.schemas()
        self._away = READ_AT - today
        self._anonymiser = Anonymiser(
            secrets.token_bytes(32), words(connector), timedelta(days=self._away.days), today.date()
        )
        self._public = set(self._schemas.names("public"))
        self._before: dict[bytes, bytes | None] = {}
        self._after: dict[bytes, bytes | None] = {}

    def speaks_of_persons(self, feed: str) -> bool:
        """Tell whether a feed gives anything that is not public."""
        domain = self.connector.domain
        emits = self.connector.feeds[feed].manifest.emits
        return any(f"hub.{domain}.{name}" not in self._public for name in emits)

    def take(self, said: Record) -> None:
        """Decide a record as it is and as it would be without anybody, and keep it if that is the same."""
        if said.feed not in self.connector.feeds or said.value is None:
            return
        before = self._decide(said, self._before)
        name = outcome_name(before)
        self.seen[said.feed, name] += 1
        key, value = said.key, said.value
        if self.speaks_of_persons(said.feed):
            try:
                value = self._anonymiser.document(value, self.connector.feeds[said.feed].manifest.content_type)
            except Undecodable:
                self.left_out["bytes that are no text"] += 1
                return
            key = self._key(key)
        read_at = min(said.read_at + int(self._away.total_seconds() * 1000), int(READ_AT.timestamp() * 1000))
        previous = self._after.get(key)
        self._decide(said._replace(key=key, value=value, read_at=read_at), self._after)
        if self.kept[said.feed, name] >= self.each:
            return
        written = key.decode("utf-8", "replace")
        usual = record(self.connector, said.feed, value)
        for sample in (usual, usual._replace(key=key)):
            if outcome_name(process(sample, self.connector, self._schemas, previous)) == name:
                self.kept[said.feed, name] += 1
                self._write(said.feed, name, value, previous, written if sample.key != usual.key else None)
                return
        self.left_out[f"{said.feed}: {name}, and something else without the persons"] += 1

    def _decide(self, said: Record, states: dict[bytes, bytes | None]) -> Outcome:
        outcome = process(said, self.connector, self._schemas, states.get(said.key))
        if outcome.state is not None:
            states[said.key] = outcome.state
        return outcome

    def _key(self, key: bytes) -> bytes:
        product, colon, rest = key.decode("utf-8", "replace").partition(":")
        return f"{product}{colon}{self._anonymiser.text(rest)}".encode()

    def _write(self, feed: str, name: str, value: bytes, previous: bytes | None, key: str | None) -> None:
        manifest = self.connector.feeds[feed].manifest
        folder = self.folder / feed
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{name}_{self.kept[feed, name]}"
        (folder / f"{stem}.{ENDINGS[manifest.content_type]}").write_bytes(value)
        if manifest.memory and previous is not None:
            (folder / f"{stem}.previous.json").write_bytes(previous)
        if key is not None:
            (folder / f"{stem}.key").write_text(key, "utf-8")


@click.command("capture")
@click.argument("product")
@click.option("--anonymise", is_flag=True, help="Take people out; needed where a feed speaks of persons.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="A new folder; without it, captured/PRODUCT."
)
@click.option("--each", type=click.IntRange(1, 100), default=2, show_default=True, help="Samples of each outcome.")
@click.pass_obj
def command(environment: Environment, product: str, anonymise: bool, out: Path | None, each: int) -> None:
    """Turn what PRODUCT sent into samples: a few of each feed and outcome, with their defects, without persons.

    Look at them before they leave this machine: what a system writes where nobody expects it is not foreseen.
    """
    connector = catalogue.connectors().get(product)
    if connector is None:
        click.echo(f"hub capture: no connector {product!r}; there are {', '.join(catalogue.connectors())}", err=True)
        sys.exit(2)
    folder = out or Path("captured") / product
    if folder.exists() and any(folder.iterdir()):
        click.echo(f"hub capture: {folder} is not empty; name another with --out", err=True)
        sys.exit(2)
    capture = Capture(connector, folder, each, datetime.now(UTC))
    personal = [feed for feed in connector.feeds if capture.speaks_of_persons(feed)]
    if personal and not anonymise:
        click.echo(f"hub capture: {', '.join(personal)} of {product} speak of persons; add --anonymise", err=True)
        sys.exit(2)
    settings = environment.settings_with_kafka("capture")
    bench = Workbench(for_kafka_python(settings.kafka), product, topic_plan(settings).epoch(product))
    for said in bench.raw(bench.offsets(0)):
        capture.take(said)
    for (feed, name), count in sorted(capture.seen.items()):
        click.echo(f"{feed:<20} {name:<40} {capture.kept[feed, name]:>4} of {count}")
    for why, count in sorted(capture.left_out.items()):
        click.echo(f"left out: {count} × {why}")
    if not capture.kept:
        click.echo(f"hub capture: nothing of {product} to be kept", err=True)
        sys.exit(1)
    click.echo(f"Written below {folder}: read them, then copy what you need into the connector's samples.")


def outcome_name(outcome: Outcome) -> str:
    """Name an outcome so that a file can be called after it."""
    names: list[str] = []
    for decision in outcome.decisions:
        match decision:
            case Deliver(event):
                names.append(event.type.rpartition(".")[2])
            case Quarantine(code=code):
                names.append(str(code))
            case _:
                names.append(decision.reason)
    several = list(dict.fromkeys(names))
    return "_".join(several[:3]) + ("_and_more" if len(several) > 3 else "")


def words(connector: Connector) -> frozenset[str]:
    """Collect the words of a format: what the connector's code compares values with, and names in its samples."""
    base = catalogue.folder(connector)
    found = set(ALWAYS)
    for path in base.rglob("*.py"):
        if path.name != "simulator.py":
            found.update(_literals(ast.parse(path.read_text("utf-8"))))
    for sample in samples(connector):
        manifest = connector.feeds[sample.feed].manifest
        found.update(_names(manifest.content_type, sample.record.value or b""))
    return frozenset(word.casefold() for word in found if word)


def _literals(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) <= 60:
            yield node.value.strip()


def _names(content_type: str, data: bytes) -> Iterator[str]:
    """Yield keys of JSON, names of elements, or columns."""
    try:
        text = characters(data)[0]
    except Undecodable:
        return
    match content_type:
        case "application/json":
            yield from re.findall(r'"([^"\\]{1,60})"\s*:', text)
        case "application/xml":
            yield from re.findall(r"</?(?:[\w.-]+:)?([\w.-]{1,60})", text)
        case "text/csv":
            for name in re.split(r"[;,\t|]", text.partition("\n")[0]):
                yield name.strip().strip('"\ufeff')

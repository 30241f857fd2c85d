"""A connector's samples as records, and what is decided of them as canonical JSON.

    python -m hub.testing.samples PRODUCT      write its goldens anew; read the diff as if somebody else had written it

A sample is `samples/<feed>/<name>.<ending>`; for a feed with memory, `<name>.previous.json` beside it
is what the key's last record left behind; `<name>.key` is the raw key where it must be a certain one.
Its golden is `golden/<feed>/<name>.json`.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

from hub import catalogue
from hub.catalogue import folder
from hub.model.connector import Connector
from hub.model.decision import Decision, Deliver, Outcome, Quarantine
from hub.model.record import Origin, Record
from hub.pipeline.process import process

READ_AT = datetime(2026, 3, 10, 7, 40, tzinfo=UTC)
"""The moment at which every sample is taken to be read: a school day in Grenoble."""


class Sample(NamedTuple):
    """One file of a connector's samples."""

    feed: str
    name: str
    path: Path
    golden: Path
    record: Record
    previous: bytes | None


def samples(connector: Connector) -> Iterator[Sample]:
    """Yield every sample of the connector, in the order of feed and name."""
    base = folder(connector)
    for path in sorted((base / "samples").glob("*/*")):
        if path.name.endswith((".previous.json", ".key", ".md")):
            continue
        beside = path.with_name(f"{path.stem}.previous.json")
        key = path.with_name(f"{path.stem}.key")
        yield Sample(
            feed=path.parent.name,
            name=path.stem,
            path=path,
            golden=base / "golden" / path.parent.name / f"{path.stem}.json",
            record=record(
                connector, path.parent.name, path.read_bytes(), key=key.read_text("utf-8") if key.exists() else ""
            ),
            previous=beside.read_bytes() if beside.exists() else None,
        )


def record(connector: Connector, feed: str, value: bytes | None, *, offset: int = 7, key: str = "") -> Record:
    """Make a raw record as intake would have written it."""
    return Record(
        product=connector.product,
        feed=feed,
        key=(key or f"{connector.product}:sample").encode(),
        value=value,
        raw_id=f"sample-{offset}",
        read_at=int(READ_AT.timestamp() * 1000),
        origin=Origin(f"raw.{connector.product}", 1, 0, offset),
    )


def golden(connector: Connector, sample: Sample) -> str:
    """Write what is decided of a sample, as its golden has it."""
    outcome = process(sample.record, connector, catalogue.schemas(), sample.previous)
    return json.dumps(told(outcome), ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def told(outcome: Outcome) -> dict[str, Any]:
    """Turn an outcome into plain JSON values, for goldens and for `hub try`."""
    document: dict[str, Any] = {"decisions": [_decision(decision) for decision in outcome.decisions]}
    if outcome.state is not None:
        document["state"] = json.loads(outcome.state)
    return document


def _decision(decision: Decision) -> dict[str, Any]:
    if isinstance(decision, Deliver):
        event = decision.event
        return {
            "deliver": event.type,
            "id": event.id,
            "subject": event.subject,
            "time": _plain(event.time),
            "payload": {
                field.name: _plain(getattr(event.payload, field.name))
                for field in dataclasses.fields(event.payload)  # type: ignore[arg-type]
            },
        }
    if isinstance(decision, Quarantine):
        return {
            "quarantine": str(decision.code),
            "stage": str(decision.stage),
            "detail": decision.detail,
            "fields": list(decision.fields),
        }
    return {"skip": decision.reason}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def main() -> None:
    """Write the goldens of a product."""
    connector = catalogue.connectors()[sys.argv[1]]
    for sample in samples(connector):
        sample.golden.parent.mkdir(parents=True, exist_ok=True)
        sample.golden.write_text(golden(connector, sample), "utf-8")


if __name__ == "__main__":
    main()

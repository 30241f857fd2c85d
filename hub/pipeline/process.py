"""One total function from a record to what should be done about it.

Law: any bytes give at least one decision; no exception leaves `process`; the same record with the
same state gives the same decisions and event ids.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Protocol, cast
from uuid import UUID, uuid5

from pydantic import BaseModel, ValidationError

from hub.model.connector import Connector, Context, Feed, Mapped, MapStateless, MapWithMemory
from hub.model.decision import Decision, Deliver, Outcome, Quarantine, Skip
from hub.model.errors import Code, Invalid, Rejected, Stage, Undecodable, Unroutable
from hub.model.event import Event, Fact, Payload
from hub.model.record import Record, Seq
from hub.pipeline.decode import DECODERS

EVENT_IDS = UUID("6f2b1f0e-7c1d-5a8e-9d43-3b5c0a7f2e11")
"""Namespace of event ids; changing it would double every event of a replay."""


class Encoder(Protocol):
    """Canonical payloads to bytes in the Confluent wire format."""

    def encode(self, payload: Payload) -> bytes:
        """Return the framed bytes; raise `Unencodable` when the payload does not fit its schema."""
        ...


def process(record: Record, connector: Connector, schemas: Encoder, state: bytes | None = None) -> Outcome:
    """Decide what to do about a record; `state` is what the last record of its key left behind."""
    try:
        return _decide(record, connector, schemas, state)
    except Rejected as error:
        return Outcome((Quarantine(record, error.code, error.stage, error.detail, error.fields),))
    except Exception as error:
        # The text of an unforeseen exception may quote the record: only its kind goes on.
        return Outcome((Quarantine(record, Code.BUG, Stage.NORMALISE, type(error).__name__),))


def event_id(product: str, identity: tuple[str, ...], kind: str, entity: str) -> str:
    """Name a fact: the same one told again has the same id, whatever the mapping makes of it."""
    return str(uuid5(EVENT_IDS, "\x1f".join((product, *identity, kind, entity))))


def _decide(record: Record, connector: Connector, schemas: Encoder, state: bytes | None) -> Outcome:
    feed = connector.feeds.get(record.feed)
    if not record.key:
        raise Unroutable("no key")
    if feed is None:
        raise Unroutable("no such feed")
    if record.value is None:
        raise Undecodable("no bytes")
    document = _validate(feed.model, DECODERS[feed.manifest.content_type](record.value))
    context = Context(
        read_at=datetime.fromtimestamp(record.read_at / 1000, UTC),
        zone=connector.zone,
        key=record.key.decode("utf-8", "replace"),
        max_shrink=feed.manifest.max_shrink,
    )
    remembered: bytes | None = None
    found: Mapped
    if feed.manifest.memory:
        previous: Mapping[str, Any] | None = json.loads(state) if state is not None else None
        following, found = cast(MapWithMemory, feed.map)(previous, document, context)
        # Escaped: half of a surrogate pair can be decoded from JSON and could not be written as UTF-8.
        remembered = json.dumps(following, separators=(",", ":"), sort_keys=True).encode()
    else:
        found = cast(MapStateless, feed.map)(document, context)
    if isinstance(found, str):
        return Outcome((Skip(record, found),), remembered)
    decisions: tuple[Decision, ...] = tuple(
        Deliver(_event(fact, index, record, connector, feed, schemas)) for index, fact in enumerate(found)
    )
    return Outcome(decisions or (Skip(record, "unchanged"),), remembered)


def _event(fact: Fact, index: int, record: Record, connector: Connector, feed: Feed, schemas: Encoder) -> Event:
    kind = fact.payload.TYPE
    if kind.rpartition(".")[2] not in feed.manifest.emits:
        raise ValueError("an event that the manifest does not name")
    if fact.occurred.tzinfo is None:
        raise ValueError("a moment without a zone")
    occurred = fact.occurred.astimezone(UTC)
    return Event(
        id=event_id(connector.product, fact.identity or (record.raw_id,), kind, fact.entity),
        type=kind,
        source=f"/{connector.product}/{feed.name}",
        subject=fact.subject,
        time=occurred.replace(microsecond=occurred.microsecond // 1000 * 1000),
        read_at=record.read_at,
        seq=Seq(record.origin.epoch, record.origin.offset, index),
        rev=connector.manifest.revision,
        product=connector.product,
        domain=fact.payload.DOMAIN,
        payload=fact.payload,
        value=schemas.encode(fact.payload),
    )


def _validate(model: type[BaseModel], document: Any) -> BaseModel:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        known = _field_names(model)
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        fields = tuple(
            ".".join(str(part) if isinstance(part, int) or part in known else "*" for part in problem["loc"])
            for problem in problems[:5]
        )
        kinds = sorted({problem["type"] for problem in problems})
        raise Invalid(", ".join(kinds[:5]), fields=fields) from None


@cache
def _field_names(model: type[BaseModel]) -> frozenset[str]:
    """Collect the names that the model itself declares: any other part of a path is the vendor's, maybe personal."""
    names: set[str] = set()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            properties = node.get("properties")
            if isinstance(properties, dict):
                names.update(properties)
            for below in node.values():
                walk(below)
        elif isinstance(node, list):
            for below in node:
                walk(below)

    walk(model.model_json_schema(by_alias=True))
    return frozenset(names)

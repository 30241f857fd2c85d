"""One total function from a record to what should be done about it.

Law: any bytes give at least one decision; no exception leaves `process`; the same record with the
same state gives the same decisions and event ids.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from hashlib import sha1
from typing import Any, Protocol, cast
from uuid import UUID

from pydantic import BaseModel, ValidationError

from hub.model.connector import Connector, Context, Feed, Mapped, MapStateless, MapWithMemory
from hub.model.decision import Decision, Deliver, Outcome, Quarantine, Skip
from hub.model.errors import Code, Invalid, Rejected, Stage, TooLarge, Undecodable, Unencodable, Unroutable
from hub.model.event import Event, Fact, Payload
from hub.model.record import Header, Record, Seq
from hub.pipeline.decode import DECODERS, plain

EVENT_IDS = UUID("6f2b1f0e-7c1d-5a8e-9d43-3b5c0a7f2e11")
"""Namespace of event ids; changing it would double every event of a replay."""
_new = tuple.__new__
"""Makes a named tuple of a tuple, in half of the time that its own `__new__` takes: for what each record needs."""
_NAMESPACE = sha1(EVENT_IDS.bytes, usedforsecurity=False)
_VARIANT = {f"{digit:x}": f"{digit & 3 | 8:x}" for digit in range(16)}
"""The digit that says by which rules an id is made, over what the digest has in its place."""

LARGEST_MEMORY = 1024 * 1024
"""Bytes that a feed may remember of a key: with the key they fit the state topic."""

LONGEST_SUBJECT = 200
"""Characters of a subject: it is a key of Kafka and of the database."""

LATEST = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp() * 1000)
"""Milliseconds: no record was read later, whatever its header says."""

_BLOB = re.compile(rb"sha256:([0-9a-f]{64}) ([0-9]{1,15})")


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
    # What `uuid5` does, in a quarter of its time.
    digest = _NAMESPACE.copy()
    digest.update("\x1f".join((product, *identity, kind, entity)).encode())
    text = digest.hexdigest()
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:32]}"


def _decide(record: Record, connector: Connector, schemas: Encoder, state: bytes | None) -> Outcome:
    feed = connector.feeds.get(record.feed)
    if not record.key:
        raise Unroutable("no key")
    if feed is None:
        raise Unroutable("no such feed")
    if record.value is None:
        raise Undecodable("no bytes")
    found_elsewhere = _BLOB.fullmatch(record.value)
    if found_elsewhere and (Header.BLOB, record.value) in record.headers:
        digest, size = (part.decode() for part in found_elsewhere.groups())
        raise TooLarge(f"{size} bytes, in the blob folder as {digest}")
    if not 0 <= record.read_at < LATEST:
        raise Unroutable("read_at is no moment of ours")
    document = _read(feed, record.value)
    key = record.key.decode("utf-8", "replace")
    context = _new(Context, (_moment(record.read_at), connector.zone, key, feed.manifest.max_shrink))
    remembered: bytes | None = None
    found: Mapped
    if feed.manifest.memory:
        previous: Mapping[str, Any] | None = json.loads(state) if state is not None else None
        following, found = cast(MapWithMemory, feed.map)(previous, document, context)
        # Escaped: half of a surrogate pair can be decoded from JSON and could not be written as UTF-8.
        remembered = json.dumps(following, separators=(",", ":"), sort_keys=True).encode()
        if len(remembered) > LARGEST_MEMORY:
            raise TooLarge(f"more than {LARGEST_MEMORY} bytes would be remembered of it")
    else:
        found = cast(MapStateless, feed.map)(document, context)
    if isinstance(found, str):
        return Outcome((Skip(record, found),), remembered)
    decisions: list[Decision] = [
        _new(Deliver, (_event(fact, index, record, connector, feed, schemas), False))
        for index, fact in enumerate(found)
    ]
    return _new(Outcome, (tuple(decisions) if decisions else (Skip(record, "unchanged"),), remembered))


def _event(fact: Fact, index: int, record: Record, connector: Connector, feed: Feed, schemas: Encoder) -> Event:
    kind = fact.payload.TYPE
    if kind.rpartition(".")[2] not in feed.manifest.emits:
        raise ValueError("an event that the manifest does not name")
    if fact.occurred.tzinfo is None:
        raise ValueError("a moment without a zone")
    if type(fact.subject) is not str or not fact.subject:
        # What a mapping remembers is read as it stands: memory that was tampered with may hold anything.
        raise ValueError("a subject that is no name")
    if len(fact.subject) > LONGEST_SUBJECT:
        raise Unencodable(f"more than {LONGEST_SUBJECT} characters", fields=("subject",))
    occurred = fact.occurred if fact.occurred.tzinfo is UTC else fact.occurred.astimezone(UTC)
    below = occurred.microsecond % 1000
    _, epoch, partition, offset = record.origin
    fields = (
        event_id(connector.product, fact.identity or (record.raw_id,), kind, fact.entity),
        kind,
        f"/{connector.product}/{feed.name}",
        fact.subject,
        occurred.replace(microsecond=occurred.microsecond - below) if below else occurred,
        record.read_at,
        _new(Seq, (epoch, offset, index)),
        partition,
        connector.manifest.revision,
        connector.product,
        fact.payload.DOMAIN,
        fact.payload,
        schemas.encode(fact.payload),
    )
    return _new(Event, fields)


@lru_cache(maxsize=1024)
def _moment(milliseconds: int) -> datetime:
    # The records of one answer were all read at one moment.
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _read(feed: Feed, value: bytes) -> BaseModel:
    if feed.manifest.content_type == "application/json" and plain(value):
        try:
            return feed.model.model_validate_json(value)
        except (ValidationError, Rejected):
            # What is wrong is said below, in the words that do not depend on the parser.
            pass
    return _validate(feed.model, DECODERS[feed.manifest.content_type](value))


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

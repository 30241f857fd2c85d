"""Events: what happened, in the city's words.

A mapping says *facts*; `process` gives each an identity, an order and bytes, and it is an event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, NamedTuple, Protocol

from hub.model.record import Seq


class Payload(Protocol):
    """A generated canonical model: a frozen dataclass of `schemas.models`."""

    TYPE: ClassVar[str]
    """Full Avro name, `hub.<domain>.<Record>`; also the CloudEvents type."""
    DOMAIN: ClassVar[str]
    AUDIENCE: ClassVar[str]

    def as_dict(self) -> dict[str, Any]:
        """Return what an Avro writer takes."""
        ...


class Fact(NamedTuple):
    """One thing that a mapping found in a record."""

    payload: Payload
    subject: str
    """`<product>:<id>`: whom or what it is about; the key of the event topic."""
    occurred: datetime
    """When it happened, aware; the vendor's moment where it says one, else `Context.read_at`."""
    entity: str
    """The thing within the subject (a booking, an item, a case event)."""
    identity: tuple[str, ...] = ()
    """The vendor's identity of this fact. Empty: the raw id of the record that revealed it is used,
    which is right for feeds with memory, where the same thing can happen again."""


class Event(NamedTuple):
    """A canonical fact with its identity, its order and its encoded bytes."""

    id: str
    type: str
    source: str
    """CloudEvents source, `/<product>/<feed>`."""
    subject: str
    time: datetime
    """When it happened, aware UTC, whole milliseconds."""
    read_at: int
    seq: Seq
    partition: int
    """Partition of the raw topic: with `seq`, the address of the record."""
    rev: int
    product: str
    domain: str
    payload: Payload
    value: bytes
    """Confluent wire format: 0, schema id (4 bytes, big-endian), Avro."""


class StoredEvent(NamedTuple):
    """An event as it was read back from its topic, to be written to SQL."""

    id: str
    type: str
    subject: str
    product: str
    audience: str
    time: int
    """UTC milliseconds."""
    read_at: int
    seq: Seq
    rev: int
    payload: Payload
    """Canonical model."""
    data: str
    """The payload as JSON."""
    partition: int = -1
    """Of the raw topic; -1: not known."""
    replay: bool = False


@dataclass(frozen=True, slots=True)
class Replay:
    """A range of raw records whose events were told again; what of it is older is not so any more."""

    product: str
    epoch: int
    partition: int
    first: int
    end: int
    rev: int
    domain: str
    covers: Callable[[str], bool]
    """Tells of a subject whether its events are among those that were told again before the mark."""
    mark: int
    """Partition of the event topic on which the mark stood."""

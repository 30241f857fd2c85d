"""Records and events to Kafka messages and back: names of topics and headers, nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from aiokafka import ConsumerRecord

from hub.kafka.produce import Message
from hub.model.connector import Connector
from hub.model.decision import Quarantine
from hub.model.event import Event
from hub.model.record import Header, Headers, Origin, Record
from hub.pipeline.parking import State, parks

CITIZEN_TOPIC = "citizen.event.v1"
IDENTITY_TOPIC = "event.identity.v1"
CURSOR_TOPIC = "intake.cursor"

_PARKS = "hub_parks"
_ORIGINAL = b"original"


def raw_topic(product: str) -> str:
    """Name the topic of what a product said."""
    return f"raw.{product}"


def quarantine_topic(product: str) -> str:
    """Name the topic of a product's records that were set aside."""
    return f"quarantine.{product}"


def state_topic(product: str) -> str:
    """Name the topic of a product's memory."""
    return f"state.{product}"


def event_topic(domain: str) -> str:
    """Name the topic of a domain's events."""
    return f"event.{domain}.v1"


def milliseconds(moment: datetime) -> int:
    """Count UTC milliseconds, exactly."""
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


def cloud_headers(event_id: str, kind: str, source: str, subject: str, moment: datetime) -> Headers:
    """Write CloudEvents attributes in the Kafka binary binding."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_type", kind.encode()),
        ("ce_source", source.encode()),
        ("ce_subject", subject.encode()),
        ("ce_time", text.encode()),
        (Header.CONTENT_TYPE, b"application/avro"),
    )


def event_message(event: Event) -> Message:
    """Address an event to the topic of its domain, keyed by its subject."""
    return Message(
        event_topic(event.domain),
        event.subject.encode(),
        event.value,
        (
            *cloud_headers(event.id, event.type, event.source, event.subject, event.time),
            (Header.SEQ, str(event.seq).encode()),
            (Header.REV, str(event.rev).encode()),
            (Header.READ_AT, str(event.read_at).encode()),
            (Header.PRODUCT, event.product.encode()),
        ),
    )


def raw_record(record: ConsumerRecord, product: str, epoch: int) -> Record:
    """Read a raw record, whoever wrote it: a missing header is not an error here."""
    headers = dict(record.headers)
    return Record(
        product=product,
        feed=_text(headers.get(Header.FEED)),
        key=record.key or b"",
        value=record.value,
        raw_id=_text(headers.get(Header.RAW_ID)) or f"{record.topic}/{epoch}/{record.partition}/{record.offset}",
        read_at=_number(headers.get(Header.READ_AT), record.timestamp),
        origin=Origin(record.topic, epoch, record.partition, record.offset),
        content_type=_text(headers.get(Header.CONTENT_TYPE)),
        headers=tuple(record.headers),
    )


def quarantine_message(decision: Quarantine, connector: Connector) -> Message:
    """Address a rejected record to its product's quarantine: original bytes, reason in headers."""
    record = decision.record
    origin = record.origin
    parked = decision.code == "behind" or parks(record, connector)
    return Message(
        quarantine_topic(record.product),
        b"/".join((_ORIGINAL, str(origin.epoch).encode(), str(origin.offset).encode(), record.key)),
        record.value,
        (
            *record.headers,
            (Header.CODE, decision.code.encode()),
            (Header.STAGE, decision.stage.encode()),
            (Header.DETAIL, decision.detail.encode()),
            (Header.FIELDS, ",".join(decision.fields).encode()),
            (Header.ORIGIN, f"{origin.topic}/{origin.epoch}/{origin.partition}/{origin.offset}".encode()),
            (_PARKS, b"1" if parked else b"0"),
        ),
        partition=origin.partition,
    )


class Quarantined(NamedTuple):
    """What a quarantine record says about its origin."""

    key: bytes
    epoch: int
    offset: int
    code: str
    parks: bool


def quarantined(record: ConsumerRecord) -> Quarantined | None:
    """Read a quarantine record; None for what is not one."""
    try:
        kind, epoch, offset, key = (record.key or b"").split(b"/", 3)
        if kind != _ORIGINAL:
            return None
        headers = dict(record.headers)
        return Quarantined(key, int(epoch), int(offset), _text(headers.get(Header.CODE)), headers.get(_PARKS) == b"1")
    except ValueError:
        return None


def state_message(product: str, partition: int, key: bytes, state: State) -> Message:
    """Address the memory of a key to its product's state topic."""
    return Message(
        state_topic(product),
        key,
        state.value,
        ((Header.ORIGIN, f"{state.epoch}:{state.offset}".encode()),),
        partition=partition,
    )


def state_of(record: ConsumerRecord) -> State | None:
    """Read a state record; None for a tombstone."""
    if record.value is None:
        return None
    epoch, offset = dict(record.headers)[Header.ORIGIN].split(b":")
    return State(int(epoch), int(offset), record.value)


def header(record: ConsumerRecord, name: str) -> str:
    """Read one header as text, empty when it is missing."""
    for key, value in record.headers:
        if key == name:
            return _text(value)
    return ""


def _text(value: bytes | None) -> str:
    return value.decode("utf-8", "replace") if value is not None else ""


def _number(value: bytes | None, otherwise: int) -> int:
    try:
        return int(value) if value is not None else otherwise
    except ValueError:
        return otherwise

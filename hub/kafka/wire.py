"""Records and events to Kafka messages and back: names of topics and headers, nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from aiokafka import ConsumerRecord

from hub.kafka.produce import Message
from hub.model import command as commands
from hub.model.command import Command
from hub.model.connector import Connector
from hub.model.decision import Quarantine
from hub.model.errors import Code
from hub.model.event import Event
from hub.model.record import Header, Headers, Origin, Record
from hub.pipeline.parking import Edit, How, Report, Settled, State, parks
from hub.pipeline.shelf import Began, Memory, Note, Original

CITIZEN_TOPIC = "citizen.event.v1"
IDENTITY_TOPIC = "event.identity.v1"
CURSOR_TOPIC = "intake.cursor"
SWITCH_TOPIC = "normalise.switch"

_new = tuple.__new__
"""Makes a named tuple of a tuple, in half of the time that its own `__new__` takes: for what each record needs."""
_AGAIN = ((Header.REPLAY, b"1"),)
_PARKS = "hub_parks"
_NULL = "hub_null"
_COMMAND = "hub_command"
_REASONS = frozenset((Header.CODE, Header.STAGE, Header.DETAIL, Header.FIELDS, Header.ORIGIN, _PARKS, _NULL))
_ORIGINAL, _EDIT, _SETTLED, _REPORT, _OWNER = b"original", b"edit", b"settled", b"report", b"owner"


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
    return (
        *_attributes(kind, source),
        ("ce_id", event_id.encode()),
        ("ce_subject", subject.encode()),
        ("ce_time", _instant(moment)),
    )


def _instant(moment: datetime) -> bytes:
    moment = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return b"%bZ" % moment.isoformat(timespec="milliseconds")[: -len("+00:00")].encode()


@lru_cache(maxsize=1024)
def _attributes(kind: str, source: str) -> Headers:
    return (
        ("ce_specversion", b"1.0"),
        ("ce_type", kind.encode()),
        ("ce_source", source.encode()),
        (Header.CONTENT_TYPE, b"application/avro"),
    )


def event_message(event: Event, *, again: bool = False) -> Message:
    """Address an event to the topic of its domain, keyed by its subject; `again`: nobody is notified of it."""
    key = event.subject.encode()
    topic, standing = _standing(event.domain, event.type, event.source, event.product, event.partition, event.rev)
    headers = (
        *standing,
        ("ce_id", event.id.encode()),
        ("ce_subject", key),
        ("ce_time", _instant(event.time)),
        (Header.SEQ, b"%d:%d:%d" % event.seq),
        (Header.READ_AT, b"%d" % event.read_at),
    )
    return _new(Message, (topic, key, event.value, headers + _AGAIN if again else headers, None))


@lru_cache(maxsize=4096)
def _standing(domain: str, kind: str, source: str, product: str, partition: int, rev: int) -> tuple[str, Headers]:
    """Return the topic, and the headers that all events of a kind from one raw partition share."""
    return event_topic(domain), (
        *_attributes(kind, source),
        (Header.PARTITION, b"%d" % partition),
        (Header.REV, b"%d" % rev),
        (Header.PRODUCT, product.encode()),
    )


def mark_message(mark: Any, value: bytes, moment: datetime) -> Message:
    """Address the mark of a replay to one partition of an event topic."""
    name = f"{mark.command}/{mark.raw_partition}/{mark.event_partition}"
    subject = f"replay:{mark.product}"
    return Message(
        event_topic(mark.domain),
        subject.encode(),
        value,
        cloud_headers(name, mark.TYPE, "/normalise/replay", subject, moment),
        partition=mark.event_partition,
    )


def raw_item(record: ConsumerRecord, product: str, epoch: int) -> Record | Command | None:
    """Read a raw record, which may be an operator's command; None for a command that nobody can read.

    Whoever wrote it: a missing header is not an error here.
    """
    headers = dict(record.headers)
    key, origin = record.key or b"", _new(Origin, (record.topic, epoch, record.partition, record.offset))
    if Header.CONTROL in headers:
        try:
            return commands.read(headers[Header.CONTROL], key, record.value, origin)
        except ValueError:
            return None
    raw_id, read_at = headers.get(Header.RAW_ID), headers.get(Header.READ_AT)
    fields = (
        product,
        _word(headers.get(Header.FEED)),
        key,
        record.value,
        _text(raw_id) if raw_id else f"{record.topic}/{epoch}/{record.partition}/{record.offset}",
        _number(read_at, record.timestamp),
        origin,
        _word(headers.get(Header.CONTENT_TYPE)),
        tuple(record.headers),
    )
    return _new(Record, fields)


def quarantine_message(decision: Quarantine, connector: Connector, owner: str) -> Message:
    """Address a rejected record to its product's quarantine: original bytes, reason in headers."""
    record = decision.record
    origin = record.origin
    return Message(
        quarantine_topic(record.product),
        _note_key(_ORIGINAL, origin.epoch, origin.offset, owner, record.key),
        # Null would be a tombstone.
        record.value or b"",
        (
            *record.headers,
            # What a release needs must not depend on when and where this copy was written.
            (Header.FEED, record.feed.encode()),
            (Header.RAW_ID, record.raw_id.encode()),
            (Header.READ_AT, str(record.read_at).encode()),
            (Header.CONTENT_TYPE, record.content_type.encode()),
            (Header.CODE, decision.code.encode()),
            (Header.STAGE, decision.stage.encode()),
            (Header.DETAIL, decision.detail.encode()),
            (Header.FIELDS, ",".join(decision.fields).encode()),
            (Header.ORIGIN, f"{origin.topic}/{origin.epoch}/{origin.partition}/{origin.offset}".encode()),
            (_PARKS, b"1" if parks(decision, connector) else b"0"),
            (_NULL, b"1" if record.value is None else b"0"),
        ),
        partition=origin.partition,
    )


def began_message(topic: str, partition: int, owner: str) -> Message:
    """Say in a quarantine or state partition who owns it from here on."""
    return Message(topic, _note_key(_OWNER, 0, 0, owner, b""), b"1", (), partition=partition)


def settled_message(product: str, partition: int, settled: Settled, owner: str) -> Message:
    """Say that a quarantined record is settled."""
    return Message(
        quarantine_topic(product),
        _note_key(_SETTLED, settled.epoch, settled.offset, owner, settled.key),
        json.dumps({"how": settled.how, "command": settled.command}).encode(),
        (),
        partition=partition,
    )


def edit_message(product: str, partition: int, edit: Edit, owner: str) -> Message:
    """Keep a corrected copy beside the original."""
    return Message(
        quarantine_topic(product),
        _note_key(_EDIT, edit.epoch, edit.offset, owner, edit.key),
        edit.value,
        ((_COMMAND, edit.command.encode()),),
        partition=partition,
    )


def report_message(product: str, report: Report, owner: str) -> Message:
    """Say what became of a command, for whoever gave it and for the record."""
    command = report.command
    said = {
        "command": command.id,
        "kind": command.kind,
        "who": command.who,
        "why": command.why,
        "at": command.origin.offset,
        "released": report.released,
        "dropped": report.dropped,
        "superseded": report.superseded,
        "edited": report.edited,
        "events": report.events,
        "rejected": {str(offset): code for offset, code in report.rejected.items()},
        "waiting": report.waiting,
    }
    return Message(
        quarantine_topic(product),
        _note_key(_REPORT, command.origin.epoch, command.origin.offset, owner, command.key),
        json.dumps(said, ensure_ascii=False).encode(),
        (),
        partition=command.origin.partition,
    )


def note(record: ConsumerRecord, product: str) -> Note | None:
    """Read a record of a quarantine topic; None for what is not a note, and for reports."""
    try:
        kind, epoch, offset, owner, key = (record.key or b"").split(b"/", 4)
        number, life = int(offset), int(epoch)
        what: Began | Original | Edit | Settled
        if kind == _OWNER:
            what = Began()
        elif record.value is None:
            return None
        elif kind == _ORIGINAL:
            what = _original(record, product, key, life, number)
        elif kind == _EDIT:
            what = Edit(key, life, number, record.value, _text(dict(record.headers).get(_COMMAND)))
        elif kind == _SETTLED:
            said = json.loads(record.value)
            what = Settled(key, life, number, How(said["how"]), str(said["command"]))
        else:
            return None
        return Note(owner.decode(), record.timestamp, what)
    except (ValueError, KeyError, TypeError):
        return None


def report(record: ConsumerRecord) -> Mapping[str, Any] | None:
    """Read what became of a command; None for any other record of a quarantine topic."""
    if record.value is None or not (record.key or b"").startswith(_REPORT + b"/"):
        return None
    try:
        found: Mapping[str, Any] = json.loads(record.value)
    except ValueError:
        return None
    return found


def _original(record: ConsumerRecord, product: str, key: bytes, epoch: int, offset: int) -> Original:
    headers = dict(record.headers)
    return Original(
        Record(
            product=product,
            feed=_text(headers.get(Header.FEED)),
            key=key,
            value=None if headers.get(_NULL) == b"1" else record.value,
            raw_id=_text(headers.get(Header.RAW_ID)),
            read_at=_number(headers.get(Header.READ_AT), record.timestamp),
            origin=Origin(raw_topic(product), epoch, record.partition, offset),
            content_type=_text(headers.get(Header.CONTENT_TYPE)),
            headers=tuple(pair for pair in record.headers if pair[0] not in _REASONS),
        ),
        Code(_text(headers.get(Header.CODE))),
        headers.get(_PARKS) == b"1",
        _text(headers.get(Header.STAGE)),
        _text(headers.get(Header.DETAIL)),
        tuple(field for field in _text(headers.get(Header.FIELDS)).split(",") if field),
    )


def _note_key(kind: bytes, epoch: int, offset: int, owner: str, key: bytes) -> bytes:
    # The owner is part of the key: compaction must not put what is void in the place of what holds.
    return b"/".join((kind, str(epoch).encode(), str(offset).encode(), owner.encode(), key))


def state_message(product: str, partition: int, key: bytes, state: State, owner: str) -> Message:
    """Address the memory of a key to its product's state topic."""
    return Message(
        state_topic(product),
        key,
        state.value,
        ((Header.ORIGIN, f"{state.epoch}:{state.offset}".encode()), (Header.OWNER, owner.encode())),
        partition=partition,
    )


def remember(record: ConsumerRecord, memory: Memory) -> None:
    """Add a record of a state topic to what is remembered; what is not ours is passed by."""
    key, headers = record.key or b"", dict(record.headers)
    if key.startswith(_OWNER + b"/"):
        memory.add(key.split(b"/", 4)[3].decode("utf-8", "replace"), None, None)
    elif record.value is None:
        memory.add("", key, None)
    elif Header.ORIGIN in headers:
        epoch, offset = headers[Header.ORIGIN].split(b":")
        memory.add(_text(headers.get(Header.OWNER)), key, State(int(epoch), int(offset), record.value))


def header(record: ConsumerRecord, name: str) -> str:
    """Read one header as text, empty when it is missing."""
    for key, value in record.headers:
        if key == name:
            return _text(value)
    return ""


@lru_cache(maxsize=256)
def _word(value: bytes | None) -> str:
    # One of the few that a feed repeats in all its records.
    return _text(value)


def _text(value: bytes | None) -> str:
    return value.decode("utf-8", "replace") if value is not None else ""


def _number(value: bytes | None, otherwise: int) -> int:
    try:
        return int(value) if value is not None else otherwise
    except ValueError:
        return otherwise

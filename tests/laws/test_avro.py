"""Laws of the schemas: round trip, totality of the reader, and compatibility that means what it says."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
import math
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum, StrEnum
from functools import cache
from importlib import import_module
from typing import Any

import fastavro
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hub import catalogue
from hub.avro import compiled, registry
from hub.avro.compat import unreadable
from hub.avro.lint import lint
from hub.avro.lock import Locked, check, extend
from hub.avro.parse import named_types, parse
from hub.avro.strict import Check, misfit
from hub.cli.schemas import findings
from hub.model.errors import Undecodable, Unencodable
from hub.testing.avro import payloads, values

NAMES = catalogue.schemas().names()
every_record = pytest.mark.parametrize("name", NAMES)


@every_record
@given(data=st.data())
def test_every_payload_is_what_its_bytes_say(name: str, data: st.DataObject) -> None:
    """Decode after encode is the identity."""
    payload = data.draw(payloads(catalogue.schemas(), name))
    assert payload == catalogue.schemas().decode(catalogue.schemas().encode(payload))


class Foreign(StrEnum):
    """Looks like a symbol."""

    LUNCH = "LUNCH"


class Numbered(Enum):
    """Has a symbol's text, and is none."""

    LUNCH = "LUNCH"


ODD = [
    *(None, True, 0, 1, -1, 2**31, 2**63, 10**400, 1.5, math.nan, math.inf, b"x", object),
    *("", "x", "LUNCH", "UNKNOWN", "\ud800", "é" * 600, "x" * 1024, "x" * 70_000, Foreign.LUNCH, Numbered.LUNCH),
    *(date(2026, 3, 1), date.min, datetime(2026, 3, 1), datetime(1, 1, 1, tzinfo=UTC)),
    datetime(2026, 3, 1, 0, 0, 0, 999_999, timezone(timedelta(hours=-9, seconds=1))),
    *((), [], ("a",), ["a"], (1,), (None,), ("x",) * 1100, {}, {"a": 1}),
]


@cache
def _writers(name: str) -> tuple[compiled.Write, Check, Any]:
    schema = dict(catalogue.schemas().version(catalogue.schemas().id_of(name)).schema)
    return compiled.writer(schema), misfit(schema), fastavro.parse_schema(copy.deepcopy(schema), named_schemas={})


@every_record
@given(data=st.data())
def test_the_compiled_writer_writes_what_fastavro_writes(name: str, data: st.DataObject) -> None:
    """Whatever a model holds: the same bytes, or none, and none for what the strict check refuses."""
    write, wrong, parsed = _writers(name)
    payload = data.draw(payloads(catalogue.schemas(), name))
    fields = [field.name for field in dataclasses.fields(payload)]
    for field in data.draw(st.lists(st.sampled_from(fields), max_size=2)):
        payload = dataclasses.replace(payload, **{field: data.draw(st.sampled_from(ODD))})
    try:
        written = write(payload)
    except Exception:
        return
    plain = payload.as_dict()
    assert wrong(plain) is None
    out = io.BytesIO()
    fastavro.schemaless_writer(out, parsed, plain)
    assert out.getvalue() == written


@every_record
def test_the_compiled_writer_takes_what_is_usual(name: str) -> None:
    """The long way is for what is odd."""
    schema = catalogue.schemas().version(catalogue.schemas().id_of(name)).schema
    model = getattr(import_module(f"schemas.models.{name.split('.')[1]}"), name.split(".")[2])
    assert len(compiled.writer(schema)(model())) >= len(schema["fields"])


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_undecodable(value: bytes) -> None:
    """The reader raises nothing else, framed or not."""
    for candidate in (value, *(b"\x00" + number.to_bytes(4, "big") + value for number in catalogue.schemas().ids())):
        try:
            catalogue.schemas().decode(candidate)
        except Undecodable:
            pass


@every_record
@given(data=st.data())
def test_damaged_bytes_are_undecodable_or_an_event(name: str, data: st.DataObject) -> None:
    """Avro has no checksum: what is still read after damage is at least what could have been written."""
    schemas = catalogue.schemas()
    value = bytearray(schemas.encode(data.draw(payloads(schemas, name))))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(5, max(5, len(value) - 1)))
        value[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    try:
        found = schemas.decode(bytes(value))
    except Undecodable:
        return
    assert found == schemas.decode(schemas.encode(found))


@every_record
def test_few_bytes_do_not_become_many_things(name: str) -> None:
    """Whatever a block or a text claims to hold, no more than the bytes that are there is made of it."""
    schemas = catalogue.schemas()
    frame = b"\x00" + schemas.id_of(name).to_bytes(4, "big")
    for claim in (b"\xfe\xff\xff\xff\x0f", b"\xff\xff\xff\xff\x0f", b"\xfe" + b"\xff" * 8 + b"\x01"):
        for before in range(8):
            try:
                found = schemas.decode(frame + b"\x00" * before + claim)
            except Undecodable:
                continue
            assert len(repr(found)) < 1000, "a number, where one stands"


@every_record
def test_left_over_bytes_are_refused(name: str) -> None:
    """A frame with something behind it is not an event."""
    schemas = catalogue.schemas()
    value = schemas.encode(getattr(import_module(f"schemas.models.{name.split('.')[1]}"), name.split(".")[2])())
    with pytest.raises(Undecodable, match="left over"):
        schemas.decode(value + b"\x00")


def test_a_misfit_is_named_and_not_quoted() -> None:
    """What does not fit its schema is told by field."""
    from schemas.models.citizen_portal import PreferencesChanged

    for payload, field in (
        (PreferencesChanged(citizen="Jean Dupont"), "citizen"),
        (PreferencesChanged(topics=(1,)), "topics"),  # type: ignore[arg-type]
        (PreferencesChanged(email="x" * 300), "email"),
    ):
        with pytest.raises(Unencodable) as caught:
            catalogue.schemas().encode(payload)
        assert (field,) == caught.value.fields
        assert "Dupont" not in str(caught.value)


def test_committed_schemas_are_in_order() -> None:
    """Lint, lock, compatibility and generated models have nothing to report."""
    assert list(findings()) == []


KINDS: list[tuple[Any, Any]] = [
    ("string", ""),
    ("long", 0),
    ("double", 0.0),
    (["null", "string"], None),
    (["null", "long"], None),
    ({"type": "long", "logicalType": "timestamp-millis"}, 0),
    ({"type": "array", "items": "string"}, []),
    ({"type": "array", "items": ["null", "long"]}, []),
    ({"type": "enum", "name": "Added", "doc": "x", "symbols": ["UNKNOWN", "A"], "default": "UNKNOWN"}, "UNKNOWN"),
]


def _mutate(schema: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
    """Change something at any depth of a schema, for the better or the worse."""
    changed = copy.deepcopy(schema)
    nodes = list(named_types(changed))
    fields = data.draw(st.sampled_from([node for node in nodes if node["type"] == "record"]))["fields"]
    field = fields[data.draw(st.integers(0, len(fields) - 1))]
    match data.draw(st.sampled_from(["drop", "add", "retype", "widen", "nullable", "bare", "symbol", "rename"])):
        case "drop":
            fields.remove(field)
        case "add":
            kind, default = data.draw(st.sampled_from(KINDS))
            fields.append({"name": "added", "type": kind, "default": default})
        case "bare":
            fields.append({"name": "added", "type": "string"})
        case "retype":
            kind, default = data.draw(st.sampled_from(KINDS))
            field |= {"type": kind, "default": default}
        case "widen":
            for each in fields:
                if each["type"] == "int":
                    each["type"] = "long"
        case "nullable" if not isinstance(field["type"], list):
            field |= {"type": ["null", field["type"]], "default": None}
        case "symbol":
            for node in nodes:
                if node["type"] == "enum":
                    symbol = data.draw(st.sampled_from(node["symbols"]))
                    if data.draw(st.booleans()):
                        node.pop("default")
                    if len(node["symbols"]) > 1:
                        node["symbols"].remove(symbol)
        case "rename":
            node = data.draw(st.sampled_from(nodes))
            old, node["name"] = node["name"], "Renamed"
            for each in fields:
                if each["type"] == old:
                    each["type"] = "Renamed"
    return changed


@every_record
@given(data=st.data())
def test_what_is_called_compatible_is_readable(name: str, data: st.DataObject) -> None:
    """What is written under one schema is read under another whenever the check finds nothing."""
    version = catalogue.schemas().version(catalogue.schemas().id_of(name))
    before = dict(version.schema)
    after = _mutate(before, data)
    try:
        fastavro.parse_schema(copy.deepcopy(after), named_schemas={})
    except (fastavro.schema.SchemaParseException, fastavro.schema.UnknownType):
        assume(False)  # a name that is still meant elsewhere, a default that is no symbol any more
    for writer, reader in ((before, after), (after, before)):
        if list(unreadable(writer, reader)):
            continue
        value = data.draw(values(writer))
        out = io.BytesIO()
        wrote = fastavro.parse_schema(copy.deepcopy(writer), named_schemas={})
        fastavro.schemaless_writer(out, wrote, value)
        out.seek(0)
        fastavro.schemaless_reader(out, wrote, fastavro.parse_schema(copy.deepcopy(reader), named_schemas={}))


def test_breaking_changes_are_named() -> None:
    """A field without a default, another type, a dropped symbol without default: each is told."""
    version = catalogue.schemas().version(catalogue.schemas().id_of("hub.library.LoanStarted"))
    bare = copy.deepcopy(dict(version.schema))
    bare["fields"].append({"name": "new", "type": "string"})
    assert list(unreadable(version.schema, bare)) == ["LoanStarted.new: new without a default"]
    retyped = copy.deepcopy(dict(version.schema))
    retyped["fields"][0]["type"] = "long"
    assert list(unreadable(version.schema, retyped)) == ["LoanStarted.item_id: string became long"]


def test_a_published_version_never_changes() -> None:
    """The lock notices a change of anything, docs and privacy included, and an id is never given twice."""
    version = catalogue.schema_files()[0]
    locked = extend({}, catalogue.schema_files())
    assert sorted(range(1, len(locked) + 1)) == sorted(item.id for item in locked.values())
    assert locked == extend(locked, catalogue.schema_files())
    wrong = {name: Locked(item.id, "0") for name, item in locked.items()}
    assert any("S202" in line and version.path in line for line in check(wrong, catalogue.schema_files()))
    assert any("S203" in line for line in check(locked | {"hub.x.Y/v1": Locked(99, "0")}, catalogue.schema_files()))


def test_lint_names_what_is_missing() -> None:
    """A field without doc, privacy or default, and an enum without UNKNOWN, are findings."""
    text = (
        '{"type":"record","name":"X","namespace":"hub.d","domain":"d","audience":"public","doc":"x","fields":['
        '{"name":"a","type":"string"},{"name":"b","type":{"type":"enum","name":"E","symbols":["A"]},"doc":"b",'
        '"privacy":"direct","default":"A"}]}'
    )
    found = lint(parse("d/X/v1.avsc", text))
    codes = {word for line in found for word in line.split() if word.startswith("S1")}
    assert {"S101", "S102", "S103", "S104", "S105", "S106"} <= codes


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/subjects", 200),
        ("GET", "/subjects/hub.library.LoanStarted/versions", 200),
        ("GET", "/subjects/hub.library.LoanStarted/versions/latest", 200),
        ("GET", "/subjects/hub.library.LoanStarted/versions/9", 404),
        ("GET", "/subjects/hub.library.LoanStarted/versions/x", 422),
        ("GET", "/subjects/nothing/versions", 404),
        ("GET", "/schemas/ids/1", 200),
        ("GET", "/schemas/ids/999", 404),
        ("GET", "/schemas/ids/²", 404),
        ("GET", "/schemas/types", 200),
        ("GET", "/config", 200),
        ("GET", "/elsewhere", 404),
        ("GET", "/contexts", 200),
        ("GET", "/subjects/hub.library.LoanStarted/versions/1/referencedby", 200),
        ("POST", "/subjects/hub.library.LoanStarted/versions", 422),
        ("POST", "/subjects/nothing/versions", 422),
        ("PUT", "/config", 422),
        ("DELETE", "/subjects/hub.library.LoanStarted", 422),
    ],
)
def test_the_registry_answers_as_confluent_does(method: str, path: str, status: int) -> None:
    """Each read has its answer, each write its refusal, with an error code."""
    found, document = registry.answer(catalogue.schemas(), method, path)
    assert status == found
    if status >= 400:
        assert document["error_code"]


def test_a_client_may_register_what_is_there() -> None:
    """A stock serializer registers its schema each time: it is told the id, and refused for anything else."""
    schemas = catalogue.schemas()
    name = "hub.library.LoanStarted"
    schema = schemas.version(schemas.id_of(name)).schema
    known = json.dumps({"schema": json.dumps(schema)}).encode()
    assert registry.answer(schemas, "POST", f"/subjects/{name}/versions", known) == (200, {"id": schemas.id_of(name)})
    status, found = registry.answer(schemas, "POST", f"/subjects/{name}", known)
    assert (200, schemas.id_of(name), 1) == (status, found["id"], found["version"])
    other = json.dumps({"schema": json.dumps(dict(schema) | {"doc": "other"})}).encode()
    status, found = registry.answer(schemas, "POST", f"/subjects/{name}/versions", other)
    assert (status, found["error_code"]) == (422, 42205)
    status, found = registry.answer(schemas, "POST", f"/subjects/{name}", other)
    assert (status, found["error_code"]) == (404, 40403)


@given(st.sampled_from(["GET", "POST", "PUT"]), st.lists(st.text(max_size=12), max_size=6), st.binary(max_size=40))
def test_the_registry_answers_anything(method: str, parts: list[str], body: bytes) -> None:
    """Any request has an answer."""
    status, _ = registry.answer(catalogue.schemas(), method, "/".join(["subjects", *parts]), body)
    assert 200 <= status < 500

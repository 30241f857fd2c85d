"""Laws of the schemas: round trip, totality of the reader, and compatibility that means what it says."""

from __future__ import annotations

import copy
import io
from importlib import import_module
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub import catalogue
from hub.avro import registry
from hub.avro.compat import unreadable
from hub.avro.lint import lint
from hub.avro.lock import Locked, check, extend
from hub.avro.parse import parse
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


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_undecodable(value: bytes) -> None:
    """The reader raises nothing else, framed or not."""
    for candidate in (value, *(b"\x00" + number.to_bytes(4, "big") + value for number in catalogue.schemas().ids())):
        try:
            catalogue.schemas().decode(candidate)
        except Undecodable:
            pass


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


def _mutate(schema: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
    changed = copy.deepcopy(schema)
    fields = changed["fields"]
    match data.draw(st.sampled_from(["drop", "add", "retype", "widen", "bare", "symbol"])):
        case "drop":
            del fields[data.draw(st.integers(0, len(fields) - 1))]
        case "add":
            fields.append({"name": "added", "type": "string", "default": ""})
        case "bare":
            fields.append({"name": "added", "type": "string"})
        case "retype":
            kind, default = data.draw(st.sampled_from([("string", ""), ("long", 0)]))
            fields[data.draw(st.integers(0, len(fields) - 1))] |= {"type": kind, "default": default}
        case "widen":
            for field in fields:
                if field["type"] == "int":
                    field["type"] = "long"
        case "symbol":
            for field in fields:
                if isinstance(field["type"], dict) and field["type"]["type"] == "enum":
                    field["type"]["symbols"].pop()
    return changed


@every_record
@given(data=st.data())
def test_what_is_called_compatible_is_readable(name: str, data: st.DataObject) -> None:
    """What is written under one schema is read under another whenever the check finds nothing."""
    version = catalogue.schemas().version(catalogue.schemas().id_of(name))
    before, after = dict(version.schema), _mutate(dict(version.schema), data)
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
        ("POST", "/subjects/hub.library.LoanStarted/versions", 405),
        ("DELETE", "/subjects/hub.library.LoanStarted", 405),
    ],
)
def test_the_registry_answers_as_confluent_does(method: str, path: str, status: int) -> None:
    """Each read has its answer, each write its refusal, with an error code."""
    found, document = registry.answer(catalogue.schemas(), method, path)
    assert status == found
    if status >= 400:
        assert document["error_code"]


@given(st.sampled_from(["GET", "POST", "PUT"]), st.lists(st.text(max_size=12), max_size=6), st.binary(max_size=40))
def test_the_registry_answers_anything(method: str, parts: list[str], body: bytes) -> None:
    """Any request has an answer."""
    status, _ = registry.answer(catalogue.schemas(), method, "/".join(["subjects", *parts]), body)
    assert 200 <= status < 500

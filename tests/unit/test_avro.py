"""What the checks of the schemas find, and what the generator and the codec make of unusual ones."""

from __future__ import annotations

import copy
import json
import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from hub.avro.codec import LARGEST, Schemas
from hub.avro.compat import breaks
from hub.avro.generate import module
from hub.avro.lint import lint
from hub.avro.lock import Locked, check, extend, key, read, write
from hub.avro.parse import BrokenSchema, Version, parse
from hub.model.errors import Undecodable, Unencodable

ROLE = {"type": "enum", "name": "Role", "doc": "Who.", "symbols": ["UNKNOWN", "SELF"], "default": "UNKNOWN"}
LINK = {
    "type": "record",
    "name": "Link",
    "doc": "One.",
    "fields": [
        {"name": "citizen", "type": "string", "doc": "c", "privacy": "direct", "default": "", "pattern": "^[a-f]+$"},
        {"name": "role", "type": ROLE, "doc": "r", "privacy": "quasi", "default": "UNKNOWN"},
    ],
}
KINDS: dict[str, tuple[Any, Any]] = {
    "text": ("string", 'a "quoted" \\ one'),
    "short": ("string", ""),
    "count": ("int", 0),
    "total": ("long", 0),
    "flag": ("boolean", False),
    "place": ("double", 0.0),
    "day": ({"type": "int", "logicalType": "date"}, 0),
    "moment": ({"type": "long", "logicalType": "timestamp-millis"}, 0),
    "maybe": (["null", {"type": "int", "logicalType": "date"}], None),
    "links": ({"type": "array", "items": LINK}, []),
    "first": (["null", "Link"], None),
    "roles": ({"type": "array", "items": "Role"}, []),
    "words": ({"type": "array", "items": "string"}, []),
}


def schema(**changes: Any) -> dict[str, Any]:
    """Make a schema with every kind that the hub uses; `changes` are to its fields, None removes one."""
    fields = [
        {"name": name, "type": kind, "doc": f'The "{name}"', "privacy": "quasi", "default": default}
        for name, (kind, default) in KINDS.items()
    ]
    fields[1]["maxLength"] = 3
    for name, change in changes.items():
        found = next((field for field in fields if field["name"] == name), None)
        if change is None:
            fields.remove(found)  # type: ignore[arg-type]
        elif found is None:
            fields.append({"name": name, "doc": "x", "privacy": "quasi"} | change)
        else:
            found |= change
    return {
        "type": "record",
        "name": "Thing",
        "namespace": "hub.town",
        "doc": 'A """thing""" \\d"',
        "domain": "town",
        "audience": "person",
        "fields": copy.deepcopy(fields),
    }


def version(number: int = 1, **changes: Any) -> Version:
    return parse(f"schemas/town/Thing/v{number}.avsc", json.dumps(schema(**changes)))


def models(*versions: Version) -> dict[str, Any]:
    """Run the generated module, which has to be registered for its dataclasses to find their types."""
    space: dict[str, Any] = {"__name__": "builtins"}
    exec(compile(module("town", versions), "town.py", "exec"), space)  # noqa: S102
    return space


@pytest.fixture(scope="module")
def town() -> tuple[Schemas, dict[str, Any]]:
    made = models(version())
    return Schemas({1: version()}, {"hub.town.Thing": made["Thing"].from_dict}), made


def test_every_kind_that_is_used_is_sound_and_comes_back(town: tuple[Schemas, dict[str, Any]]) -> None:
    """The generator writes a model for each kind, nested and nullable ones included."""
    schemas, made = town
    assert list(lint(version())) == []
    link = made["Link"](citizen="abc", role=made["Role"].SELF)
    thing = made["Thing"](
        text="é", short="abc", count=-1, total=2**40, flag=True, place=1.5, day=date(2026, 3, 29), words=("a", ""),
        moment=datetime(2026, 3, 29, 1, tzinfo=UTC), maybe=date(1850, 1, 1), links=(link,), first=link,
        roles=(made["Role"].SELF, made["Role"].UNKNOWN),
    )  # fmt: skip
    for one in (thing, made["Thing"]()):
        assert one == schemas.decode(schemas.encode(one))
    assert made["Thing"]().text == 'a "quoted" \\ one'
    assert made["Thing"].__doc__.strip() == 'A """thing""" \\d"'


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("text", None),
        ("text", b"x"),
        ("text", "\ud800"),
        ("short", "abcd"),
        ("count", 2**31),
        ("count", True),
        ("count", 1.0),
        ("total", 2**63),
        ("flag", "no"),
        ("flag", 1),
        ("place", float("nan")),
        ("place", float("inf")),
        ("place", "1"),
        ("day", datetime(2026, 1, 1, tzinfo=UTC)),
        ("day", "2026-01-01"),
        ("day", 5),
        ("moment", datetime(2026, 1, 1)),
        ("moment", date(2026, 1, 1)),
        ("moment", 5),
        ("maybe", ""),
        ("words", "abc"),
        ("words", ("a", 1)),
        ("roles", ("NOBODY",)),
    ],
)
def test_what_the_schema_does_not_say_is_not_written(
    town: tuple[Schemas, dict[str, Any]], field: str, value: Any
) -> None:
    """Neither cut, nor rounded, nor guessed; the field is named."""
    schemas, made = town
    with pytest.raises(Unencodable) as caught:
        schemas.encode(made["Thing"](**{field: value}))
    assert (field,) == caught.value.fields


def test_a_misfit_within_a_record_is_named_by_its_path(town: tuple[Schemas, dict[str, Any]]) -> None:
    """Bounds hold at any depth, to the last character."""
    schemas, made = town
    for citizen in ("Jean", "abc\n"):
        with pytest.raises(Unencodable) as caught:
            schemas.encode(made["Thing"](links=(made["Link"](citizen=citizen),)))
        assert caught.value.fields == ("links.citizen",)
    with pytest.raises(Unencodable):
        schemas.encode(made["Thing"](links=("Jean",)))
    with pytest.raises(Unencodable, match="no schema"):
        Schemas({}, {}).encode(made["Thing"]())


def test_an_instant_is_written_whatever_its_zone(town: tuple[Schemas, dict[str, Any]]) -> None:
    """Aware is enough: it is the same instant."""
    schemas, made = town
    here = datetime(2026, 10, 25, 2, 30, tzinfo=timezone(timedelta(hours=2)))
    assert here == schemas.decode(schemas.encode(made["Thing"](moment=here))).moment


def test_what_is_not_in_the_wire_format_is_told(town: tuple[Schemas, dict[str, Any]]) -> None:
    """Too large, another magic byte, an id of nobody."""
    schemas, made = town
    value = schemas.encode(made["Thing"]())
    for wrong, why in (
        (b"", "wire format"),
        (b"\x01" + value[1:], "wire format"),
        (b"\x00\x00\x00\x00\x09" + value[5:], "registry"),
        (value + b"\x00" * LARGEST, "larger"),
        (value[:-1], "not of its schema"),
    ):
        with pytest.raises(Undecodable, match=why):
            schemas.decode(wrong)


def test_old_bytes_become_the_newest_model() -> None:
    """A new field has its default, a dropped one is gone, a symbol that is not known any more is UNKNOWN."""
    old, new = version(1), version(2, count=None, added={"type": "string", "default": "new"}, total={"type": "double"})
    before = models(old)
    writer = Schemas({7: old}, {"hub.town.Thing": before["Thing"].from_dict})
    both = Schemas({7: old, 8: new}, {"hub.town.Thing": models(old, new)["Thing"].from_dict})
    found = both.decode(writer.encode(before["Thing"](count=3, text="kept", total=5)))
    assert (found.text, found.added, found.total) == ("kept", "new", 5.0)
    assert not hasattr(found, "count")
    assert both.id_of("hub.town.Thing") == 8
    assert both.numbers("hub.town.Thing") == {1: 7, 2: 8}


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("S103", {"text": {"doc": ""}}),
        ("S104", {"text": {"privacy": "secret"}}),
        ("S105", {"more": {"type": "string"}}),
        ("S100", {"flag": {"default": 0}}),
        ("S105", {"words": {"default": ["a"]}}),
        ("S107", {"more": {"type": ["string", "null"], "default": ""}}),
        ("S107", {"more": {"type": "Link", "default": {}}}),
        ("S108", {"more": {"type": {"type": "array", "items": "null"}, "default": []}}),
        ("S109", {"more": {"type": {"type": "map", "values": "string"}, "default": {}}}),
        ("S109", {"more": {"type": "bytes", "default": ""}}),
        ("S109", {"more": {"type": {"type": "int", "logicalType": "time-millis"}, "default": 0}}),
        ("S109", {"more": {"type": ["null", "bytes"], "default": None}}),
        ("S110", {"class": {"type": "string", "default": ""}}),
        ("S110", {"camelCase": {"type": "string", "default": ""}}),
        ("S111", {"text": {"pattern": "(", "default": ""}}),
        ("S111", {"text": {"pattern": "[0-9]"}}),
        ("S111", {"count": {"maxLength": 3}}),
        ("S111", {"text": {"maxLength": 0}}),
        ("S112", {"more": {"type": {"type": "array", "items": "Thing"}, "default": []}}),
    ],
)
def test_each_rule_finds_what_breaks_it(code: str, changes: dict[str, Any]) -> None:
    """One finding, with its path and code."""
    found = list(lint(version(**changes)))
    assert {code} == {word for line in found for word in re.findall(r"\bS\d{3}\b", line)}
    assert all(line.startswith("schemas/town/Thing/v1.avsc: ") for line in found)


def test_what_is_no_schema_is_one_finding() -> None:
    """Whatever is missing in it."""
    for broken in ({"type": "array"}, {"type": "record", "name": "X"}, "nothing", {"type": "enum", "name": "E"}):
        found = list(lint(version(text={"type": broken})))
        assert [line.split()[1] for line in found] == ["S100"]


@pytest.mark.parametrize(
    "path", ["Thing/v1.avsc", "town/Thing/v0.avsc", "town/Thing/v٣.avsc", "town/thing/v1.avsc", "town/Thing/v1.json"]
)
def test_a_file_in_the_wrong_place_is_told(path: str) -> None:
    """A version is found by its path."""
    with pytest.raises(BrokenSchema, match="the path is not"):
        parse(path, json.dumps(schema()))


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, '{"type": "record"}', b"\xff", b"\xfe\xff"])
def test_a_file_that_holds_something_else_is_told(text: str | bytes) -> None:
    """With its path."""
    with pytest.raises(BrokenSchema, match="town/Thing/v1.avsc"):
        parse("town/Thing/v1.avsc", text)


def test_compatibility_is_between_all_versions() -> None:
    """Not only between neighbours, and in both directions."""
    first = version(1)
    assert list(breaks([first, version(2, added={"type": "string", "default": ""}, count=None)])) == []
    found = list(breaks([first, version(2, text=None), version(3, text={"type": "long", "default": 0})]))
    assert {line.partition(": ")[2] for line in found} == {
        "S301 v3 cannot read v1: Thing.text: string became long",
        "S301 v1 cannot read v3: Thing.text: long became string",
    }


def test_a_bound_never_becomes_narrower() -> None:
    """Events that are in the topic stay readable."""
    narrow, other = version(2, short={"maxLength": 2}), version(2, text={"pattern": "^a$"})
    wide = version(2, short={"maxLength": 30})
    for later, why in ((narrow, "Thing.short: maxLength became smaller"), (other, "Thing.text: another pattern")):
        assert list(breaks([version(1), later])) == [f"{later.path}: S302 v2 refuses what v1 took: {why}"]
    assert list(breaks([version(1), wide])) == []


def test_the_lock_has_neither_gaps_nor_doubles() -> None:
    """An id is one version's for ever; versions are counted."""
    assert any("S204" in line for line in check(extend({}, [version(2)]), [version(2)]))
    doubled = {key(found): Locked(1, found.fingerprint) for found in (version(1), version(2))}
    assert sum("S205" in line for line in check(doubled, [version(1), version(2)])) == 2
    assert any("S201" in line for line in check({}, [version(1)]))
    locked = extend({}, [version(1)])
    assert locked == read(write(locked))


@pytest.mark.parametrize("text", ["<<<<<<< HEAD", "[x]", "x = 1", '[x]\nid = "1"\nfingerprint = ""', "id = true"])
def test_a_lock_after_a_bad_merge_is_told(text: str) -> None:
    """With what puts it right."""
    with pytest.raises(BrokenSchema, match=r"schemas/lock.toml: not a lock .*; take it from its history"):
        read(text)


def test_one_name_means_one_thing_in_a_domain() -> None:
    """Two records of a domain may share a nested type, not just its name."""
    other = json.loads(json.dumps(schema()).replace('"Thing"', '"Other"').replace('"SELF"', '"SOMEBODY"'))
    with pytest.raises(BrokenSchema, match="defined otherwise"):
        module("town", [version(), parse("schemas/town/Other/v1.avsc", json.dumps(other))])

"""An `.avsc` file as a value, with what the hub asks of it beyond Avro."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_PATH = re.compile(
    r"(?:^|/)(?P<domain>[a-z][a-z0-9_]*)/(?P<name>[A-Z][A-Za-z0-9]*)/v(?P<number>[1-9][0-9]{0,3})\.avsc\Z", re.ASCII
)


class BrokenSchema(Exception):
    """A schema file is not what the hub can use; the text names file, field and remedy."""


@dataclass(frozen=True)
class Version:
    """One published or new version of a record."""

    path: str
    domain: str
    name: str
    number: int
    schema: Mapping[str, Any]

    @property
    def full_name(self) -> str:
        """Return the Avro full name: registry subject and CloudEvents type."""
        return f"hub.{self.domain}.{self.name}"

    @property
    def audience(self) -> str:
        """Return who the record is about."""
        return str(self.schema["audience"])

    @property
    def fingerprint(self) -> str:
        """Return SHA-256 of the whole file, normalised.

        Not Avro's canonical form: that drops defaults, docs and privacy classes, and each of them is a promise.
        """
        text = json.dumps(self.schema, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def parse(path: str, text: str | bytes) -> Version:
    """Read `<domain>/<Record>/v<N>.avsc`; raise `BrokenSchema`."""
    found = _PATH.search(path)
    if found is None:
        raise BrokenSchema(f"{path}: the path is not <domain>/<Record>/v<N>.avsc")
    domain, name, number = found["domain"], found["name"], int(found["number"])
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BrokenSchema(f"{path}: not JSON: {error}") from None
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise BrokenSchema(f"{path}: not a record")
    for key, expected in (("name", name), ("namespace", f"hub.{domain}"), ("domain", domain)):
        if schema.get(key) != expected:
            raise BrokenSchema(f"{path}: {key}: is not {expected!r}; correct it or move the file")
    if schema.get("audience") not in ("person", "public", "clerk", "command", "result", "control"):
        raise BrokenSchema(f"{path}: audience: not one of person, public, clerk, command, result, control")
    if not isinstance(schema.get("fields"), list):
        raise BrokenSchema(f"{path}: fields: missing")
    return Version(path, domain, name, number, schema)


def named_types(node: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every record and enum that a schema defines, outermost last."""
    if isinstance(node, list):
        for branch in node:
            yield from named_types(branch)
    elif isinstance(node, dict):
        kind = node.get("type")
        if kind == "record":
            for field in node["fields"]:
                yield from named_types(field["type"])
            yield node
        elif kind == "enum":
            yield node
        elif kind == "array":
            yield from named_types(node["items"])
        elif isinstance(kind, dict | list):
            yield from named_types(kind)

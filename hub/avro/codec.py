"""Canonical payloads to bytes and back, in the Confluent wire format.

The frame: one byte 0, the schema id as four bytes big-endian, the Avro body.  Avro has no checksum,
so the reader refuses what is too large, unknown, or longer than its schema says.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import fastavro

from hub.avro.compiled import Write, writer
from hub.avro.parse import Version
from hub.avro.strict import Check, misfit
from hub.model.errors import Undecodable, Unencodable
from hub.model.event import Payload

LARGEST = 1024 * 1024
"""Bytes of a framed value at most."""


class _Known(NamedTuple):
    version: Version
    parsed: Any
    frame: bytes
    misfit: Check


class _Compiled(NamedTuple):
    frame: bytes
    write: Write
    known: _Known


class Schemas:
    """All schemas with their ids: the codec of the path and the contents of the registry."""

    def __init__(self, versions: Mapping[int, Version], models: Mapping[str, Callable[[dict[str, Any]], Any]]) -> None:
        """`versions` by schema id; `models` gives `from_dict` of each record's newest model by full name."""
        self._by_id = {number: _know(number, version) for number, version in versions.items()}
        self._newest: dict[str, int] = {}
        self._numbers: dict[str, dict[int, int]] = {}
        for number, version in sorted(versions.items(), key=lambda item: item[1].number):
            self._newest[version.full_name] = number
            self._numbers.setdefault(version.full_name, {})[version.number] = number
        self._models = models
        self._compiled: dict[str, _Compiled] = {}

    def encode(self, payload: Payload) -> bytes:
        """Frame a payload; raise `Unencodable` naming the fields that do not fit their schema."""
        known = self._compiled.get(payload.TYPE) or self._compile(payload.TYPE)
        try:
            value = known.frame + known.write(payload)
        except Exception:
            value = self._slowly(known.known, payload)
        if len(value) > LARGEST:
            raise Unencodable("larger than an event can be")
        return value

    def _compile(self, full_name: str) -> _Compiled:
        number = self._newest.get(full_name)
        if number is None:
            raise Unencodable(f"no schema {full_name}")
        known = self._by_id[number]
        made = self._compiled[full_name] = _Compiled(known.frame, writer(known.version.schema), known)
        return made

    @staticmethod
    def _slowly(known: _Known, payload: Payload) -> bytes:
        """Frame what the compiled writer does not take, or say which field does not fit."""
        try:
            data = payload.as_dict()
        except Exception:
            raise Unencodable("a record within it is not one") from None
        wrong = known.misfit(data)
        if wrong is not None:
            raise Unencodable("against the schema", fields=(wrong.removeprefix("."),))
        out = io.BytesIO()
        out.write(known.frame)
        try:
            fastavro.schemaless_writer(out, known.parsed, data)
        except Exception:
            # fastavro's text quotes the value.
            raise Unencodable("against the schema") from None
        return out.getvalue()

    def decode(self, value: bytes) -> Any:
        """Read a framed value into its newest model; raise `Undecodable` for anything else."""
        if len(value) > LARGEST:
            raise Undecodable("larger than an event can be")
        if len(value) < 5 or value[0] != 0:
            raise Undecodable("not in the Confluent wire format")
        known = self._by_id.get(int.from_bytes(value[1:5], "big"))
        if known is None:
            raise Undecodable("a schema id that is not in the registry")
        body = io.BytesIO(value)
        body.seek(5)
        newest = self._by_id[self._newest[known.version.full_name]]
        try:
            data = fastavro.schemaless_reader(body, known.parsed, None if newest is known else newest.parsed)
            if body.tell() != len(value):
                raise Undecodable("bytes left over")
            if newest.misfit(data) is not None:
                raise Undecodable("not within the bounds of its schema")
            return self._models[known.version.full_name](data)
        except Undecodable:
            raise
        except Exception:
            raise Undecodable("not of its schema") from None

    def id_of(self, full_name: str) -> int:
        """Return the id of the newest version of a record; KeyError if there is none."""
        return self._newest[full_name]

    def model(self, full_name: str) -> Callable[[dict[str, Any]], Any]:
        """Return what builds a record's newest model from plain data; KeyError if there is none."""
        return self._models[full_name]

    def names(self, audience: str | None = None) -> list[str]:
        """Return full names of records, all or of one audience."""
        return sorted(
            name
            for name, number in self._newest.items()
            if audience is None or self._by_id[number].version.audience == audience
        )

    def domains(self, *audiences: str) -> list[str]:
        """Return the domains that have records of one of the audiences."""
        return sorted({name.split(".")[1] for audience in audiences for name in self.names(audience)})

    def version(self, number: int) -> Version:
        """Return the version under an id; KeyError if there is none."""
        return self._by_id[number].version

    def numbers(self, full_name: str) -> Mapping[int, int]:
        """Return version number to schema id of a record; KeyError if there is none."""
        return self._numbers[full_name]

    def ids(self) -> Iterable[int]:
        """Return all ids."""
        return sorted(self._by_id)


def _know(number: int, version: Version) -> _Known:
    parsed = fastavro.parse_schema(dict(version.schema), named_schemas={})
    return _Known(version, parsed, b"\x00" + number.to_bytes(4, "big"), misfit(version.schema))

"""Bytes to plain objects, by content type; the only exceptions are `Undecodable` and `TooLarge`.

What vendors declare is not what they send: XML that declares ISO-8859-1 is often UTF-8, and an
error page in HTML comes with status 200.
"""

from __future__ import annotations

import csv as _csv
import json as _json
import re
from collections.abc import Callable, Mapping
from io import StringIO
from typing import Any, NoReturn
from xml.parsers.expat import ExpatError

import xmltodict
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from google.transit.gtfs_realtime_pb2 import FeedMessage

from hub.model.errors import TooLarge, Undecodable

LARGEST = 4 * 1024 * 1024
"""Bytes of a record that are decoded at most; Kafka's own limit is below it."""

DEEPEST = 64
"""Nesting of a document at most: deeper ones are attacks, and recursion has its price."""

_HTML = re.compile(rb"^\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html[\s>])", re.IGNORECASE | re.DOTALL)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def json(data: bytes) -> Any:
    """Parse JSON strictly: no NaN, no nesting beyond `DEEPEST`."""
    _check(data)
    try:
        document = _json.loads(data, parse_constant=_no_constant)
    except RecursionError:
        raise Undecodable("JSON is nested too deeply") from None
    except ValueError:
        # Neither the parser's text nor its exception goes on: both quote the input.
        raise Undecodable("not JSON") from None
    if _deeper(document, DEEPEST):
        raise Undecodable("JSON is nested too deeply")
    return document


def plain(data: bytes) -> bool:
    """Tell whether any parser of JSON would do: small, flat enough whatever it says, and without the words it lacks.

    A validator that parses by itself is twice as fast; what is not plain goes through `json`, whose checks it lacks.
    """
    return (
        len(data) <= LARGEST
        and data.count(b"{") + data.count(b"[") <= DEEPEST
        and b"NaN" not in data
        and b"Infinity" not in data
    )


def xml(data: bytes) -> dict[str, Any]:
    """Parse XML to a dict: `@name` for attributes, a list where an element repeats, None where it is empty.

    UTF-8 wins over the declared encoding whenever the bytes are valid UTF-8; entities are refused.
    """
    _check(data)
    encoding = None
    if not data.startswith(_UTF16):
        try:
            data.decode("utf-8")
            encoding = "utf-8"
        except UnicodeDecodeError:
            pass
    try:
        document = xmltodict.parse(data, encoding=encoding)
    except (ExpatError, ValueError, LookupError):
        raise Undecodable("not well-formed XML") from None
    except RecursionError:
        raise Undecodable("XML is nested too deeply") from None
    if _deeper(document, DEEPEST):
        raise Undecodable("XML is nested too deeply")
    return document


def text(data: bytes) -> str:
    """Read text: by its byte order mark, else UTF-8 if it is that, else ISO-8859-1."""
    _check(data)
    return characters(data)[0]


def ibm850(data: bytes) -> str:
    """Read text of a machine of the 1980s: each byte is a character, so that the bytes can be had back."""
    _check(data)
    return data.decode("cp850")


def characters(data: bytes) -> tuple[str, str]:
    """Read text, and name the encoding by which it was read."""
    encoding = "utf-8-sig" if data.startswith(b"\xef\xbb\xbf") else "utf-16" if data.startswith(_UTF16) else "utf-8"
    try:
        return data.decode(encoding), encoding
    except UnicodeDecodeError:
        if encoding != "utf-8":
            raise Undecodable("not what its byte order mark says") from None
        return data.decode("iso-8859-1"), "iso-8859-1"


def csv(data: bytes) -> dict[str, Any]:
    """Read a table: `columns`, and `rows` as dicts by column; the separator is the one that the header holds most of.

    Names and cells lose the white space around them; a line without anything is no row.  A row with more cells than
    there are columns has them under `""`; one with fewer lacks those columns.
    """
    written = text(data)
    separator = max(";,\t|", key=written.partition("\n")[0].count)
    try:
        table = list(_csv.reader(StringIO(written, newline=""), delimiter=separator, strict=True))
    except _csv.Error:
        raise Undecodable("not CSV") from None
    columns = [name.strip() for name in table[0]] if table else []
    if not any(columns):
        raise Undecodable("no header")
    if len(set(columns)) < len(columns):
        raise Undecodable("two columns of the same name")
    rows: list[dict[str, Any]] = []
    for cells in table[1:]:
        if any(cell.strip() for cell in cells):
            row: dict[str, Any] = {name: cell.strip() for name, cell in zip(columns, cells, strict=False)}
            if more := [cell.strip() for cell in cells[len(columns) :]]:
                row[""] = more
            rows.append(row)
    return {"columns": columns, "rows": rows}


def gtfs_realtime(data: bytes) -> dict[str, Any]:
    """Parse a GTFS-Realtime `FeedMessage`: field names as in the specification, 64-bit numbers as text."""
    _check(data)
    message = FeedMessage()
    try:
        message.ParseFromString(data)
        document: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    except (DecodeError, ValueError, RecursionError):
        raise Undecodable("not a GTFS-Realtime message") from None
    return document


DECODERS: Mapping[str, Callable[[bytes], Any]] = {
    "application/json": json,
    "application/xml": xml,
    "application/x-protobuf": gtfs_realtime,
    "text/csv": csv,
    "text/plain": text,
    "text/plain; charset=ibm850": ibm850,
}
"""Content type of a feed to its decoder."""


def page(data: bytes) -> bool:
    """Tell whether this is a page of HTML, whatever was asked for."""
    return _HTML.match(data[:2048]) is not None


def _check(data: bytes) -> None:
    if len(data) > LARGEST:
        raise TooLarge(f"more than {LARGEST} bytes")
    if page(data):
        raise Undecodable("an HTML page")


def _no_constant(_name: str) -> NoReturn:
    raise ValueError("not a JSON number")


def _deeper(document: Any, limit: int) -> bool:
    layer = [document]
    while layer and limit:
        below: list[Any] = []
        for item in layer:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        layer = below
        limit -= 1
    return bool(layer)

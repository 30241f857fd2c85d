"""Bytes to plain objects, by content type; the only exceptions are `Undecodable` and `TooLarge`.

What vendors declare is not what they send: XML that declares ISO-8859-1 is often UTF-8, and an
error page in HTML comes with status 200.
"""

from __future__ import annotations

import json as _json
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn
from xml.parsers.expat import ExpatError

import xmltodict

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


DECODERS: Mapping[str, Callable[[bytes], Any]] = {"application/json": json, "application/xml": xml}
"""Content type of a feed to its decoder."""


def _check(data: bytes) -> None:
    if len(data) > LARGEST:
        raise TooLarge(f"more than {LARGEST} bytes")
    if _HTML.match(data[:2048]):
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

"""SOAP 1.1: a request around an element, and the element inside of an answer, whatever prefixes the vendor chose."""

from __future__ import annotations

import re
from typing import Any

from hub.model.errors import Rejected, VendorError
from hub.pipeline.decode import xml

HEADERS = {"Content-Type": "text/xml; charset=utf-8"}
"""Of a request; its `SOAPAction` comes beside them."""


_REFUSED = re.compile(rb"<faultcode[^>]*>\s*[\w.-]+:(?:FailedAuthentication|FailedCheck|InvalidSecurityToken)\s*<")


def envelope(inner: str) -> bytes:
    """Wrap an element, escaped already, as the body of a request."""
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/">'
        f"<soap:Body>{inner}</soap:Body></soap:Envelope>"
    ).encode()


def body(document: Any) -> Any:
    """Take the contents of the body, names bare; a document without an envelope is its own body.

    A fault is the vendor's error, even where its HTTP status is 200.
    """
    plain = bare(document)
    inner = plain.get("Envelope", plain) if isinstance(plain, dict) else plain
    if isinstance(inner, dict):
        inner = inner.get("Body", inner)
    if isinstance(inner, dict) and "Fault" in inner:
        raise VendorError("a SOAP fault", fields=("Fault",))
    return inner


def answers(data: bytes) -> bool:
    """Tell whether this says something: XML that is whole, and no fault."""
    try:
        body(xml(data))
    except Rejected:
        return False
    return True


def refuses(data: bytes) -> bool:
    """Tell whether this is a fault about credentials, by the codes of WS-Security."""
    return _REFUSED.search(data) is not None


def bare(node: Any) -> Any:
    """Write names without prefix and without the mark of attributes, and drop what only XML itself needs.

    Attributes with a prefix go (`xsi:type`, `xsi:nil`, an encoding style): an element that has nothing else is its
    text, or None.
    """
    if isinstance(node, list):
        return [bare(item) for item in node]
    if not isinstance(node, dict):
        return node
    plain = {
        str(name).lstrip("@").rpartition(":")[2]: bare(inner)
        for name, inner in node.items()
        if not str(name).startswith("@xmlns") and not (str(name).startswith("@") and ":" in str(name))
    }
    return plain.get("#text") if plain.keys() <= {"#text"} else plain

"""Decoding tells what the bytes really are, and nothing of what they hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.model.errors import Rejected, TooLarge, Undecodable
from hub.pipeline.decode import DECODERS, LARGEST, json, xml


def test_utf8_wins_over_a_wrong_declaration() -> None:
    """XML that declares ISO-8859-1 and is UTF-8 keeps its accents."""
    data = '<?xml version="1.0" encoding="ISO-8859-1"?><a>Étienne</a>'.encode()
    assert xml(data) == {"a": "Étienne"}


def test_a_true_declaration_is_believed() -> None:
    """XML in the ISO-8859-1 that it declares is read as such."""
    assert xml('<?xml version="1.0" encoding="ISO-8859-1"?><a>Étienne</a>'.encode("latin-1")) == {"a": "Étienne"}


def test_utf16_is_left_to_its_mark() -> None:
    """A byte order mark of UTF-16 decides."""
    assert xml('<?xml version="1.0" encoding="UTF-16"?><a>é</a>'.encode("utf-16")) == {"a": "é"}


@pytest.mark.parametrize("decode", DECODERS.values())
@pytest.mark.parametrize("page", [b"<!DOCTYPE html><p>503", b"\n<html lang='fr'><body/></html>", b"<!-- x --><HTML>"])
def test_an_html_page_is_named(decode, page: bytes) -> None:  # type: ignore[no-untyped-def]
    """An error page with status 200 is told as one."""
    with pytest.raises(Undecodable, match="HTML page"):
        decode(page)


def test_entities_are_refused() -> None:
    """A document that declares entities is refused before it grows."""
    bomb = b'<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>'
    with pytest.raises(Undecodable):
        xml(bomb)


@pytest.mark.parametrize("data", [b"[" * 100 + b"]" * 100, b"[" * 100_000, b"NaN", b'{"a": Infinity}', b"", b"\xff"])
def test_odd_json_is_refused(data: bytes) -> None:
    """Deep, endless or extended JSON is undecodable."""
    with pytest.raises(Undecodable):
        json(data)


def test_deep_xml_is_refused() -> None:
    """Nesting is bounded."""
    with pytest.raises(Undecodable):
        xml(b"<a>" * 5000 + b"</a>" * 5000)


def test_size_is_bounded() -> None:
    """More bytes than the hub accepts are refused unread."""
    with pytest.raises(TooLarge):
        json(b" " * (LARGEST + 1))


@given(st.binary() | st.text().map(str.encode))
def test_decoding_only_raises_rejected(data: bytes) -> None:
    """Any bytes decode or are rejected."""
    for decode in DECODERS.values():
        try:
            decode(data)
        except Rejected:
            pass

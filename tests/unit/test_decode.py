"""Decoding tells what the bytes really are, and nothing of what they hold."""

from __future__ import annotations

import pytest
from google.transit.gtfs_realtime_pb2 import Alert, FeedMessage
from hypothesis import given
from hypothesis import strategies as st

from hub.model.errors import Rejected, TooLarge, Undecodable
from hub.pipeline.decode import DECODERS, LARGEST, csv, gtfs_realtime, json, xml


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


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_a_table_is_read_whatever_wrote_it(encoding: str, separator: str) -> None:
    """Encoding and separator are what the bytes show; white space around names and cells is not theirs."""
    lines = (("nom ", " modèle_économique"), ("Forêt", " é "), ("", ""), ("seul",))
    data = "\r\n".join(separator.join(line) for line in lines).encode(encoding)
    found = csv(data)
    assert found["columns"] == ["nom", "modèle_économique"]
    assert found["rows"] == [{"nom": "Forêt", "modèle_économique": "é"}, {"nom": "seul"}]


def test_a_cell_too_many_is_kept_apart() -> None:
    """A separator inside an unquoted text must not move the columns silently."""
    assert csv(b"a,b\n1,2,3\n")["rows"] == [{"a": "1", "b": "2", "": ["3"]}]


@pytest.mark.parametrize("data", [b"", b"\n", b"a;a\n", b'a;b\n"1;2', b"\xff\xfea"])
def test_what_is_no_table_is_refused(data: bytes) -> None:
    """No header, a column twice, an open quote, half a character of UTF-16."""
    with pytest.raises(Undecodable):
        csv(data)


def test_a_realtime_feed_is_read_by_the_names_of_its_specification() -> None:
    """Garbage is refused, and an enum is told by name."""
    message = FeedMessage()
    message.header.gtfs_realtime_version = "2.0"
    message.entity.add(id="1").alert.effect = Alert.DETOUR
    assert gtfs_realtime(message.SerializeToString())["entity"] == [{"id": "1", "alert": {"effect": "DETOUR"}}]
    with pytest.raises(Undecodable):
        gtfs_realtime(b"\x0a\xff")

"""A publication is taken apart once, and never half."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest

from connectors.sources.transport.gtfs import source
from hub.model.errors import Transient
from hub.model.intake import Answer, Checkpoint, Emit, Get

TABLES = {
    "routes.txt": "route_id\n1\n",
    "stops.txt": "stop_id\n1\n",
    "trips.txt": "x\n",
    "calendar.txt": "service_id\n1\n",
}


def packed(tables: dict[str, str]) -> bytes:
    """Pack a publication."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in tables.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return made.getvalue()


def poll(body: bytes, cursor: dict[str, Any]) -> tuple[list[Emit], dict[str, Any]]:
    """Poll once."""
    written: list[Emit] = []
    answer: Any = None
    work = source.poll(cursor, {"path": "/gtfs.zip"})
    try:
        while True:
            wish = work.send(answer)
            answer = Answer(200, {"x-request-id": "r"}, body, 1) if isinstance(wish, Get) else None
            if isinstance(wish, Emit):
                written.append(wish)
            elif isinstance(wish, Checkpoint):
                cursor = dict(wish.cursor)
    except StopIteration:
        return written, cursor


def test_the_same_publication_is_taken_apart_once() -> None:
    """In a folder or not; each table has its own key, and its own name of the answer."""
    written, cursor = poll(packed({f"export/{name}": text for name, text in TABLES.items()}), {})
    assert [(wish.feed, wish.key, wish.answer) for wish in written] == [
        ("lines", "gtfs:lines", "r:1"),
        ("stops", "gtfs:stops", "r:2"),
        ("services", "gtfs:calendar", "r:3"),
    ]
    assert poll(packed({f"export/{name}": text for name, text in TABLES.items()}), cursor)[0] == []
    assert len(poll(packed({**TABLES, "stops.txt": "stop_id\n2\n"}), cursor)[0]) == 3


@pytest.mark.parametrize(
    "body",
    [packed(TABLES)[:-30], b"<html></html>", packed({"stops.txt": "stop_id\n"}), packed(TABLES)[:40] + b"x" * 400],
)
def test_what_is_no_publication_is_not_compared_with_one(body: bytes) -> None:
    """Cut, a page, without lines, or broken within: nothing is written, and nothing seems to be removed."""
    with pytest.raises(Transient):
        poll(body, {})

"""A product that says words: the smallest connector with which the laws of parking can be tried."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from pydantic import BaseModel

from hub.model.connector import Connector, Context, Feed, FeedManifest, Manifest, OnReject, Stability
from hub.model.errors import Unmappable
from hub.model.event import Fact
from hub.model.record import Origin, Record

GOOD, BAD = b'{"word":"%d"}', b"{"
KEYS = (b"a", b"b", b"c")


@dataclass(frozen=True, slots=True)
class Said:
    """A payload that needs no schema."""

    word: str
    TYPE: ClassVar[str] = "hub.test.Said"
    DOMAIN: ClassVar[str] = "test"
    AUDIENCE: ClassVar[str] = "person"


class Word(BaseModel):
    """What the test product sends."""

    word: str


class Plain:
    """Encodes a payload as its word."""

    def encode(self, payload: Any) -> bytes:
        """Return the word."""
        return str(payload.word).encode()


def stateless(doc: Word, at: Context) -> Iterable[Fact]:
    """Say each word."""
    return [Fact(Said(doc.word), at.key, at.read_at, doc.word)]


def unable(doc: Word, at: Context) -> Iterable[Fact]:
    """Say each word but one, as an older mapping did."""
    if doc.word == "3":
        raise Unmappable("not known yet", fields=("word",))
    return stateless(doc, at)


def remembering(previous: Any, doc: Word, at: Context) -> Any:
    """Say a word only when it is another than the last."""
    if previous is not None and previous["word"] == doc.word:
        return previous, "unchanged"
    return {"word": doc.word}, [Fact(Said(doc.word), at.key, at.read_at, doc.word)]


def connector(*, memory: bool = False, on_reject: OnReject = OnReject.PARK, old: bool = False) -> Connector:
    """Make a product with one feed; `old`: with a mapping that cannot say everything."""
    mapping = remembering if memory else unable if old else stateless
    manifest = FeedManifest(
        summary="words",
        style="poll",
        content_type="application/json",
        model="Word",
        key="speaker",
        memory=memory,
        on_reject=on_reject,
        emits=("Said",),
    )
    return Connector(
        "test",
        "test",
        Manifest(
            summary="test",
            vendor="us",
            owner="us",
            stability=Stability.STABLE,
            revision=1,
            feeds={"words": manifest},
        ),
        {"words": Feed("words", manifest, Word, mapping)},
    )


def record(offset: int, key: bytes, value: bytes) -> Record:
    """Lay one word down at an offset."""
    moment = int(datetime(2026, 3, 10, tzinfo=UTC).timestamp() * 1000)
    return Record("test", "words", key, value, f"raw-{offset}", moment, Origin("raw.test", 1, 0, offset))

"""Look for what leaves the pure path: garbled records, calls and answers, by the million.

    python -m hub.testing.fuzz --inputs 1000000 --seed 7      everything, on both cores
    python -m hub.testing.fuzz --seed 7 --number 4711         input 4711 of seed 7 alone

Input N of seed S depends on S and N only.  Laws: any bytes give at least one decision, the same one twice;
no exception; no `bug`, unless the hub's own memory was forged; an event is what its bytes say; a detail is
made of our own words; nothing takes a second.
"""

from __future__ import annotations

import base64
import binascii
import builtins
import hashlib
import json
import multiprocessing
import re
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, get_args

import click
import httpx
from pydantic import ValidationError
from pydantic_core.core_schema import ErrorType

from hub import catalogue
from hub.avro.codec import LARGEST
from hub.model.connector import Connector
from hub.model.decision import Deliver, Outcome, Quarantine, Skip
from hub.model.errors import Code, Denied, Rejected, Transient
from hub.model.intake import Answer, Call, Checkpoint, Emit, Exchange, Keep, Line, Refusal, Request, Subjects
from hub.model.record import Header, Record
from hub.pipeline import decode
from hub.pipeline.process import LARGEST_MEMORY, LONGEST_SUBJECT, process
from hub.testing.samples import READ_AT, Sample, record, samples

FOLDER = Path(".hub/fuzz")
"""Where failing bytes are kept."""

SLOW = 5.0
"""Seconds of CPU that no input may take: a sign of work that grows out of bounds, not a measure of speed."""

HUNG = 20.0
"""Seconds of CPU after which an input is given up."""

MEMORY = 1024 * 1024 * 1024
"""Bytes of address space of a worker: what needs more fails."""

CALLS, POLLS = 8, 16
"""One number in so many is a webhook call, and a poll, as well."""

WISHES = 120
"""Wishes after which a poll is abandoned, as any may be at any wish."""

CHUNK = 2000

NOW = int(READ_AT.timestamp() * 1000)

ODD: Sequence[Any] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**30, 10**400, 0.1, -0.0, 1e308,
    float("nan"), float("inf"), float("-inf"), "", " ", "\x00", "\ud800", "\udfff\ud800", "é", "e\u0301", "𝒜", "\u202e",
    "٣", "٢٠٢٦-٠٣-١٠", "null", "0", "-1", "1e999", "NaN", "9" * 5000, "a" * 300, "a" * 70_000, "a@b.fr", "%00",
    "../..", "{}",
    "2026-13-01", "2026-02-30", "2026-00-00", "0000-00-00", "0000-01-01", "0001-01-01", "9999-12-31", "10000-01-01",
    "2026-03-29 02:30:00", "2026-10-25 02:30:00", "2026-03-29T02:30:00", "2026-03-29T02:30:00Z", "29/03/2026 02:30",
    "2026-10-25T02:30:00+00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59",
    "2026-03-10T24:00:00Z", "2026-03-10T23:59:60Z", "2026-03-10T12:00:00+99:99", "2026-03-10T12:00:00.123456789Z",
    "2026-W11-2", "20260310", "2026-069", "31/12/2050 23:59", "00/00/2026 00:00", "31/02/2026 25:61", "1900-01-01",
    "2199-12-31T23:59:59-23:59", "2026-03-10T12:00:00-23:59", "2000-01-01T00:00:00+23:59", "2099-12-31T23:59:59-23:59",
    [], {}, [[]], [None], {"": None}, {"id": None}, [[[[[[[[]]]]]]]], ["a", 1, None], {"@xsi:nil": "true"},
    {"#text": "x"},
)  # fmt: skip
"""Values that somebody once sent somewhere, or will."""

TAILS: Sequence[bytes] = (
    b"\x00", b"\xff", b"\xc3", b"\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\xff\xfe", b"\r\n",
    b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"[" * 70, b"[" * 100_000, b'{"a":' * 30_000, b"<a>" * 70,
    b"<a>" * 20_000,
    b"<!DOCTYPE html><html>", b"<!--" * 500, b"\\ud800", b"\\u0000", b"&#0;", b"&#xD800;", b"&lt;", b"]]>",
    b"<![CDATA[",
    b'<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>', b'<?xml version="1.1"?>',
    b'<?xml version="1.0" encoding="UTF-7"?>', b'<?xml version="1.0" encoding="no-such"?>',
    b'<?xml version="1.0" encoding="rot13"?>', b'<?xml version="1.0" encoding="EBCDIC-CP-FR"?>',
    b"sha256:" + b"0" * 64 + b" 1",
)  # fmt: skip
"""Bytes that are put in somewhere."""


def _laughs() -> bytes:
    entities = b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 12))
    return b'<!DOCTYPE a [<!ENTITY l0 "lol">' + entities + b"]><a>&l11;</a>"


class Escape(Exception):
    """A law does not hold; the text says which."""


class Hung(BaseException):
    """An input took so long that it was given up."""


class Input(NamedTuple):
    """What `process` is handed."""

    record: Record
    connector: Connector
    state: bytes | None
    forged: bool
    """Whether the state was never written by the hub: then `bug` is the right word, and a loud one."""


@dataclass
class Seen:
    """What was counted."""

    inputs: Counter[str] = field(default_factory=Counter)
    """By product."""
    decisions: Counter[str] = field(default_factory=Counter)
    """By kind, and by code of a quarantine."""
    calls: Counter[str] = field(default_factory=Counter)
    polls: Counter[str] = field(default_factory=Counter)
    escapes: list[str] = field(default_factory=list)
    slowest: float = 0.0
    memory: int = 0
    """Peak of a worker, bytes."""

    def add(self, other: Seen) -> None:
        """Take another's counts in."""
        self.inputs += other.inputs
        self.decisions += other.decisions
        self.calls += other.calls
        self.polls += other.polls
        self.escapes += other.escapes
        self.slowest = max(self.slowest, other.slowest)
        self.memory = max(self.memory, other.memory)


# What is mutated


class Corpus:
    """Samples of every connector, their parts, and the states that chains of records leave behind."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.connectors = list(catalogue.connectors().values())
        self.samples: dict[str, list[Sample]] = {c.product: list(samples(c)) for c in self.connectors}
        self.values = [s.record.value or b"" for c in self.connectors for s in self.samples[c.product]]
        self.parts = {c.product: list(_parts(self.samples[c.product])) for c in self.connectors}
        self.states = {(c.product, feed): list(self._chains(c, feed)) for c in self.connectors for feed in c.feeds}
        """By product and feed: what feeds remember apart, under keys of their own, is never another's."""
        self.all_states = [state for states in self.states.values() for state in states]

    def _chains(self, connector: Connector, feed: str) -> Iterator[bytes]:
        memory = connector.feeds[feed].manifest.memory
        remembering = [s for s in self.samples[connector.product] if memory and s.feed == feed]
        rng = Random(f"{self.seed}:states:{connector.product}:{feed}")
        for _ in range(80 if remembering else 0):
            state = rng.choice(remembering).previous
            read_at = NOW - rng.randrange(10**8)
            for _ in range(rng.randint(1, 5)):
                sample = rng.choice(remembering)
                value = sample.record.value or b""
                if rng.random() < 0.5:
                    value = structured(rng, value)
                read_at += rng.randrange(10**7)
                said = sample.record._replace(value=value, read_at=read_at)
                outcome = process(said, connector, catalogue.schemas(), state)
                state = outcome.state if outcome.state is not None else state
            if state is not None:
                yield state


def _parts(found: Iterable[Sample]) -> Iterator[Any]:
    for sample in found:
        try:
            document = json.loads(sample.record.value or b"")
        except ValueError:
            continue
        for _, _, value in _places(document):
            if isinstance(value, dict | list):
                yield value


@cache
def corpus(seed: int) -> Corpus:
    """Make the corpus of a seed."""
    return Corpus(seed)


# Mutators of bytes


def garbled(rng: Random, value: bytes, others: Sequence[bytes]) -> bytes:
    """Change bytes without regard to what they mean."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        value = rng.choice(BYTES)(rng, value, others)
    return value


def _flip(rng: Random, value: bytes, _others: Sequence[bytes]) -> bytes:
    data = bytearray(value)
    for _ in range(rng.choice((1, 1, 2, 8)) if data else 0):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def _put(rng: Random, value: bytes, _: Sequence[bytes]) -> bytes:
    at = rng.randint(0, len(value))
    return value[:at] + (rng.randbytes(rng.randint(1, 8)) if rng.random() < 0.5 else rng.choice(TAILS)) + value[at:]


def _span(rng: Random, value: bytes) -> tuple[int, int]:
    start = rng.randint(0, len(value))
    return start, min(len(value), start + rng.choice((1, 4, 40, 400)))


def _delete(rng: Random, value: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(rng, value)
    return value[:start] + value[end:]


def _repeat(rng: Random, value: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(rng, value)
    return value[:start] + value[start:end] * rng.choice((2, 3, 50)) + value[end:]


def _cut(rng: Random, value: bytes, _: Sequence[bytes]) -> bytes:
    return value[: rng.randint(0, len(value))]


def _splice(rng: Random, value: bytes, others: Sequence[bytes]) -> bytes:
    other = rng.choice(others)
    return value[: rng.randint(0, len(value))] + other[rng.randint(0, len(other)) :]


def _encode(rng: Random, value: bytes, _: Sequence[bytes]) -> bytes:
    text = value.decode(rng.choice(("utf-8", "latin-1", "utf-16-le")), "replace")
    return text.encode(
        rng.choice(("utf-8-sig", "latin-1", "utf-16", "utf-16-be", "utf-32", "utf-7", "cp1252", "cp037")), "replace"
    )


def _digits(rng: Random, value: bytes, _: Sequence[bytes]) -> bytes:
    found = list(re.finditer(rb"[0-9]+", value))
    if not found:
        return value
    one = rng.choice(found)
    new = rng.choice(
        (b"0", b"00", b"-1", b"13", b"32", b"99", b"2147483648", b"1e999", b"9" * 20, b"9" * 400, b"9" * 5000)
    )
    return value[: one.start()] + new + value[one.end() :]


def _whole(rng: Random, _: bytes, others: Sequence[bytes]) -> bytes:
    return rng.choice(
        (
            b"",
            b" ",
            b"null",
            b"0",
            b'""',
            b"[]",
            b"{}",
            b"<a/>",
            rng.randbytes(40),
            rng.choice(others),
            rng.choice(TAILS),
        )
    )


def _large(rng: Random, value: bytes, _: Sequence[bytes]) -> bytes:
    if rng.random() > 0.02:
        return value
    match rng.randrange(6):
        case 0:
            return value + b" " * (decode.LARGEST + 1)
        case 1:
            return b"[" * 900_000
        case 2:
            return _laughs()
        case 3:
            return b"<a>" * 300_000
        case 4:
            return b"<a " + b" ".join(b'a%d=""' % n for n in range(60_000)) + b"/>"
        case _:
            return value.replace(b",", b"," + b" " * 20_000)[:900_000]


BYTES: Sequence[Callable[[Random, bytes, Sequence[bytes]], bytes]] = (
    _flip, _flip, _put, _put, _delete, _repeat, _cut, _splice, _encode, _digits, _digits, _whole, _large,
)  # fmt: skip


# Mutators that know JSON and XML


def structured(rng: Random, value: bytes) -> bytes:
    """Change what the bytes say, and leave them well-formed most of the time."""
    if value.lstrip()[:1] == b"<":
        for _ in range(rng.choice((1, 1, 2, 4))):
            value = _xml(rng, value)
        return value
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        return _digits(rng, value, ())
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        document = _json(rng, document)
    text = json.dumps(document, ensure_ascii=rng.random() < 0.9, allow_nan=True)
    if rng.random() < 0.05:
        # The same key twice: which one counts must at least be the same each time.
        names = list(re.finditer(r'"[A-Za-z_]+":', text))
        if names:
            name = rng.choice(names)
            text = f"{text[: name.start()]}{name.group()}{json.dumps(_odd(rng))},{text[name.start() :]}"
    return text.encode("utf-8", "surrogatepass")


def _odd(rng: Random) -> Any:
    return rng.choice(ODD)


def _places(document: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Yield (container, key, value) of everything in a document."""
    waiting = [document]
    while waiting:
        inner = waiting.pop()
        for key, value in list(
            inner.items() if isinstance(inner, dict) else enumerate(inner) if isinstance(inner, list) else ()
        ):
            yield inner, key, value
            if isinstance(value, dict | list):
                waiting.append(value)


def _json(rng: Random, document: Any) -> Any:
    document = json.loads(json.dumps(document))
    places = list(_places(document))
    if not places or rng.random() < 0.01:
        return rng.choice((_odd(rng), [document], {"data": document}))
    inner, key, value = rng.choice(places)
    match rng.randrange(12):
        case 0:
            del inner[key]
        case 1 | 2 | 3:
            inner[key] = _odd(rng)
        case 4:
            inner[key] = _another_kind(value)
        case 5 | 6:
            inner[key] = _leaf(rng, value)
        case 7:
            _, _, inner[key] = rng.choice(places)
            document = json.loads(json.dumps(document)) if _finite(document) else None
        case 8 if isinstance(inner, list):
            inner.extend([value] * rng.choice((1, 2, 40)))
        case 8 | 9 if isinstance(inner, dict):
            inner[str(_odd(rng))[:90]] = value
        case 10 if rng.random() < 0.03:
            # What fits Kafka, and is nothing but the same again: each of them may be wrong.
            inner[key] = [rng.choice((value, 0, {}))] * (20_000 if not isinstance(value, dict | list) else 400)
        case _:
            inner[key] = _leaf(rng, value)
    return document


def _finite(document: Any) -> bool:
    """Tell whether a document does not hold itself."""
    try:
        json.dumps(document)
    except (ValueError, RecursionError):
        return False
    return True


def _another_kind(value: Any) -> Any:
    match value:
        case str():
            return [value] if len(value) % 2 else {"#text": value}
        case bool() | None:
            return str(value).lower()
        case int() | float():
            return str(value)
        case list():
            return {str(number): item for number, item in enumerate(value)}
        case _:
            return list(value.items()) if isinstance(value, dict) else [value]


def _leaf(rng: Random, value: Any) -> Any:
    """Change a value a little, so that it is still of its kind."""
    match value:
        case bool():
            return not value
        case int():
            return rng.choice((value + 1, -value, value * 10**9, f"{value}.5"))
        case float():
            return rng.choice((-value, value * 1e3, value // 1))
        case str() if len(value) > 60:
            # A document within the document.
            try:
                inner = base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError):
                inner = b""
            if inner:
                changed = structured(rng, inner) if rng.random() < 0.8 else garbled(rng, inner, (inner,))
                return base64.b64encode(changed).decode()
            return value[: rng.randrange(len(value))]
        case str() if value:
            at = rng.randrange(len(value))
            put = rng.choice(("", "0", "9", "٣", "\u0000", "\ud800", "-", ":", "x", "\n", "é", " "))
            return value[:at] + put + value[at + rng.randint(0, 1) :]
        case _:
            return _odd(rng)


_TAG = re.compile(rb"(<[^>]*>)")


def _xml(rng: Random, value: bytes) -> bytes:
    tokens = _TAG.split(value)
    at = rng.randrange(len(tokens))
    token = tokens[at]
    name = re.match(rb"</?([A-Za-z][\w.-]*)", token)
    if name is None:
        match rng.randrange(5):
            case 0:
                tokens[at] = b"<![CDATA[" + token + b"]]>"
            case 1:
                tokens[at] = b"<!-- " + token.replace(b"-", b"") + b" -->" + token
            case 2:
                tokens[at] = str(_leaf(rng, token.decode("utf-8", "replace"))).encode("utf-8", "replace")
            case _:
                tokens[at] = str(_odd(rng)).encode("utf-8", "replace")
        return b"".join(tokens)
    match rng.randrange(9):
        case 0:
            end = _end(tokens, at, name.group(1))
            del tokens[at : end + 1]
        case 1:
            end = _end(tokens, at, name.group(1))
            most = 2000 if rng.random() < 0.02 else 3
            tokens[at:at] = tokens[at : end + 1] * rng.randint(1, most)
        case 2:
            tokens[at] = token.replace(
                name.group(1), rng.choice((b"error", b"code", b"a", b"x:y", name.group(1).lower())), 1
            )
        case 3:
            tokens[at] = token.rstrip(b"/>") + b' xsi:nil="true" id="1">'
        case 4:
            tokens.insert(0, b'<!DOCTYPE r SYSTEM "file:///etc/passwd">' if rng.random() < 0.5 else b"<!DOCTYPE r>")
        case 5:
            tokens.insert(at, b"<?php x ?>")
        case 6:
            end = _end(tokens, at, name.group(1))
            tokens[at + 1 : end] = [str(_odd(rng)).encode("utf-8", "replace")]
        case 7:
            end = _end(tokens, at, name.group(1))
            deep = rng.choice((1, 30, 70, 3000))
            tokens[at + 1 : end] = [b"<a>" * deep, *tokens[at + 1 : end], b"</a>" * deep]
        case _:
            tokens[at] = b"&" + rng.choice((b"amp", b"eacute", b"#233", b"#0", b"#x110000")) + b";" + token
    return b"".join(tokens)


def _end(tokens: Sequence[bytes], at: int, name: bytes) -> int:
    """Find where an element ends, or itself."""
    closing = b"</" + name
    return next((n for n in range(at, len(tokens)) if tokens[n].startswith(closing)), at)


# Inputs by number


def build(seed: int, number: int) -> Input:
    """Make input `number` of a seed, alone."""
    found, rng = corpus(seed), Random(f"{seed}:{number}")
    connector = found.connectors[number % len(found.connectors)]
    sample = rng.choice(found.samples[connector.product])
    value: bytes | None = _value(rng, found, sample)
    feed = sample.feed
    key, read_at, content_type, raw_id, headers = sample.record.key, NOW, "application/json", f"raw-{number}", []
    if rng.random() < 0.15:
        match rng.randrange(7):
            case 0:
                key = rng.choice(
                    (b"", b"\xff", b"\x00", rng.randbytes(6), b"a" * 300, key[:-1], b"ils_di:" + rng.randbytes(3))
                )
            case 1:
                feed = rng.choice((*connector.feeds, "", "no_such", "\x00", feed.upper()))
            case 2:
                value = rng.choice((None, b""))
            case 3:
                content_type = rng.choice(("", "application/xml", "text/html; charset=latin-1", "\x00"))
            case 4:
                raw_id = rng.choice(("", "\x1f", "a" * 3000, "é"))
            case 5:
                names = [name for key, name in vars(Header).items() if key.isupper()]
                headers = [(rng.choice((*names, "")), rng.choice((b"", b"\xff", value or b""))) for _ in range(3)]
            case _:
                read_at = rng.choice(
                    (
                        0,
                        1,
                        -1,
                        -(10**14),
                        10**15,
                        10**30,
                        NOW - 10**10,
                        NOW + 10**10,
                        NOW - 1,
                        NOW + rng.randrange(10**7),
                    )
                )
    elif rng.random() < 0.5:
        read_at += rng.randrange(-(10**6), 10**8)
    state, forged = _state(rng, found, connector, sample, feed)
    return Input(
        record(connector, feed, value)._replace(
            key=key,
            read_at=read_at,
            content_type=content_type,
            raw_id=raw_id,
            headers=tuple(headers),
        ),
        connector,
        state,
        forged,
    )


def _value(rng: Random, found: Corpus, sample: Sample) -> bytes:
    value = sample.record.value or b""
    chance = rng.random()
    if chance < 0.55:
        value = structured(rng, value)
    elif chance < 0.95:
        value = garbled(rng, value, found.values)
    else:
        value = garbled(rng, structured(rng, value), found.values)
    return value


def _state(rng: Random, found: Corpus, connector: Connector, sample: Sample, feed: str) -> tuple[bytes | None, bool]:
    states = found.states.get((connector.product, feed), [])
    chance = rng.random()
    if not states or chance < 0.15:
        return None, False
    if chance < 0.35:
        return sample.previous if sample.feed == feed else None, False
    if chance < 0.85:
        return rng.choice(states), False
    state = rng.choice((rng.choice(states), rng.choice(found.all_states)))
    return (structured(rng, state) if rng.random() < 0.7 else garbled(rng, state, found.all_states)), True


# Laws


@cache
def vocabulary() -> frozenset[str]:
    """Collect the words that a detail may be made of: those of our own code, never a record's."""
    texts = [path.read_text("utf-8") for path in sorted((catalogue.ROOT / "hub").glob("pipeline/*.py"))]
    texts += [path.read_text("utf-8") for path in sorted((catalogue.ROOT / "hub").glob("avro/*.py"))]
    texts += [path.read_text("utf-8") for path in sorted(catalogue.ROOT.glob("schemas/*/*/*.avsc"))]
    for connector in catalogue.connectors().values():
        folder = catalogue.folder(connector)
        texts += [path.read_text("utf-8") for path in folder.glob("*.py") if path.name != "simulator.py"]
    texts += get_args(ErrorType)
    texts += [name for name in vars(builtins) if name.endswith(("Error", "Exception"))]
    texts += ["JSONDecodeError", "ValidationError", str(decode.LARGEST), str(LARGEST_MEMORY)]
    return frozenset(word for text in texts for word in _words(text))


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]{6,}", text)


def _discreet(*texts: str) -> None:
    for text in texts:
        if len(text) > 300:
            raise Escape("a detail is longer than any of ours")
        if any(word not in vocabulary() for word in _words(text)):
            raise Escape("a detail holds a word that is not ours")


def check(given: Input) -> Outcome:
    """Decide twice, and raise `Escape` when a law does not hold."""
    said, connector, state, forged = given
    outcome = process(said, connector, catalogue.schemas(), state)
    if process(said, connector, catalogue.schemas(), state) != outcome:
        raise Escape("the same record gives other decisions")
    if not outcome.decisions:
        raise Escape("no decision")
    if outcome.state is not None and len(outcome.state) > LARGEST_MEMORY:
        raise Escape("more is remembered than fits")
    _read_alike(said, connector)
    ids = set()
    for decision in outcome.decisions:
        match decision:
            case Deliver(event):
                ids.add(event.id)
                if catalogue.schemas().decode(event.value) != event.payload:
                    raise Escape(f"a {event.type} is not what its bytes say")
                if not 0 < len(event.subject) <= LONGEST_SUBJECT or len(event.value) > LARGEST:
                    raise Escape(f"a {event.type} is out of bounds")
                event.subject.encode()
            case Quarantine():
                if decision.code is Code.BUG and not forged:
                    raise Escape(f"bug: {decision.detail}")
                if (Header.BLOB, said.value) not in said.headers:
                    _discreet(decision.detail, *decision.fields)
            case Skip():
                _discreet(decision.reason)
    if len(ids) < sum(isinstance(decision, Deliver) for decision in outcome.decisions):
        raise Escape("two events of a record have one id")
    return outcome


def _read_alike(said: Record, connector: Connector) -> None:
    """See that the validator's own parser reads what it takes exactly as the strict way does."""
    feed = connector.feeds.get(said.feed)
    if feed is None or feed.manifest.content_type != "application/json" or not decode.plain(said.value or b""):
        return
    try:
        quick = feed.model.model_validate_json(said.value or b"")
    except (ValidationError, Rejected):
        return
    try:
        strict = feed.model.model_validate(decode.json(said.value or b""))
    except (ValidationError, Rejected):
        raise Escape("the quick way reads what the strict way refuses") from None
    if quick != strict:
        raise Escape("the quick way reads something else than the strict way")


def call(seed: int, number: int) -> str | None:
    """Make webhook call `number`; return what became of it, None where the connector takes none."""
    found, rng = corpus(seed), Random(f"{seed}:call:{number}")
    takers = [c for c in found.connectors if c.receive is not None]
    connector = rng.choice(takers)
    body = _value(rng, found, rng.choice(found.samples[connector.product]))
    feed = rng.choice((*connector.feeds, *connector.feeds, *connector.feeds, "", "no_such"))
    headers = {rng.choice(("X-Request-Id", "x-request-id", "Content-Type")): str(_odd(rng)) for _ in range(2)}
    said = Call(feed, body, headers, NOW)
    assert connector.receive is not None
    result = connector.receive(said)
    if connector.receive(said) != result:
        raise Escape("the same call is answered differently")
    if isinstance(result, Refusal):
        if not 400 <= result.status < 500:
            raise Escape("a refusal is a 4xx")
        _discreet(result.detail)
        return f"{connector.product} refused {result.status}"
    if not isinstance(result, Emit):
        raise Escape("a call gives a record or a refusal")
    check(Input(_emitted(connector, result), connector, None, forged=False))
    return f"{connector.product} taken"


def poll(seed: int, number: int) -> str | None:
    """Run poll `number` against arbitrary answers; return how it ended."""
    found, rng = corpus(seed), Random(f"{seed}:poll:{number}")
    connector = rng.choice([c for c in found.connectors if c.poll is not None])
    settings = {name: "a,b" if name == "procedures" else "x" for name in connector.manifest.settings}
    assert connector.poll is not None
    source = connector.poll({}, settings)
    try:
        wish = next(source)
        for turn in range(WISHES):
            match wish:
                case Request():
                    _requested(wish)
                    if rng.random() < 0.03:
                        wish = source.throw(Denied("credentials refused"))
                        continue
                    answer: Any = _answer(rng, found, connector, first=turn == 0)
                case Exchange():
                    answer = _lines(rng, found, wish)
                case Emit():
                    check(Input(_emitted(connector, wish), connector, None, forged=False))
                    answer = None
                case Keep():
                    answer = hashlib.sha256(wish.data).hexdigest()
                case Subjects():
                    answer = [str(n) for n in range(rng.randint(0, 4))]
                case Checkpoint():
                    answer = json.dumps(wish.cursor) and None
            wish = source.send(answer)
    except StopIteration:
        return f"{connector.product} done"
    except Transient as error:
        _discreet(error.reason)
        return f"{connector.product} later"
    finally:
        source.close()
    return f"{connector.product} abandoned"


def _requested(wish: Request) -> None:
    request = httpx.Request(
        "GET", f"https://vendor.invalid/{wish.path.lstrip('/')}", params=wish.params, headers=wish.headers
    )
    if request.url.host != "vendor.invalid":
        raise Escape("a request goes elsewhere")
    json.dumps(wish.body)


def _answer(rng: Random, found: Corpus, connector: Connector, *, first: bool) -> Answer:
    parts = found.parts[connector.product]
    # The first answer most often lists what there is; what cannot be read there ends the poll.
    match rng.randrange(2, 20) if first else rng.randrange(6):
        case 0:
            body = _value(rng, found, rng.choice(found.samples[connector.product]))
        case 1 | 2 if parts and not first:
            body = json.dumps(rng.choice(parts)).encode()
        case _ if parts:
            document: Any = [rng.choice(parts) for _ in range(rng.choice((1, 2, 25)))]
            document = document if first or rng.random() < 0.6 else document[0]
            body = json.dumps(_json(rng, document) if rng.random() < 0.4 else document).encode()
        case _:
            body = garbled(rng, rng.choice(found.values), found.values)
    headers = {"x-request-id": str(_odd(rng)).encode("ascii", "ignore").decode()}
    if rng.random() < 0.8:
        headers["digest"] = "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode()
    status = rng.choice((*[200] * 30, 201, 204, 302, 400, 403, 404, 410, 413, 418))
    return Answer(status, headers, body, NOW)


def _lines(rng: Random, found: Corpus, wish: Exchange) -> tuple[Line, ...]:
    """Answer as many lines as were asked, or fewer: echoes, and what others say, whole or garbled."""
    if not all(line.count(wish.end) == 1 and line.endswith(wish.end) for line in wish.lines):
        raise Escape("a line that is none")
    if wish.login is not None:
        try:
            wish.login.write("fuzz", str(_odd(rng)))
        except Denied as error:
            _discreet(error.reason)
    said = []
    for line in wish.lines[: rng.choice((*[len(wish.lines)] * 5, rng.randint(0, len(wish.lines))))]:
        text = garbled(rng, rng.choice((line, rng.choice(found.values))), found.values)
        said.append(Line(text.replace(wish.end, b"") + wish.end, NOW))
    return tuple(said)


def _emitted(connector: Connector, wish: Emit) -> Record:
    """Make the record that intake would write, and see that it can."""
    if wish.feed not in connector.feeds:
        raise Escape("a record for no feed")
    if not wish.key or not isinstance(wish.value, bytes):
        raise Escape("a record without key or bytes")
    written = [text.encode() for text in (wish.key, wish.raw_id or "", wish.answer or "", wish.content_type)]
    return record(connector, wish.feed, wish.value)._replace(
        key=written[0],
        raw_id=wish.raw_id or "made-up",
        read_at=wish.read_at,
        content_type=wish.content_type,
    )


# Runs


def run(seed: int, numbers: Iterable[int], folder: Path = FOLDER) -> Seen:
    """Try inputs by number; what fails is counted, and its bytes are written to `folder`."""
    seen = Seen()
    before = signal.signal(signal.SIGPROF, _give_up)
    try:
        for number in numbers:
            given = build(seed, number)
            seen.inputs[given.connector.product] += 1
            outcome = _tried(seen, folder, f"{seed}-{number}", given.record.value, partial(check, given))
            for decision in outcome.decisions if outcome is not None else ():
                name = type(decision).__name__.lower()
                name = f"quarantine {decision.code}" if isinstance(decision, Quarantine) else name
                seen.decisions[f"{name} (memory forged)" if given.forged and name == "quarantine bug" else name] += 1
            for every, what, counter in ((CALLS, call, seen.calls), (POLLS, poll, seen.polls)):
                if number % every == 0:
                    name = f"{seed}-{number}-{what.__name__}"
                    ended = _tried(seen, folder, name, None, partial(what, seed, number))
                    counter[ended or "escape"] += 1
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    seen.memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return seen


def _give_up(*_: Any) -> None:
    raise Hung


def _tried(seen: Seen, folder: Path, name: str, value: bytes | None, what: Callable[[], Any]) -> Any:
    started = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, HUNG)
    try:
        result = what()
        took = time.process_time() - started
        seen.slowest = max(seen.slowest, took)
        # The same is decided twice.
        if took > 2 * SLOW:
            raise Escape(f"took {took / 2:.1f} s")
        return result
    except Hung:
        trouble = "given up"
    except Escape as error:
        trouble = str(error)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        trouble = f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(value or b"")
    seen.escapes.append(f"{name}: {trouble}")
    return None


def _bounded() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _share(seed: int, start: int, end: int) -> Seen:
    return run(seed, range(start, end))


def told(seen: Seen, seed: int, took: float) -> Iterator[str]:
    """Say what was seen, line by line, the sum last."""

    def counts(found: Mapping[str, int]) -> str:
        return ", ".join(f"{name} {number:,}" for name, number in sorted(found.items()))

    yield f"through process   {counts(seen.inputs)}"
    yield f"decisions         {counts(seen.decisions)}"
    yield f"webhook calls     {counts(seen.calls)}"
    yield f"polls             {counts(seen.polls)}"
    for escape in seen.escapes[:20]:
        yield f"ESCAPE            {escape}"
    total = seen.inputs.total()
    yield (
        f"{total:,} inputs, {total / max(took, 0.001):,.0f}/s, slowest {seen.slowest / 2:.2f} s, "
        f"memory {seen.memory / 2**20:.0f} MB, escapes {len(seen.escapes)}, seed {seed}"
    )


@click.command(help=__doc__)
@click.option("--inputs", default=1_000_000, show_default=True, help="How many inputs go through process.")
@click.option("--seed", type=int, default=None, help="Default: another one each time.")
@click.option("--number", type=int, default=None, help="Rebuild this input alone, and show it.")
@click.option("--jobs", default=2, show_default=True, help="Processes.")
def main(inputs: int, seed: int | None, number: int | None, jobs: int) -> None:
    """Run it."""
    seed = int(time.time()) if seed is None else seed
    if number is not None:
        given = build(seed, number)
        click.echo(f"{given.record!r:.4000}\nstate {given.state!r:.2000}{' (forged)' if given.forged else ''}")
        seen = run(seed, [number])
        click.echo("\n".join(told(seen, seed, 1)))
        sys.exit(1 if seen.escapes else 0)
    started, seen, shown = time.monotonic(), Seen(), 0.0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_bounded) as pool:
        shares = [pool.submit(_share, seed, n, min(n + CHUNK, inputs)) for n in range(0, inputs, CHUNK)]
        for share in as_completed(shares):
            seen.add(share.result())
            if time.monotonic() - shown > 5:
                shown = time.monotonic()
                total = seen.inputs.total()
                click.echo(
                    f"{total:>10,} of {inputs:,}, {total / (shown - started):,.0f}/s, escapes {len(seen.escapes)}"
                )
    click.echo("\n".join(told(seen, seed, time.monotonic() - started)))
    sys.exit(1 if seen.escapes else 0)


if __name__ == "__main__":
    main()

"""Files to raw records: one record per row or share, once, however often and under whatever name the file comes.

The outside is a listing (`GET /`: a JSON list of names) with files under it, over HTTP or as a folder.  What was read
is remembered by digest in the cursor, so a file that comes twice says nothing twice, one that was half read is gone on
with, and one whose contents changed is another file.

Whoever copies a file into a folder shows half of it first.  One whose last line does not end is taken for half of one,
and read only if the next poll finds it the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from hub.model.errors import Cause, Rejected, Transient
from hub.model.intake import Answer, Checkpoint, Cursor, Emit, Get, Intake
from hub.pipeline.decode import characters, csv, page

EVERY = 500
"""Rows between two checkpoints: as many come again after a crash, each under its own id."""
REMEMBERED = 1000
"""Files whose digests are known; older ones would be read again."""

GROWS = 60.0
"""Seconds after which a file that somebody is still writing is another one."""


class Kind(NamedTuple):
    """What a file holds."""

    feed: str
    content_type: str
    key: Callable[[bytes], str]
    """The raw key of a row."""
    header: bool = False
    """Whether its first line names the columns; it goes before each row."""
    shares: tuple[str, ...] = ()
    """Every raw key that there is: rows of one key are one record, and a key without any is an empty one.  For a file
    that says everything, so that what it leaves out can be noticed, and that is too large for one record."""


def poll(cursor: Cursor, kind_of: Callable[[str], Kind | None]) -> Intake:
    """Read what is new, by name; a file that `kind_of` does not know stays unread."""
    listing: Answer = yield Get("/")
    if not listing.ok:
        raise Transient(f"status {listing.status}")
    try:
        names = [name for name in listing.json() if isinstance(name, str)]
    except (ValueError, TypeError, RecursionError):
        raise Transient("the listing is not a JSON list") from None
    done: dict[str, int] = dict(cursor.get("files", {}))
    halves: list[str] = []
    failed: list[str] = []
    seen_as_half = frozenset(cursor.get("halves", ()))
    for name in sorted(names):
        kind = kind_of(name)
        if kind is None:
            continue
        answer: Answer = yield Get(f"/{name}")
        if not answer.ok:
            failed.append(f"status {answer.status}")
            continue
        if page(answer.body):
            # Its rows would be set aside one by one, and say nothing; the file itself comes when the vendor is well.
            failed.append("a page")
            continue
        digest = hashlib.sha256(answer.body).hexdigest()
        if done.get(digest, 0) < 0:
            continue
        try:
            ended = characters(answer.body)[0].endswith(("\n", "\r"))
        except Rejected as error:
            failed.append(error.detail)
            continue
        if not ended and digest not in done.keys() | seen_as_half:
            halves.append(digest)
            continue
        yield from _read(kind, answer, digest, done)
    if halves:
        yield Checkpoint({"files": done, "halves": halves})
        reason = f"the last line of {len(halves)} of the files does not end"
        raise Transient(reason, cause=Cause.TRUNCATED, retry_after=GROWS)
    if failed:
        # The others were read; this poll was not a good one.
        raise Transient(f"{failed[0]} for {len(failed)} of the files")


def _read(kind: Kind, answer: Answer, digest: str, done: dict[str, int]) -> Intake:
    for number, (key, value) in enumerate(_records(kind, answer.body), 1):
        if number <= done.get(digest, 0):
            continue
        yield Emit(
            feed=kind.feed,
            key=key,
            value=value,
            read_at=answer.started_at,
            content_type=kind.content_type,
            raw_id=f"{digest}:{number}",
            answer=f"{answer.id}:{number}" if answer.id else None,
        )
        if number % EVERY == 0:
            done[digest] = number
            yield Checkpoint({"files": done})
    done.pop(digest, None)
    done[digest] = -1
    for old in list(done)[: max(len(done) - REMEMBERED, 0)]:
        del done[old]
    yield Checkpoint({"files": done})


def _records(kind: Kind, data: bytes) -> Iterator[tuple[str, bytes]]:
    if not kind.shares:
        for row in rows(data, header=kind.header):
            yield kind.key(row), row
        return
    first = b""
    shares: dict[str, list[bytes]] = {key: [] for key in kind.shares}
    if kind.header:
        first = next(_split(characters(data)[0], quotes=True), "").encode() + b"\n"
    for row in rows(data, header=kind.header):
        # A row of no known share goes to the first: it must be set aside, not lost.
        shares.get(kind.key(row), shares[kind.shares[0]]).append(row.removeprefix(first))
    for key, mine in shares.items():
        yield key, first + b"\n".join(mine)


def rows(data: bytes, *, header: bool) -> Iterator[bytes]:
    """Yield the rows as UTF-8, which every decoder recognises; a line break in quotes is part of its row.

    With `header` each row has the first line before it, so that it can be read by itself.
    """
    first = ""
    for number, row in enumerate(_split(characters(data)[0], quotes=header)):
        if header and number == 0:
            first = f"{row}\n"
        elif row.strip():
            yield f"{first}{row}".encode()


def _split(text: str, *, quotes: bool) -> Iterator[str]:
    held = ""
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        held = f"{held}\n{line}" if held else line
        if not quotes or held.count('"') % 2 == 0:
            yield held
            held = ""
    if held:
        yield held


def columns(row: bytes) -> Mapping[str, str]:
    """Read a row with its header as a mapping, for a key; empty when it cannot be read."""
    try:
        found = csv(row)["rows"]
    except Rejected:
        return {}
    return {name: cell for name, cell in found[0].items() if isinstance(cell, str)} if found else {}

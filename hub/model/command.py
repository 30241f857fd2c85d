"""Commands: what an operator decided about a product's records, written into its raw topic.

The broker orders a command with the records that arrive, and only the owner of the partition acts on
it: so a release can neither overtake a record nor be carried out twice at once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hub.model.record import Origin


class Kind(StrEnum):
    """What is to be done."""

    RELEASE = "release"
    """Process what waits for the key, in its order."""
    EDIT = "edit"
    """Keep a corrected copy beside the original; it is used when the record is released."""
    REPLAY = "replay"
    """Process a range of the partition again, by today's mapping."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command, as it stands in a raw partition."""

    id: str
    kind: Kind
    key: bytes
    """Raw key that it concerns."""
    who: str
    why: str
    origin: Origin
    """Where the command itself stands."""
    drop: tuple[int, ...] = ()
    """Release: origin offsets that are settled without being processed."""
    notify: bool = False
    """Whether residents are told of what comes out."""
    target: int = -1
    """Edit: the origin offset of the record that it corrects.  Replay: the first offset."""
    rev: int = 0
    """Replay: the mapping's revision that the operator looked at; another one does nothing."""
    value: bytes = b""
    """Edit: the corrected bytes."""


def write(
    id: str,
    kind: Kind,
    *,
    who: str,
    why: str,
    drop: tuple[int, ...] = (),
    notify: bool = False,
    target: int = -1,
    rev: int = 0,
) -> bytes:
    """Return the header that makes a record a command; its value carries the bytes of an edit."""
    said: dict[str, Any] = {"id": id, "kind": kind, "who": who, "why": why}
    if drop:
        said["drop"] = list(drop)
    if notify:
        said["notify"] = True
    if target >= 0:
        said["target"] = target
    if rev:
        said["rev"] = rev
    return json.dumps(said, ensure_ascii=False).encode()


def read(header: bytes, key: bytes, value: bytes | None, origin: Origin) -> Command:
    """Read what `write` wrote; ValueError for anything else."""
    try:
        said = json.loads(header)
        return Command(
            id=str(said["id"]),
            kind=Kind(said["kind"]),
            key=key,
            who=str(said["who"]),
            why=str(said["why"]),
            origin=origin,
            drop=tuple(int(offset) for offset in said.get("drop", ())),
            notify=said.get("notify") is True,
            target=int(said.get("target", -1)),
            rev=int(said.get("rev", 0)),
            value=value or b"",
        )
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise ValueError(f"not a command: {type(error).__name__}") from None

"""Two snapshots compared: what came, what changed, what went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hub.model.errors import Unmappable

FEWEST = 3
"""Fewer than these may be missing at once, however few there were."""


class Diff(NamedTuple):
    """Keys of two snapshots, each in sorted order."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


def diff(previous: Mapping[str, Any] | None, current: Mapping[str, Any]) -> Diff:
    """Compare by key and value; a missing `previous` is an empty one."""
    former = previous or {}
    return Diff(
        added=tuple(sorted(current.keys() - former.keys())),
        changed=tuple(sorted(key for key in current.keys() & former.keys() if current[key] != former[key])),
        removed=tuple(sorted(former.keys() - current.keys())),
    )


def once(names: Sequence[str], field: str) -> None:
    """Raise `Unmappable` where a name is listed twice: one entry would hide the other."""
    if len(set(names)) < len(names):
        raise Unmappable("listed twice", fields=(field,))


def shrunk(known: int, missing: int, most: float) -> bool:
    """Tell whether so much is missing from a snapshot that it is a mistake rather than news; `most` is a share."""
    return missing >= FEWEST and missing > most * known

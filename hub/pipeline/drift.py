"""What a vendor changed without saying so: fields that are new, gone, or of another kind than in its samples.

A place in a record is a path of names, `booking.event.datetime`, `data[].id`.  Names are the vendor's own words, but a
key of a table may be a person's number: every run of digits is written `#`, and places beyond a bound are not told
apart.  Nothing here sees a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, NamedTuple

MOST = 5000
"""Places of one record that are looked at."""
TOLD = 40
"""Places of one feed that are told apart; the rest is `other`."""
PATIENCE = 50
"""Records in a row that must lack what every sample has, before it counts as gone."""
OTHER = "other"

_NAME = re.compile(r"[@#]?[^\W\d][\w:#-]{0,39}")
_DIGITS = re.compile(r"\d+")


class Kind(StrEnum):
    """How a place differs from the samples."""

    NEW = "new"
    GONE = "gone"
    CHANGED = "kind"


class Change(NamedTuple):
    """A place that is not as it was."""

    path: str
    kind: Kind


class Drift:
    """Compares a feed's records with its samples."""

    def __init__(self, samples: Iterable[Any], *, repeats: bool = False) -> None:
        """Take decoded samples, good ones: a garbled one says nothing of the vendor's format.

        With `repeats` a list is what repeats, as in XML, and as good as one of it.
        """
        self._repeats = repeats
        self._known: dict[str, set[str]] = {}
        everywhere: set[str] | None = None
        for sample in samples:
            found = self._merged(sample)
            for path, kinds in found.items():
                self._known.setdefault(path, set()).update(kinds)
            everywhere = found.keys() & everywhere if everywhere is not None else set(found)
        self._always = everywhere or set()
        self._missing = dict.fromkeys(self._always, 0)
        self._told: set[str] = set()

    def look(self, document: Any) -> list[Change]:
        """Return what differs in this record."""
        if not self._known:
            return []
        found = self._merged(document)
        changes = [
            Change(path, Kind.CHANGED if path in self._known else Kind.NEW)
            for path, kinds in found.items()
            # A place that was empty in every sample says nothing of its kind.
            if path not in self._known or (self._known[path] and not kinds <= self._known[path])
        ]
        for path in self._always:
            self._missing[path] = 0 if path in found else self._missing[path] + 1
            if self._missing[path] >= PATIENCE:
                changes.append(Change(path, Kind.GONE))
        # The outermost alone: what lies below a new place is new as well.
        new = {change.path for change in changes if change.kind is not Kind.CHANGED}
        return [self._bounded(change) for change in changes if not any(above in new for above in _above(change.path))]

    def _bounded(self, change: Change) -> Change:
        if change.path not in self._told:
            if len(self._told) >= TOLD:
                return change._replace(path=OTHER)
            self._told.add(change.path)
        return change

    def _merged(self, document: Any) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for number, (path, kind) in enumerate(_places(document, "" if self._repeats else "[]")):
            if number == MOST:
                break
            kinds = found.setdefault(path, set())
            if kind is not None:
                kinds.add(kind)
        return found


def _places(document: Any, item_of: str) -> Iterator[tuple[str, str | None]]:
    layer = [("", document)]
    while layer:
        below: list[tuple[str, Any]] = []
        for path, value in layer:
            if path and not (isinstance(value, list) and not item_of):
                yield path, _kind(value)
            if isinstance(value, dict):
                below += ((f"{path}.{_name(key)}" if path else _name(key), item) for key, item in value.items())
            elif isinstance(value, list):
                below += ((f"{path}{item_of}", item) for item in value)
        layer = below


def _name(key: Any) -> str:
    # The prefix of a namespace is the writer's choice, and no part of the name.
    mark, _, name = str(key).rpartition(":")
    name = _DIGITS.sub("#", ("@" if mark.startswith("@") else "") + name)
    return name if _NAME.fullmatch(name) else "*"


def _above(path: str) -> Iterator[str]:
    for place, letter in enumerate(path):
        if letter in ".[":
            yield path[:place]


def _kind(value: Any) -> str | None:
    match value:
        case None:
            # Any field may be empty: that is no news of the format.
            return None
        case bool():
            return "truth"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list():
            return "list"
    return "object"

"""Dialects of the answer: each a table from its words to Koha's, which the model knows.

A dialect is recognised by what an answer holds: the same table reads every library's that speaks it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_FRENCH = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4})")
DAYS = frozenset({"date_due", "reservedate"})
"""Fields that hold a day, in whichever order its parts are written."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How one dialect says what Koha says: by Koha's name of a field, its own."""

    patron: str
    """Field of the patron's number."""
    loan: Mapping[str, str]
    hold: Mapping[str, str]
    ready_field: str
    """Field of a reservation that tells whether something was set aside."""
    ready_words: frozenset[str] = frozenset()
    """What it says then, in lower case; without any: anything."""
    nulls: frozenset[str] = field(default=frozenset({""}))
    """Texts that mean nothing."""

    def told(self, value: Any) -> str | None:
        """Read a text; nothing for what means nothing."""
        text = value.strip() if isinstance(value, str) else ""
        return None if text in self.nulls else text

    def lent(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Write a loan as Koha would."""
        return self._renamed(item, self.loan)

    def reserved(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Write a reservation as Koha would: what is set aside waits, the others do not."""
        said = self.told(item.get(self.ready_field))
        ready = said is not None and (not self.ready_words or said.lower() in self.ready_words)
        return {**self._renamed(item, self.hold), "found": "W" if ready else "-"}

    def _renamed(self, item: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
        found = {ours: self.told(item.get(theirs)) for ours, theirs in names.items()}
        return {name: _day(text) if name in DAYS and text else text for name, text in found.items()}


def _day(text: str) -> str:
    """Write a day as ISO 8601 does; what stands behind one, a time and an offset, does not count."""
    french = _FRENCH.match(text)
    return f"{french[3]}-{french[2]}-{french[1]}" if french else text[:10] if text[4:5] == "-" else text


def having(document: Any, *names: str) -> Iterator[Mapping[str, Any]]:
    """Yield every element that has all of these, in the order in which they stand."""
    waiting = [document]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Mapping):
            if all(name in item for name in names):
                yield item
            waiting.extend(reversed(list(item.values())))
        elif isinstance(item, list):
            waiting.extend(reversed(item))

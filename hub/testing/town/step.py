"""One thing that happens on a day of the town."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hub.testing.town.people import Person

if TYPE_CHECKING:
    from hub.testing.town.world import World

FIRST, LAST = 7 * 60 + 30, 18 * 60 + 30
"""Minutes of the day between which the story plays."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens at a time of the day."""

    time: str
    text: str
    do: Callable[[World], Any]
    account: Person | None = None
    """Whose account is worth a look afterwards."""

    @property
    def share(self) -> float:
        """How much of the day has passed, 0 to 1."""
        hours, minutes = self.time.split(":")
        return min(max((int(hours) * 60 + int(minutes) - FIRST) / (LAST - FIRST), 0.0), 1.0)

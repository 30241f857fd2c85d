"""What happens in the town on a school day."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from hub.testing.town.world import World


def school_day(world: World) -> Iterator[tuple[str, str, Callable[[World], Any]]]:
    """Yield time, sentence and action of every step."""
    yield from ()


def quiet_tick(world: World) -> None:
    """Let one small thing happen."""

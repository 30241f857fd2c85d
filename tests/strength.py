"""How hard a test tries that asks for more or fewer examples than others."""

from __future__ import annotations

from hypothesis import settings


def examples(number: int) -> int:
    """Return as many as asked for in `make test`, and as many less in `make fast` as everywhere."""
    return max(1, number * settings().max_examples // settings.get_profile("dev").max_examples)

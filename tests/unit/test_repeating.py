"""A repeating thread waits longer while the outside is away."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hub.repeating import LONGEST_WAIT, back_off


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_the_wait_doubles_with_jitter_up_to_a_bound(failures: int, chance: float) -> None:
    """Never longer than the bound, never shorter than half of what it could be."""
    whole = min(0.5 * 2 ** min(failures - 1, 10), LONGEST_WAIT)
    assert whole / 2 <= back_off(failures, None, chance=lambda: chance) <= whole


@given(st.floats(0, 3600))
def test_the_vendor_may_say_how_long(seconds: float) -> None:
    """`Retry-After` is honoured, not undercut."""
    assert seconds <= back_off(1, seconds, chance=lambda: 0.5) <= seconds + 0.1

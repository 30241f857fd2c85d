"""What is guaranteed is what was measured."""

from __future__ import annotations

from certificate import page
from certificate.__main__ import LONGEST_GROWTH


def test_the_page_is_made_of_the_results() -> None:
    """`docs/guarantees.md` holds the results, and nothing was lost, doubled or out of order in any of them."""
    results = page.read()
    assert page.PAGE.read_text("utf-8") == page.render(results), "run `make certify` and commit what it writes"
    assert all(found["passed"] for name, found in results.items() if name != "sink")
    growths = [(most - before) / before for before, most in results["sink"]["memory"].values()]
    assert results["sink"]["missing"] == 0
    assert max(growths) <= LONGEST_GROWTH

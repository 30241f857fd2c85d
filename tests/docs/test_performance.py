"""The page of what was measured says what was measured, and no more."""

from __future__ import annotations

import json
import runpy
from typing import Any

from hub.catalogue import ROOT

PAGE = runpy.run_path(str(ROOT / "bench" / "page.py"))
MEASURED: dict[str, Any] = json.loads(PAGE["RESULTS"].read_text("utf-8"))
TITLE = "## Promises with a number"


def test_the_page_is_made_of_the_results() -> None:
    """`docs/performance.md` holds what `docs/performance.json` does."""
    assert PAGE["PAGE"].read_text("utf-8") == PAGE["page"](MEASURED), "run `python bench/page.py`"


def test_a_promise_is_told_with_what_was_measured() -> None:
    """What was promised and how it was kept stand side by side."""
    lanes = {"rows": 50_000, "longest": 0.31, "promised": 2.0}
    said = PAGE["page"]({**MEASURED, "lanes": lanes})
    assert TITLE in said
    assert "| an absence waits at most, while a bulk of 50,000 goes out | 2 | 0.31 |" in said


def test_the_way_to_the_api_is_told_for_each_database_that_was_measured() -> None:
    """In milliseconds where the chain is told, in seconds among what is promised."""
    visible = {"rate": 1000.0, "looked_at": 150, "0.5": 31.0, "0.99": 66.0, "promised": 200.0}
    moved = {"asked": 20, "0.5": 40.0, "longest": 120.0, "promised": 1000.0}
    said = PAGE["page"]({**MEASURED, "chain": {**MEASURED["chain"], "visible": visible, "moved": moved}})
    assert "p50 31 ms, p99 66 ms after the record was read; 150 of them" in said
    assert "| a record is in the account's API at 1,000 records/s, SQLite, p99 | 0.2 | 0.066 |" in said
    assert "| a desk's move of links is in the account's API, SQLite, the longest of 20 | 1 | 0.12 |" in said


def test_what_was_not_measured_is_not_told() -> None:
    """A promise without a figure has no row, and without any there is no section."""
    known = {name: found for name, found in MEASURED.items() if name not in ("release", "lanes", "open_data")}
    for name in ("chain", "chain_postgres"):
        known[name] = {part: found for part, found in known[name].items() if part not in ("visible", "moved")}
    assert TITLE not in PAGE["page"](known)
    released = {"records": 10_000, "keys": 1_000, "seconds": 4.36, "promised": 30.0}
    said = PAGE["page"]({**known, "release": released})
    assert TITLE in said
    assert "bulk" not in said.partition(TITLE)[2].partition("##")[0]

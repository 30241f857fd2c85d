"""Whatever comes, the hub decides: garbled records, calls and answers through every connector."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hub import catalogue
from hub.model.decision import Quarantine
from hub.model.errors import Code
from hub.testing import fuzz
from hub.testing.samples import record

SEED = 20260310
SHARE = 5000


@pytest.mark.parametrize("start", range(0, 8 * SHARE, SHARE))
def test_nothing_escapes(start: int, tmp_path: Path) -> None:
    """The laws of `hub.testing.fuzz` hold for each input; `make fuzz` tries a million."""
    seen = fuzz.run(SEED, range(start, start + SHARE), tmp_path)
    assert not seen.escapes
    assert set(seen.inputs) == set(catalogue.connectors())


def test_an_input_is_made_from_its_number_alone() -> None:
    """What failed in the middle of a million can be looked at by itself."""
    first = [fuzz.build(SEED, number) for number in range(200)]
    fuzz.corpus.cache_clear()
    assert [fuzz.build(SEED, number) for number in reversed(range(200))] == first[::-1]


def test_a_defect_of_a_connector_is_an_escape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fuzzer sees what it looks for, tells its number, and keeps the bytes."""
    given = next(fuzz.build(SEED, n) for n in range(5000) if not fuzz.build(SEED, n).forged)
    broken = given.connector
    feeds = {
        name: replace(feed, manifest=feed.manifest.model_copy(update={"content_type": "?"}))
        for name, feed in broken.feeds.items()
    }
    said = record(broken, next(iter(feeds)), b"bytes")
    monkeypatch.setattr(fuzz, "build", lambda *_: given._replace(record=said, connector=replace(broken, feeds=feeds)))
    seen = fuzz.run(SEED, [1], tmp_path)
    assert seen.escapes == [f"{SEED}-1: bug: KeyError"]
    assert (tmp_path / f"{SEED}-1").read_bytes() == b"bytes"


@pytest.mark.parametrize("read_at", [-1, 10**15, 10**30])
def test_a_record_read_at_no_moment_is_unroutable(read_at: int) -> None:
    """A header that anybody may have written is no defect of the connector."""
    for connector in catalogue.connectors().values():
        said = record(connector, next(iter(connector.feeds)), b"{}")._replace(read_at=read_at)
        (decision,) = fuzz.check(fuzz.Input(said, connector, None, forged=False)).decisions
        assert isinstance(decision, Quarantine)
        assert decision.code is Code.UNROUTABLE

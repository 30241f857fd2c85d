"""Show that the demo measures what it tells, and writes configuration that is read as it was meant."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from hub.config import load
from hub.testing.story import Stopwatch, Times, Whole, percentile, tell, undisturbed
from hub.testing.town.settings import settings, toml


class Row(NamedTuple):
    id: str
    type: str
    subject: str
    read_at: int
    recorded_at: int


def said(moment: int, type: str = "LoanStarted", subject: str = "lib:1") -> dict[str, Any]:
    at = datetime.fromtimestamp(moment / 1000, UTC).isoformat(timespec="milliseconds")
    return {"at": at, "type": type, "subject": subject, "product": "lib"}


def test_each_row_tells_one_fact() -> None:
    watch = Stopwatch()
    watch.rows([Row("1", "hub.library.LoanStarted", "lib:1", 1_500, 1_580)])
    watch.rows([Row("1", "hub.library.LoanStarted", "lib:1", 1_500, 1_580)])
    assert watch.times(said(1_000)) == Times(500, 80)
    assert watch.times(said(1_000)) is None


def test_older_and_other_rows_tell_nothing() -> None:
    watch = Stopwatch()
    watch.rows(
        [
            Row("1", "hub.library.LoanStarted", "lib:1", 800, 900),
            Row("2", "hub.library.LoanReturned", "lib:1", 1_500, 1_600),
            Row("3", "hub.library.LoanStarted", "lib:2", 1_500, 1_600),
        ]
    )
    assert watch.times(said(1_000)) is None


def test_request_that_was_under_way_counts_as_read_at_once() -> None:
    watch = Stopwatch()
    watch.rows([Row("1", "hub.library.LoanStarted", "lib:1", 990, 1_040)])
    assert watch.times(said(1_000)) == Times(0, 50)


def test_what_failed_on_purpose_is_told_apart() -> None:
    """A fact is disturbed by what its own system did shortly before it was said, and until it was known."""
    watch = Stopwatch()
    watch.rows([Row("1", "hub.library.LoanStarted", "lib:1", 61_500, 61_580)])
    watch.times(said(61_000))
    assert watch.whole == [Whole("lib", 61_000, 61_580)]
    assert watch.whole[0].took == 580
    for product, moment, disturbs in (("lib", 57, True), ("lib", 61.5, True), ("lib", 62, False), ("lib", 50, False),
                                      ("canteen", 61, False)):  # fmt: skip
        at = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
        fault = {"kind": "fault", "product": product, "at": at}
        assert undisturbed(watch.whole, [fault, {"kind": "said"}]) == ([] if disturbs else watch.whole)


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ([], ""),
        ([Times(600, 84)], "read 0.6 s after it was said, on the account 84 ms after it was read"),
        (
            [Times(600, 84), Times(20, 40), Times(1, 60)],
            "3 facts: all read within 0.6 s, on the account 60 ms after that (median)",
        ),
    ],
)
def test_times_are_told_in_words(times: list[Times], words: str) -> None:
    assert tell(times) == words


def test_percentiles() -> None:
    values = list(range(100, 0, -1))
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([], 0.5)) == (51, 100, 0)


def test_written_configuration_is_read_as_it_was_meant(tmp_path: Any) -> None:
    vendor = {
        "base_url": "http://127.0.0.1:1/chrono",
        "hook_secret_file": "a b/é\"'\\.txt",
        "credentials": {"default": {"kind": "basic", "client_id": "hub", "secret_file": "s"}},
    }
    document = settings(
        tmp_path,
        bootstrap="127.0.0.1:9",
        replication=1,
        size="demo",
        store={"url": "sqlite://"},
        web_port=8081,
        smtp_port=2525,
        vendors={"chrono": vendor},
    )
    assert tomllib.loads(toml(document)) == document
    path = tmp_path / "demo.toml"
    path.write_text(toml(document), "utf-8")
    loaded = load(str(path), environment={}).settings
    assert loaded.connectors["chrono"].credentials["default"].client_id == "hub"
    assert str(loaded.connectors["chrono"].hook_secret_file) == "a b/é\"'\\.txt"
    assert loaded.kafka.bootstrap == "127.0.0.1:9"

"""Records become samples that the suite decides as the hub decided the originals."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from hub import catalogue
from hub.cli.capture import Capture, outcome_name
from hub.cli.main import main
from hub.model.record import Record
from hub.pipeline.process import process
from hub.testing.samples import record

KOHA = catalogue.connectors()["koha"]
NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


def read(feed: str, document: object, minute: int, patron: int = 4711) -> Record:
    """Read something of a patron on the morning of the capture."""
    value = json.dumps(document).encode()
    at = int(NOW.timestamp() * 1000) - 3_600_000 + minute * 60_000
    return record(KOHA, feed, value, key=f"koha:{patron}")._replace(read_at=at)


def loan(number: int, due: str, patron: int = 4711) -> dict[str, object]:
    """Make a checkout as Koha tells of it."""
    return {
        "checkout_id": number,
        "patron_id": patron,
        "item_id": number + 5000,
        "due_date": f"{due}T23:59:00+01:00",
        "library_id": "BDP",
        "checkin_date": None,
        "checkout_date": "2026-10-30T10:11:12+01:00",
        "note": "Madame Elisabeth Vandenbroucke",
    }


def test_samples_of_a_memory_are_decided_as_the_originals_were(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Loans, a renewal and a return of one patron, with what was remembered before each, and the key."""
    # With one key in a hundred two short numbers become the same; such a record is counted and left out.
    monkeypatch.setattr("secrets.token_bytes", lambda length: b"k" * length)
    capture = Capture(KOHA, tmp_path, 1, NOW)
    first, second = loan(81, "2026-11-20"), loan(82, "2026-11-21")
    for minute, listed in enumerate(
        (
            [first],
            [first, second],
            [first, second],
            [{**first, "due_date": "2026-12-11T23:59:00+01:00"}, second],
            [second],
        )
    ):
        capture.take(read("checkouts", listed, minute))
    folder = tmp_path / "checkouts"
    files = {path.name for path in folder.iterdir()}
    for name, before in (("LoanStarted", False), ("unchanged", True), ("LoanRenewed", True), ("LoanReturned", True)):
        assert f"{name}_1.json" in files
        assert (f"{name}_1.previous.json" in files) is before
        value = (folder / f"{name}_1.json").read_bytes()
        assert b"Vandenbroucke" not in value
        assert b"4711" not in value
        previous = (folder / f"{name}_1.previous.json").read_bytes() if before else None
        said = record(KOHA, "checkouts", value, key=(folder / f"{name}_1.key").read_text())
        assert outcome_name(process(said, KOHA, catalogue.schemas(), previous)) == name
    assert capture.left_out.total() == 0


def test_few_of_each_outcome_are_kept(tmp_path: Path) -> None:
    capture = Capture(KOHA, tmp_path, 2, NOW)
    for number in range(5):
        capture.take(read("checkouts", [loan(81, "2026-11-20", 100 + number)], 0, 100 + number))
    capture.take(read("checkouts", [], 0)._replace(value=b'[{"checkout_id": 1, "pat'))
    assert capture.kept["checkouts", "LoanStarted"] == 2
    assert capture.seen["checkouts", "LoanStarted"] == 5
    cut = (tmp_path / "checkouts" / "undecodable_1.json").read_bytes()
    assert (cut[:20], len(cut)) == (b'[{"checkout_id": 1, ', 24)


def test_persons_are_never_written_as_they_are(tmp_path: Path) -> None:
    """Without the word, a feed that speaks of persons is refused before anything is read."""
    result = CliRunner().invoke(main, ["capture", "koha", "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "--anonymise" in result.output
    assert CliRunner().invoke(main, ["capture", "no_such"]).exit_code == 2
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "file").touch()
    full = CliRunner().invoke(main, ["capture", "koha", "--anonymise", "--out", str(tmp_path / "here")])
    assert "is not empty" in full.output

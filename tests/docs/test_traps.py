"""The page of traps names tests and samples that are there, and forgets no test of its own file."""

from __future__ import annotations

import re

from hub.catalogue import ROOT

PAGE = ROOT / "docs" / "formats" / "traps.md"
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in PAGE.read_text("utf-8").splitlines()
    if line.startswith("|") and not line.startswith(("| ---", "| trap"))
]


def named() -> list[str]:
    return [name for *_, cell in ROWS for name in re.findall(r"`([^`]+)`", cell)]


def test_each_trap_is_shown_by_something() -> None:
    """No line says that something will be tested one day."""
    assert ROWS
    assert not [row for row in ROWS if len(row) != 3 or not re.search(r"`[^`]+`", row[2])]


def test_what_shows_a_trap_is_there() -> None:
    """A test by its file and name; a sample with the golden that was reviewed."""
    missing = []
    for name in named():
        file, _, test = name.partition("::")
        if test:
            path = ROOT / "tests" / file
            found = path.exists() and re.search(rf"^def {test}\(", path.read_text("utf-8"), re.MULTILINE)
        else:
            path = ROOT / "connectors" / "sources" / file
            golden = path.parents[2] / "golden" / path.parent.name / f"{path.stem}.json"
            found = path.exists() and golden.exists()
        if not found:
            missing.append(name)
    assert missing == []


def test_every_test_of_traps_stands_on_the_page() -> None:
    """A trap that was found and not written down is found again."""
    text = (ROOT / "tests" / "unit" / "test_traps.py").read_text("utf-8")
    tests = {f"unit/test_traps.py::{name}" for name in re.findall(r"^def (test_\w+)\(", text, re.MULTILINE)}
    assert tests <= set(named())

"""The short form of the certificate, and that it can fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from certificate.city import PROGRAM
from certificate.faults import kill
from certificate.run import SHORT, certify

pytestmark = [pytest.mark.kill, pytest.mark.kafka, pytest.mark.timeout(900)]
SEED = 38185


def test_nothing_is_lost_doubled_or_out_of_order(tmp_path: Path) -> None:
    """Roles, broker, database, vendors and mail server fail under load, and every output is as the town said."""
    lines: list[str] = []
    made = certify(tmp_path, SHORT, SEED, lines.append)
    assert made.passed, "\n".join([*made.missing, *made.verdict.findings, *lines])
    assert made.verdict.events >= 5_000
    assert made.kills >= 8


def test_a_worker_that_commits_too_early_is_found_out(tmp_path: Path) -> None:
    """Commit before the acknowledgement, and a kill loses what was in hand: the same oracle says so."""

    def program(role: str) -> str:
        return "certificate.hasty" if role == "normalise" else PROGRAM

    form = replace(SHORT, events=0, kills=0, settle=1)
    # What a kill loses may be said again by the next poll: one of many falls upon what is said once.
    faults = [("kill normalise", kill("normalise"))] * 10
    made = certify(tmp_path, form, SEED, lambda _line: None, program, faults)
    assert made.verdict.lost
    assert not made.passed

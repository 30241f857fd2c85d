"""Alerts fire when they should, and ask only for what the hub tells."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from hub.catalogue import ROOT
from hub.testing.monitoring import Asked, missing, panels, rules

PROMETHEUS = ROOT / "deploy" / "prometheus"


@pytest.fixture(scope="module")
def promtool() -> Path:
    """Unpack Prometheus' own checker."""
    ended = subprocess.run(
        ["bash", ROOT / "deploy" / "local" / "tools.sh", "promtool"],
        capture_output=True,
        text=True,
        check=True,
        timeout=110,
    )
    return Path(ended.stdout.strip())


@pytest.mark.parametrize(
    "arguments",
    [["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"], ["check", "config", "prometheus.yml"]],
    ids=" ".join,
)
def test_promtool_is_content(promtool: Path, arguments: list[str]) -> None:
    """Rules parse, fire on their cases, and the configuration holds together."""
    ended = subprocess.run(
        [promtool, *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_alert_is_tested_and_has_its_runbook() -> None:
    """Each alert fires in a test, and its runbook's anchor exists."""
    text = (PROMETHEUS / "alerts.yml").read_text("utf-8")
    tests = (PROMETHEUS / "alerts.test.yml").read_text("utf-8")
    names = re.findall(r"- alert: (\w+)", text)
    assert set(names) == set(re.findall(r"alertname: (\w+)", tests))
    books = re.findall(r"runbook: (\S+)#(\S+)", text)
    assert len(names) == len(books)
    for page, anchor in books:
        headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text("utf-8"), re.MULTILINE)
        anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert anchor in anchors, f"{page} has no heading for #{anchor}"


def test_what_is_not_there_is_noticed() -> None:
    """The check itself finds a metric and a label that do not exist."""
    asked = [
        Asked("x", frozenset({"hub_nothing"}), frozenset()),
        Asked("y", frozenset({"hub_up"}), frozenset({"colour"})),
    ]
    assert len(missing(asked, {"hub_up": frozenset({"role"})})) == 2


def test_every_rule_and_panel_is_read() -> None:
    """The parser misses no expression."""
    assert sum(1 for _ in rules(PROMETHEUS / "alerts.yml")) == 13
    assert all(
        one.metrics for one in (*rules(PROMETHEUS / "alerts.yml"), *panels(ROOT / "deploy" / "grafana" / "hub.json"))
    )

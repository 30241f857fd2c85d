"""A new connector works before anybody has written a line of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hub.catalogue import ROOT
from hub.cli.new import STYLES

ELSEWHERE = shutil.ignore_patterns("__pycache__", ".git", ".venv", ".hub", ".*_cache", ".hypothesis")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what a checkout holds."""
    made = tmp_path_factory.mktemp("checkout") / "hub"
    for name in ("hub", "streams", "connectors", "schemas", "deploy"):
        shutil.copytree(ROOT / name, made / name, ignore=ELSEWHERE)
    shutil.copytree(ROOT / "tests" / "conformance", made / "tests" / "conformance", ignore=ELSEWHERE)
    for name in ("pyproject.toml", "ruff-pure.toml", "README.md"):
        shutil.copy(ROOT / name, made / name)
    return made


def run(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module in the copy."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("style", STYLES)
def test_each_style_passes_the_suite_at_once(checkout: Path, style: str) -> None:
    """The domain may be new too; nothing but the folder and its schema is written, and the linter is content."""
    product = f"{style}_box"
    made = run(checkout, "hub.cli", "new", "connector", "--domain", "leisure", "--product", product, "--style", style)
    assert made.returncode == 0, made.stdout + made.stderr
    assert f"connectors/sources/leisure/{product}" in made.stdout
    suite = run(checkout, "pytest", "-q", "-p", "no:cacheprovider", "tests/conformance", "-k", product)
    assert suite.returncode == 0, suite.stdout[-3000:]
    assert " passed" in suite.stdout
    checked = run(checkout, "hub.cli", "schemas", "check")
    assert "nothing to report" in checked.stdout
    linted = run(checkout, "ruff", "check", "--no-cache", f"connectors/sources/leisure/{product}")
    assert linted.returncode == 0, linted.stdout
    formatted = run(checkout, "ruff", "format", "--no-cache", "--check", f"connectors/sources/leisure/{product}")
    assert formatted.returncode == 0, formatted.stdout
    again = run(checkout, "hub.cli", "new", "connector", "--domain", "leisure", "--product", product, "--style", style)
    assert again.returncode == 2
    assert "choose another name" in again.stderr


def test_a_name_that_is_no_package_is_refused(checkout: Path) -> None:
    """With the reason, and nothing written."""
    refused = run(checkout, "hub.cli", "new", "connector", "--domain", "x", "--product", "Le Truc", "--style", "poll")
    assert refused.returncode == 2
    assert "becomes a Python package" in refused.stderr

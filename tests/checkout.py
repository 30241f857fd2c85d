"""A copy of what a checkout holds, for commands that write into it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from hub.catalogue import ROOT

# What Python compiled comes along: to compile it all again would take longer than the tests do.
_ELSEWHERE = shutil.ignore_patterns(".git", ".venv", ".hub", ".*_cache", ".hypothesis")


def copy(to: Path) -> Path:
    """Copy it into a new folder, and return that."""
    for name in ("hub", "streams", "connectors", "schemas", "deploy", "tests/conformance"):
        shutil.copytree(ROOT / name, to / name, ignore=_ELSEWHERE)
    for name in ("pyproject.toml", "ruff-pure.toml", "README.md", "tests/conftest.py", "tests/databases.py"):
        shutil.copy(ROOT / name, to / name)
    return to


def run(checkout: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the copy, on the copy's code."""
    return subprocess.run(
        command,
        cwd=checkout,
        env={**os.environ, "PYTEST_ADDOPTS": "", "PYTHONPATH": str(checkout), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def module(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module in the copy."""
    return run(checkout, sys.executable, "-m", *arguments)

"""The house keeps its shape: imports point down, generated files are fresh, nothing names this machine."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from hub.catalogue import ROOT
from hub.cli.schemas import findings
from hub.telemetry.telemetry import KEYS


def test_imports_point_down(tmp_path: Path) -> None:
    """The import contracts hold."""
    ended = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stdout


def test_schemas_and_models_are_in_order() -> None:
    """`hub schemas check` has nothing to report."""
    assert list(findings()) == []


def test_locks_name_no_address() -> None:
    """A lock that names an index does not work behind a mirror."""
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text("utf-8")
        assert "://" not in text
        assert "--index" not in text
        pinned = [line for line in text.splitlines() if line and not line.startswith((" ", "#", "-"))]
        assert all("==" in line for line in pinned)


def test_every_role_of_the_settings_can_be_run() -> None:
    """One file per role, each with its entry."""
    from importlib import import_module

    from hub.config import ROLES

    for role in ROLES:
        assert callable(import_module(f"hub.roles.{role}").run)


def pins(name: str) -> dict[str, str]:
    """Read what a lock installs."""
    text = (ROOT / "requirements" / name).read_text("utf-8")
    return dict(re.findall(r"^([a-z0-9_.-]+)(?:\[[^]]*\])?==(\S+)", text, re.MULTILINE | re.IGNORECASE))


def test_the_locks_hold_what_the_package_asks_for() -> None:
    """The package's dependencies are what is resolved, and both locks pin them alike."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [wish for wishes in project["optional-dependencies"].values() for wish in wishes]
    asked = {line for line in (ROOT / "requirements" / "run.in").read_text("utf-8").split("\n") if line[:1].isalpha()}
    assert asked == {*project["dependencies"], *extras}
    run, dev = pins("run.txt"), pins("dev.txt")
    assert run.items() <= dev.items()
    assert {wish.partition("[")[0] for wish in asked} <= run.keys()


def test_log_lines_say_only_what_they_may() -> None:
    """A key that is not on the list is taken out of the line: whoever writes one would never see it."""
    said = {
        (path.name, keyword.arg)
        for path in (ROOT / "hub").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in ("debug", "info", "warning", "error")
        and ast.unparse(call.func.value).endswith(("log", "logger"))
        for keyword in call.keywords
        if keyword.arg is not None
    }
    assert len(said) > 20
    assert {(name, key) for name, key in said if key not in KEYS | {"exc_info"}} == set()

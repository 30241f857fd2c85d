"""A new connector works before anybody has written a line of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import checkout
import pytest
from click.testing import CliRunner

from hub.cli.new import STYLES, command


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what a checkout holds."""
    return checkout.copy(tmp_path_factory.mktemp("checkout") / "hub")


def new(copied: Path, domain: str, product: str, style: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `hub new connector`."""
    arguments = ("--domain", domain, "--product", product, "--style", style, *options)
    return checkout.module(copied, "hub.cli", "new", "connector", *arguments)


def contents(copied: Path) -> dict[str, bytes]:
    """Read what a new connector could write to."""
    return {
        path.relative_to(copied).as_posix(): path.read_bytes()
        for top in ("connectors", "schemas")
        for path in (copied / top).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def assert_passes(copied: Path, domain: str, *products: str) -> None:
    """Run the suite and the linter over new folders, and check the schemas."""
    suite = checkout.module(
        copied, "pytest", "-q", "-p", "no:cacheprovider", "-rA", "tests/conformance", "-k", " or ".join(products)
    )
    assert suite.returncode == 0, suite.stdout[-3000:]
    for product in products:
        assert f"test_connectors.py::test_folder_holds_what_it_should[{product}]" in suite.stdout
    checked = checkout.module(copied, "hub.cli", "schemas", "check")
    assert "nothing to report" in checked.stdout
    folders = [f"connectors/sources/{domain}/{product}" for product in products]
    linted = checkout.module(copied, "ruff", "check", "--no-cache", *folders)
    assert linted.returncode == 0, linted.stdout
    formatted = checkout.module(copied, "ruff", "format", "--no-cache", "--check", *folders)
    assert formatted.returncode == 0, formatted.stdout


@pytest.mark.slow
def test_connectors_of_all_styles_pass_the_suite_at_once(copied: Path) -> None:
    """The domain may be new too; nothing but the folders and their schemas is written, and the linter is content."""
    for style in STYLES:
        made = new(copied, "leisure", f"{style}_box", style)
        assert made.returncode == 0, made.stdout + made.stderr
        assert f"connectors/sources/leisure/{style}_box" in made.stdout
    assert_passes(copied, "leisure", *(f"{style}_box" for style in STYLES))
    again = new(copied, "leisure", "poll_box", "poll")
    assert again.returncode == 2
    assert "choose another name" in again.stderr


@pytest.mark.slow
def test_an_event_that_exists_needs_no_schema(copied: Path) -> None:
    """With --event the folder passes too, and nothing is written outside of it."""
    before = contents(copied)
    made = new(copied, "transport", "lot_box", "webhook", "--event", "PermitRequested")
    assert made.returncode == 0, made.stdout + made.stderr
    after = contents(copied)
    assert {name: after.get(name) for name in before} == before
    assert all(name.startswith("connectors/sources/transport/lot_box/") for name in after.keys() - before.keys())
    assert_passes(copied, "transport", "lot_box")


@pytest.mark.parametrize(
    ("domain", "product", "options", "words"),
    [
        ("x", "foo", (), "the domain 'x' becomes a Python package"),
        ("transport", "Le Truc", (), "le_truc, perhaps"),
        ("transport", "class", (), "the product 'class' becomes a Python package"),
        ("trnsport", "foo", (), "no domain 'trnsport'; transport, perhaps?"),
        ("identity", "foo", (), "'identity' is the hub's own; there are citizen_portal,"),
        ("models", "foo", (), "'models' is the hub's own"),
        ("transport", "parking", (), "there is a connector 'parking'; choose another name"),
        ("transport", "shared_station", (), "take it by --event SharedStationChanged"),
        ("transport", "foo", ("--event", "MealBooked"), "no event 'MealBooked' in transport; there are Disruption"),
        ("leisure", "foo", ("--event", "MealBooked"), "no event 'MealBooked' in leisure; there is none"),
        ("transport", "half_made", (), "connectors/sources/transport/half_made holds files and no connector.toml"),
    ],
)
def test_what_cannot_be_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, domain: str, product: str, options: tuple[str, ...], words: str
) -> None:
    """In one line with the remedy, and nothing is written: above all no published schema is written over."""
    half_made = tmp_path / "connectors" / "sources" / "transport" / "half_made" / "source.py"
    half_made.parent.mkdir(parents=True)
    half_made.touch()
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.setattr("hub.cli.new.ROOT", tmp_path)
    before = set(tmp_path.rglob("*"))
    arguments = ("connector", "--domain", domain, "--product", product, "--style", "poll", *options)
    refused = CliRunner().invoke(command, arguments)
    assert refused.exit_code == 2
    assert words in refused.stderr
    assert refused.stderr.startswith("hub new: ")
    assert len(refused.stderr.splitlines()) == 1
    assert set(tmp_path.rglob("*")) == before

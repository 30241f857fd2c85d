"""The page of the first connector is followed to the letter: what it shows is what happens."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import checkout
import pytest

from hub.catalogue import ROOT

PAGE = ROOT / "docs" / "guide" / "first-connector.md"
CONNECTOR = Path("connectors/sources/transport/car_parks")
FILES = {"connector.toml", "model.py", "mapping.py", "source.py", "simulator.py"}
MOST_LINES = 200
PROGRAMS = {
    ".venv/bin/hub": (sys.executable, "-m", "hub.cli"),
    ".venv/bin/python": (sys.executable,),
    ".venv/bin/ruff": (sys.executable, "-m", "ruff"),
    ".venv/bin/mypy": (sys.executable, "-m", "mypy"),
    "rm": ("rm",),
}
"""What a reader types, and what runs it in a copy that has no environment of its own."""
_BLOCK = re.compile(
    r"^(?:\*\*`(?P<file>[^`\n]+)`\*\*\n\n)?```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


class Block(NamedTuple):
    """A fenced block; `file` is the name that stands above it."""

    file: str
    kind: str
    text: str


def blocks(page: str) -> Iterator[Block]:
    """Yield the blocks of a page in their order."""
    for found in _BLOCK.finditer(page):
        yield Block(found["file"] or "", found["kind"], found["text"])


def follow(copied: Path, page: str) -> list[str]:
    """Do what a page says; return each difference between what it shows and what happens."""
    differences: list[str] = []
    said, code = "", 0
    for block in blocks(page):
        if block.file:
            (copied / CONNECTOR / block.file).parent.mkdir(parents=True, exist_ok=True)
            (copied / CONNECTOR / block.file).write_text(block.text, "utf-8")
        elif block.kind == "toml":
            (copied / "city.toml").write_text(block.text, "utf-8")
        elif block.kind == "sh":
            for line in block.text.splitlines():
                if code:
                    differences.append(f"ends with {code}: {said}")
                program, *arguments = shlex.split(line)
                ended = checkout.run(copied, *PROGRAMS[program], *arguments)
                said, code = ended.stdout + ended.stderr, ended.returncode
        elif block.kind == "text":
            shown = ".*".join(re.escape(part) for part in block.text.split("…"))
            if not re.fullmatch(shown, said, re.DOTALL):
                differences.append(f"shown:\n{block.text}\nsaid:\n{said}")
            # `hub try` ends with 1 when something was set aside, and then says so.
            if code != ("  quarantine " in block.text):
                differences.append(f"ends with {code}: {said}")
            said, code = "", 0
        else:
            assert block.kind == "console", f"{block.kind}: what is to be done with it?"
    if code:
        differences.append(f"ends with {code}: {said}")
    return differences


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text("utf-8")


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory, page: str) -> tuple[Path, list[str]]:
    """Follow the page in a copy of this checkout, once for all tests."""
    copied = checkout.copy(tmp_path_factory.mktemp("first") / "hub")
    for folder in (copied / CONNECTOR).parents[1].iterdir():
        if folder.is_dir() and folder.name != "transport":
            # Other domains have no part in it, and take time to load.
            shutil.rmtree(folder)
    return copied, follow(copied, page)


def test_what_the_page_shows_is_what_happens(followed: tuple[Path, list[str]]) -> None:
    """Every command ends as it should and says what is shown, the suite included."""
    copied, differences = followed
    assert not differences, "\n\n".join(differences)
    goldens = {path.stem for path in (copied / CONNECTOR / "golden" / "parkings").glob("*.json")}
    assert goldens == {"first", "later", "invalid_text", "undecodable_page"}


def test_every_file_is_shown_in_fewer_than_200_lines(page: str, followed: tuple[Path, list[str]]) -> None:
    """The folder holds what the page shows, what `hub new` wrote once and the goldens; blank lines do not count."""
    copied, _ = followed
    shown = {block.file: block.text for block in blocks(page) if block.file}
    found = {path.relative_to(copied / CONNECTOR).as_posix() for path in (copied / CONNECTOR).rglob("*.*")}
    written = {name for name in found if not name.startswith("golden/") and "__pycache__" not in name}
    assert shown.keys() > FILES
    assert written == {*shown, "__init__.py"}
    lines = [line for text in shown.values() for line in text.splitlines() if line.strip()]
    assert len(lines) < MOST_LINES


def test_the_code_is_formatted_as_the_repository_is(followed: tuple[Path, list[str]]) -> None:
    """Nobody copies from the page what the linter then changes."""
    copied, _ = followed
    formatted = checkout.module(copied, "ruff", "format", "--no-cache", "--check", CONNECTOR.as_posix())
    assert formatted.returncode == 0, formatted.stdout


DAY = """
from pathlib import Path

from starlette.testclient import TestClient

from connectors.sources.transport.car_parks import source
from hub import catalogue
from hub.config import Loaded, Settings, Source, check_connectors
from hub.model.intake import Answer
from hub.testing.lane import Lane
from hub.testing.town.host import Host
from hub.testing.town.journal import Account

host = Host(Path("town"), seed=1, families=2, hooks_url="http://127.0.0.1:1")
vendor, hub, arrived = host.world.simulators["car_parks"], Lane("car_parks"), set()
with TestClient(vendor.app) as client:

    def poll():
        wishes = source.poll({}, {})
        wish = next(wishes)
        reply = client.get(wish.path, params=wish.params)
        headers = {name.lower(): value for name, value in reply.headers.items()}
        emit = wishes.send(Answer(reply.status_code, headers, reply.content, 1_773_128_400_000 + len(arrived)))
        arrived.add(emit.answer)
        hub.take(emit)
        assert hub.code is None, hub.code

    vendor.seed()
    poll()
    for _ in range(2):
        for step in vendor.day(host.world):
            step.do(host.world)
            poll()
seen = Account.of(host.journal.entries()).seen(arrived)
said = sorted(f"{fact.type} {fact.subject}" for fact in seen.observable)
found = sorted(f"{event.type.rpartition('.')[2]} {event.subject}" for event in hub.events)
assert "ParkingRemoved car_parks:TRAVAUX" in said
assert said == found, (said, found)

settings = Settings(connectors={"car_parks": Source(**vendor.city_settings("http://127.0.0.1:2"))})
assert check_connectors(Loaded(settings, {}), catalogue.connectors()) == []
"""


def test_what_its_simulator_says_is_what_its_mapping_finds(followed: tuple[Path, list[str]]) -> None:
    """The ledger of the demo would balance, on a second day too, and a city can start with the simulator's settings."""
    copied, _ = followed
    played = checkout.run(copied, sys.executable, "-c", DAY)
    assert played.returncode == 0, played.stderr[-2000:]

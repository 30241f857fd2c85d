"""A dataset is at a portal wholly or not at all; what failed is tried again, is seen, and makes nothing twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hub import catalogue
from hub.config import OpenData, Portal
from hub.delivery import exports
from hub.delivery.exports import Export
from hub.delivery.portals import Ckan, PortalTurn, Udata
from hub.model.errors import Transient
from hub.testing.portals import CkanBox, UdataBox
from streams.open_data.history import DatasetChange, Publication

NOW = datetime(2026, 3, 10, 7, 40, tzinfo=UTC)
Box = CkanBox | UdataBox


class Table:
    """Publications in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, Publication] = {}

    def publications(self) -> list[Publication]:
        return list(self.rows.values())

    def publication(self, row: Publication, now: int) -> None:
        self.rows[row.dataset] = row


class City:
    """A folder of open data and one portal."""

    def __init__(self, folder: Path, box: Box) -> None:
        token = folder / "token"
        token.write_text("secret\n")
        portal = Portal(url="https://portal.example", token_file=token, organisation="ville")
        self.settings = OpenData(folder=folder, ckan=portal, udata=portal)
        self.box = box
        self.table = Table()
        self.told: list[tuple[str, str]] = []
        self.exports: dict[str, Export] = {}
        self.now = 0
        publish = Ckan(self.settings, box) if isinstance(box, CkanBox) else Udata(self.settings, box)
        self.turn = PortalTurn(
            "portal", publish, self.table, lambda: self.exports, lambda *told: self.told.append(told), lambda: self.now
        )

    def write(self, name: str, text: bytes) -> None:
        dataset = catalogue.datasets()[name]
        files = exports.files_of(dataset, "38185-GRE")
        for file in files:
            exports.replace(self.settings.folder / file.path, text)
        change = DatasetChange(int(NOW.timestamp() * 1000), 1, 0, 0, exports.digest(text))
        self.exports[name] = Export(dataset, [], exports.digest(text), files, [change])

    def read(self, name: str) -> list[bytes]:
        """Return what whoever reads the dataset finds under the titles of its files."""
        (dataset,) = self.there()
        titles = [file.title for file in self.exports[name].files]
        listed = [(one.get("name") or one["title"], one["id"]) for one in dataset["resources"]]
        assert sorted(title for title, _ in listed if title in titles) == sorted(titles)
        return [self.box.files[number] for title, number in listed if title in titles]

    def go(self) -> None:
        self.turn(threading.Event())

    def there(self) -> list[dict[str, Any]]:
        found = self.box.packages if isinstance(self.box, CkanBox) else self.box.datasets
        return list(found.values())


@pytest.fixture(params=[CkanBox, UdataBox])
def city(request: pytest.FixtureRequest, tmp_path: Path) -> City:
    """Both portals."""
    make: Callable[[], Box] = request.param
    return City(tmp_path, make())


def test_a_dataset_is_published_once_and_again_when_it_changed(city: City) -> None:
    """What is there already is left alone."""
    city.write("prenoms", b"one")
    city.go()
    calls = len(city.box.calls)
    city.go()
    assert len(city.box.calls) == calls
    city.write("prenoms", b"two")
    city.go()
    (dataset,) = city.there()
    assert not dataset["private"]
    assert len(dataset["resources"]) == 4
    assert set(city.box.files.values()) == {b"two"}
    assert city.told == [("sent", ""), ("sent", "")]
    assert city.table.rows["prenoms"].sha256 == exports.digest(b"two")


@pytest.mark.parametrize("lost", [False, True])
def test_wherever_a_publication_breaks_off_nothing_of_it_is_public_and_the_next_one_completes_it(
    tmp_path: Path, city: City, *, lost: bool
) -> None:
    """Each call of it fails once, before it was done or after: there is one dataset, and it is whole."""
    city.write("prets", b"whole")
    city.go()
    needed = len(city.box.calls)
    for step in range(needed):
        folder = tmp_path / str(step)
        folder.mkdir()
        other = City(folder, type(city.box)())
        other.write("prets", b"whole")
        other.box.away = [0] * step + ([] if lost else [503])
        with pytest.raises(Transient):
            _breaking(other, step, lost)
        assert all(d["private"] or len(d["resources"]) == 4 for d in other.there())
        row = other.table.rows["prets"]
        assert (row.state, row.code, row.attempts) == ("later", "away", 1)
        other.now = row.next_at
        other.go()
        (dataset,) = other.there()
        assert not dataset["private"]
        assert len(dataset["resources"]) == 4
        assert other.table.rows["prets"].state == "sent"


@pytest.mark.parametrize("lost", [False, True])
def test_wherever_an_update_breaks_off_the_old_files_are_there_or_the_new_ones(
    tmp_path: Path, city: City, *, lost: bool
) -> None:
    """Never some of both: each call fails once, before it was done or after; the next try leaves only the new."""
    city.write("prenoms", b"old")
    city.go()
    before = len(city.box.calls)
    city.write("prenoms", b"new")
    city.go()
    for step in range(len(city.box.calls) - before):
        folder = tmp_path / str(step)
        folder.mkdir()
        other = City(folder, type(city.box)())
        other.write("prenoms", b"old")
        other.go()
        other.write("prenoms", b"new")
        other.box.away = [0] * step + ([] if lost else [503])
        with pytest.raises(Transient):
            _breaking(other, step, lost)
        assert other.read("prenoms") in ([b"old"] * 4, [b"new"] * 4)
        other.now = other.table.rows["prenoms"].next_at
        other.go()
        assert other.read("prenoms") == [b"new"] * 4
        assert list(other.box.files.values()) == [b"new"] * 4


def test_what_was_published_before_can_be_published_again(tmp_path: Path, city: City) -> None:
    """Wherever the way from it broke off: files that are about to go are not taken for those that are to come."""
    for text in (b"one", b"two"):
        before = len(city.box.calls)
        city.write("prenoms", text)
        city.go()
    for step in range(len(city.box.calls) - before):
        folder = tmp_path / str(step)
        folder.mkdir()
        other = City(folder, type(city.box)())
        other.write("prenoms", b"one")
        other.go()
        other.write("prenoms", b"two")
        other.box.away = [0] * step + [503]
        with pytest.raises(Transient):
            other.go()
        other.write("prenoms", b"one")
        other.go()
        assert other.read("prenoms") == [b"one"] * 4
        assert list(other.box.files.values()) == [b"one"] * 4


def _breaking(city: City, step: int, lost: bool) -> None:
    if lost:
        handle, begun = city.box.handle_request, len(city.box.calls)

        def handled(request: Any) -> Any:
            city.box.lost = int(len(city.box.calls) == begun + step)
            return handle(request)

        city.box.handle_request = handled  # type: ignore[method-assign]
    try:
        city.go()
    finally:
        city.box.__dict__.pop("handle_request", None)
        city.box.lost = 0


def test_what_is_refused_holds_up_no_other_and_is_tried_again_later(city: City) -> None:
    """A token that may not: visible, with its code; put right, it goes on by itself."""
    city.write("prenoms", b"one")
    city.write("prets", b"one")
    city.box.token = "another"
    city.go()
    assert {row.state for row in city.table.rows.values()} == {"refused"}
    assert len(city.told) == 2
    city.box.token = "secret"
    city.go()
    assert not city.there()
    city.now = 3_600_001
    city.go()
    assert {row.state for row in city.table.rows.values()} == {"sent"}


def test_a_portal_says_when_to_come_back(city: City) -> None:
    """`Retry-After` is kept."""
    city.write("prenoms", b"one")
    city.box.away = [429]
    with pytest.raises(Transient) as error:
        city.go()
    assert error.value.retry_after == 7
    assert city.table.rows["prenoms"].next_at >= 7000


@pytest.mark.parametrize("name", sorted(catalogue.datasets()))
def test_every_dataset_is_described_as_ckan_wants_it(tmp_path: Path, name: str) -> None:
    """Names, tags and organisation pass its validators."""
    city = City(tmp_path, CkanBox())
    city.write(name, b"one")
    city.go()
    assert city.told == [("sent", "")]

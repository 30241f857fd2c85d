"""Every page in a browser: axe finds nothing against WCAG 2.1 AA, a keyboard reaches all and sees where it is."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from web_town import ANNE, NOW, Town, furnish, waits, way_out

from hub import catalogue
from hub.config import OpenData
from hub.delivery.open_data import OpenDataTurn
from hub.store.mandates import Mandates
from hub.testing.chromium import Chromium
from hub.testing.town.host import Server

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    # The first run on a machine may have to unpack the browser.
    pytest.mark.timeout(400),
]
PHONE, DESK = 390, 1280
NARROWEST = 320
"""What remains of 1280 pixels for whoever magnifies four times: nothing may have to be scrolled sideways."""
METRICS = """hub_up 0
hub_records_decided_total{product="chrono",kind="deliver",code=""} 5
hub_records_decided_total{product="chrono",kind="quarantine",code="shape"} 2
hub_raw_written_total{product="chrono"} 7
hub_vendor_drift_total{product="chrono",feed="bookings",path="$.allergies.declared",change="new"} 1
hub_product_paused_timestamp_seconds{product="chrono",who="breaker",why="23 of 100 records rejected"} 1773127000
hub_waiting_seconds{what="the broker"} 3
"""
USABLE = "a[href], button, summary, input:not([type=hidden]), select, textarea, section.wide[tabindex]"
FOCUSED = """(() => {
  const one = document.activeElement;
  if (one === document.body || one === null) return null;
  const style = getComputedStyle(one), box = one.getBoundingClientRect();
  const shown = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
  const inside = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  return [[...document.querySelectorAll('*')].indexOf(one), shown, inside, one.outerHTML.slice(0, 120)];
})()"""


class Silent:
    """Takes what a turn of open data tells about itself."""

    def written(self, dataset: str, rows: int, at: float) -> None: ...
    def sound(self, dataset: str, withdrawn: int) -> None: ...
    def refused(self, dataset: str, problem: str) -> None:
        raise AssertionError(problem)


class Seen:
    """The hub in front of a browser, and who looks at which of its pages."""

    def __init__(self, folder: Path) -> None:
        (folder / "client").write_text("s3cret\n", "utf-8")
        ways = {
            kind: {"kind": kind, "issuer": "http://127.0.0.1:9", "client_id": "hub", "client_secret_file": "client"}
            for kind in ("publik", "franceconnect")
        }
        self.town = Town(folder, sign_in=ways, notifications={"unsubscribe_secret_file": folder / "hook"})
        furnish(self.town)
        waits(self.town)
        self.mandate = Mandates(self.town.store).make(ANNE, "agent", "PROXY", date(2026, 3, 20), NOW)
        self._publish(folder)
        self.roles = Server(Starlette(routes=[Route("/metrics", _metrics)]))
        listed = [{"targets": [f"127.0.0.1:{self.roles.port}"], "labels": {"role": "normalise"}}]
        (folder / "none.json").write_text(json.dumps(listed), "utf-8")
        self.server = Server(self.town.app)
        self.browser = Chromium()

    def _publish(self, folder: Path) -> None:
        """Write open data a month after what happened: what is over is told."""

        def later() -> datetime:
            return NOW + timedelta(days=31)

        branches = [("2026-03", "BMA", "LIVRE", 12), ("2026-03", "BMA", "DVD", 9), ("2026-03", "CV", "LIVRE", 7)]
        self.town.store.count(
            [
                (f"f{number}-{kind}-{place}", "loan", period, place, kind, 1)
                for period, place, kind, times in branches
                for number in range(times)
            ]
        )
        settings = OpenData(folder=folder / "opendata", supplied=folder / "supplied")
        turn = OpenDataTurn(self.town.store, settings, catalogue.datasets(), "https://x.example", Silent(), later)
        turn(threading.Event())

    def visit(self, page: str) -> None:
        """Open a page as who may see it."""
        who = PAGES[page]
        self.browser.forgets()
        self.browser.sends(**({"Authorization": _basic(who)} if who in ("agent", "clerk") else {}))
        if who == "anne":
            self.browser.open(f"{self.server.url}/connexion/{self.town.store.make_login(ANNE, NOW)}")
            self.browser.press("Tab")
            self.browser.press("Tab")
            self.browser.press("Enter")
            self.browser.arrives()
        places = {"mandate": self.mandate, "anne": ANNE, "way_out": way_out(self.town)}
        self.browser.open(f"{self.server.url}{page.format_map(places)}")


PAGES = {
    "/compte": "anne",
    "/compte/acces": "anne",
    # Somebody whom nobody knows is shown how to sign in.
    "/compte?": "nobody",
    "/connexion/abc": "nobody",
    "/nulle-part": "nobody",
    "{way_out}": "nobody",
    "/liens": "clerk",
    "/demandes": "agent",
    "/foyers?citizen={anne}": "agent",
    "/mandats": "agent",
    "/mandats/{mandate}": "agent",
    "/operations": "nobody",
    "/donnees/": "nobody",
    "/donnees/prets.html": "nobody",
    "/donnees/perturbations.html": "nobody",
}
"""Pages, by who looks at them."""


def _metrics(_request: Request) -> Response:
    return PlainTextResponse(METRICS)


def _basic(password: str) -> str:
    return f"Basic {b64encode(f'anybody:{password}'.encode()).decode()}"


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """Serve the hub to a browser."""
    made = Seen(tmp_path_factory.mktemp("seen"))
    with made.roles, made.server, made.browser:
        yield made
    made.town.store.close()


@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_nothing(seen: Seen, page: str) -> None:
    """On a telephone and at a desk, in the light and in the dark, with everything that opens open."""
    browser = seen.browser
    seen.visit(page)
    assert browser.evaluate("document.querySelector('h1').textContent.trim() !== ''")
    browser.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    found: dict[tuple[int, str], Any] = {}
    for scheme in ("light", "dark"):
        for width in (NARROWEST, PHONE, DESK):
            browser.looks(width, scheme=scheme)
            if violations := browser.violations():
                found[width, scheme] = violations
    assert found == {}


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_scrolled_sideways(seen: Seen, page: str) -> None:
    """A table may move within its own frame."""
    seen.browser.looks(NARROWEST)
    seen.visit(page)
    assert seen.browser.evaluate("document.documentElement.scrollWidth") <= NARROWEST


@pytest.mark.parametrize("page", PAGES)
def test_a_keyboard_reaches_everything_in_order_and_sees_where_it_is(seen: Seen, page: str) -> None:
    """Each Tab goes on to the next thing that can be used, in reading order, inside the window and with a ring."""
    browser = seen.browser
    browser.looks(PHONE)
    seen.visit(page)
    usable = browser.evaluate(f"document.querySelectorAll({json.dumps(USABLE)}).length")
    reached = []
    for _ in range(usable + 10):
        browser.press("Tab")
        focused = browser.evaluate(FOCUSED)
        if focused is None or (len(reached) > 1 and focused[0] == reached[0]):
            break
        place, ring, inside, element = focused
        assert ring, f"no ring: {element}"
        assert inside, f"outside: {element}"
        # A day is entered in three parts.
        if not reached or place != reached[-1]:
            reached.append(place)
    assert reached == sorted(set(reached))
    assert len(reached) == usable


def test_the_way_past_the_header_leads_to_the_content(seen: Seen) -> None:
    """The first Tab shows it, Enter follows it."""
    seen.browser.looks(PHONE)
    seen.visit("/compte")
    seen.browser.press("Tab")
    assert seen.browser.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    seen.browser.press("Enter")
    assert seen.browser.evaluate("document.activeElement.id") == "contenu"


def test_a_name_of_a_column_is_broken_only_where_a_word_ends(seen: Seen) -> None:
    """On a telephone as well: each piece of `library_branch` stands on one line."""
    seen.browser.looks(PHONE)
    seen.visit("/donnees/prets.html")
    boxes = """[...document.querySelectorAll('table.words code')].flatMap(one => [...one.childNodes]
      .filter(node => node.nodeType === 3).map(node => {
        const range = document.createRange();
        range.selectNodeContents(node);
        return [node.textContent, range.getClientRects().length];
      }))"""
    found = seen.browser.evaluate(boxes)
    assert any("_" in piece for piece, _ in found)
    assert {lines for _, lines in found} == {1}


def test_whoever_signs_out_with_a_key_sees_nothing_of_the_account_any_more(seen: Seen) -> None:
    """The page that follows says so, and the account asks who is there; going back in the browser shows nothing."""
    browser = seen.browser
    browser.looks(PHONE)
    seen.visit("/compte")
    there = browser.evaluate("document.querySelector('main').innerText")
    out = "document.querySelector('form[action=\\'/deconnexion\\'] button')"
    browser.evaluate(f"{out}.focus()")
    browser.press("Enter")
    browser.arrives()
    assert browser.evaluate("location.pathname") != "/compte"
    for address in ("/compte", "/compte/acces"):
        browser.open(f"{seen.server.url}{address}")
        assert browser.evaluate("document.querySelector('main').innerText") != there
        assert browser.evaluate(f"{out} === null")
    browser.evaluate("history.go(-3)")
    browser.arrives()
    assert browser.evaluate(f"{out} === null")


def test_a_defect_is_found(seen: Seen) -> None:
    """The check itself works: a picture without words, and words that are hardly there."""
    seen.visit("/compte")
    seen.browser.evaluate("document.body.insertAdjacentHTML('beforeend', '<main><img src=x></main>')")
    seen.browser.evaluate("document.querySelector('h1').style.color = '#eee'; 0")
    seen.browser.looks(DESK)
    assert {"image-alt", "color-contrast"} <= {one.rule for one in seen.browser.violations()}

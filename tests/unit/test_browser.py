"""Every page in a browser: axe finds nothing against WCAG 2.1 AA, a keyboard reaches all and sees where it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from browser_town import DESK, PAGES, PHONE, Seen

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    # The first run on a machine may have to unpack the browser.
    pytest.mark.timeout(400),
]
NARROWEST = 320
"""What remains of 1280 pixels for whoever magnifies four times: nothing may have to be scrolled sideways."""
USABLE = "a[href], button, summary, input:not([type=hidden]), select, textarea, section.wide[tabindex]"
FOCUSED = """(() => {
  const one = document.activeElement;
  if (one === document.body || one === null) return null;
  const style = getComputedStyle(one), box = one.getBoundingClientRect();
  const shown = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
  const inside = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  return [[...document.querySelectorAll('*')].indexOf(one), shown, inside, one.outerHTML.slice(0, 120)];
})()"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """Serve the hub to a browser."""
    with Seen(tmp_path_factory.mktemp("seen")) as made:
        yield made


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
    # What is folded away is reached once it is opened.
    browser.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    usable = browser.evaluate(f"document.querySelectorAll({json.dumps(USABLE)}).length")
    reached = []
    for _ in range(2 * usable + 10):
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
    assert "Vous n'êtes pas connecté" in browser.evaluate("document.querySelector('main').innerText")
    for address in ("/compte", "/compte/acces"):
        browser.open(f"{seen.server.url}{address}")
        assert browser.evaluate("document.querySelector('main').innerText") != there
        assert browser.evaluate(f"{out} === null")
    browser.evaluate("history.go(-3)")
    browser.arrives()
    assert browser.evaluate(f"{out} === null")


def test_a_picture_is_of_the_window(seen: Seen) -> None:
    """As wide and as high as it, in PNG."""
    seen.browser.looks(PHONE, 600)
    seen.visit("/compte")
    picture = seen.browser.picture()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(picture[16:20], "big"), int.from_bytes(picture[20:24], "big")) == (PHONE, 600)


def test_a_defect_is_found(seen: Seen) -> None:
    """The check itself works: a picture without words, and words that are hardly there."""
    seen.visit("/compte")
    seen.browser.evaluate("document.body.insertAdjacentHTML('beforeend', '<main><img src=x></main>')")
    seen.browser.evaluate("document.querySelector('h1').style.color = '#eee'; 0")
    seen.browser.looks(DESK)
    assert {"image-alt", "color-contrast"} <= {one.rule for one in seen.browser.violations()}

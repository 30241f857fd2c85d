"""Every page works by keyboard, by ear and in bright light: what can be told of that without a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from web_town import ANNE, NOW, Town, furnish, seal_of, waits, way_out

from hub.catalogue import ROOT
from hub.delivery import seals
from hub.store.mandates import Mandates

VOID = {"meta", "link", "input", "br"}
CSS = (ROOT / "hub" / "web" / "static" / "hub.css").read_text("utf-8")
SCHEMES = re.findall(r":root \{([^}]*)\}", CSS)
TEXTS = (
    *(("ink", paper) for paper in ("paper", "card")),
    *(("muted", paper) for paper in ("paper", "card")),
    *(("brand", paper) for paper in ("paper", "card")),
    ("card", "brand"),
    ("good", "good-bg"),
    ("warn", "warn-bg"),
)
"""What is written in which colour on which, as the stylesheet does."""


class Element:
    """One element of a page."""

    def __init__(self, tag: str, attributes: dict[str, str], inside: tuple[Element, ...]) -> None:
        self.tag, self.attributes, self.inside = tag, attributes, inside
        self.text = ""


class Page(HTMLParser):
    """Reads a page into its elements, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(text)
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, tuple(self._open))
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, *tags: str) -> list[Element]:
        """Return the elements with these tags."""
        return [element for element in self.elements if element.tag in tags]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Page]]:
    """Show every page, with something on it."""
    folder = tmp_path_factory.mktemp("pages")
    town = Town(folder, notifications={"unsubscribe_secret_file": folder / "hook"})
    furnish(town)
    desk = waits(town)
    agent = town.comes_from("127.0.0.1")
    agent.auth = ("anybody", "agent")
    mandate = Mandates(town.store).make(ANNE, "agent", "PROXY", date(2026, 3, 20), NOW)
    closed = town.client.get("/compte").text
    link = town.client.get("/connexion/x").text
    missing = town.client.get("/nulle-part", headers={"Accept": "text/html"}).text
    out = way_out(town)
    # Of a mail that is not there any more, and of one that is.
    nobody = "00000000-0000-4000-8000-000000000000"
    gone = f"/desinscription/{nobody}/{seals.of(folder / 'hook', nobody)}"
    town.login()
    shown = {
        "desinscription": town.client.get(out).text,
        "desinscription, pressed": town.client.post(out).text,
        "desinscription, too late": town.client.post(gone).text,
        "ferme": closed,
        "lien": link,
        "erreur": missing,
        "compte": town.client.get("/compte").text,
        "acces": town.client.get("/compte/acces").text,
        "liens": desk.get("/liens").text,
        "demandes": agent.get("/demandes").text,
        "foyers": agent.get("/foyers", params={"citizen": ANNE}).text,
        "mandats": agent.get("/mandats").text,
        "assistance": agent.get(f"/mandats/{mandate}").text,
    }
    # Each form that a desk decides with is there to be looked at.
    assert all(seal_of(shown[name]) for name in ("liens", "foyers"))
    yield {name: Page(text) for name, text in shown.items()}
    town.store.close()


def test_a_page_says_what_it_is(pages: dict[str, Page]) -> None:
    """Its language, a title, one first heading, and no heading that skips a level."""
    for name, page in pages.items():
        (html,), (title,), (_,) = page.all("html"), page.all("title"), page.all("h1")
        assert html.attributes["lang"] == "fr", name
        assert title.text.strip(), name
        levels = [int(heading.tag[1]) for heading in page.all("h1", "h2", "h3")]
        assert levels[0] == 1, name
        assert all(after - before <= 1 for before, after in pairwise(levels)), name


def test_what_is_pointed_at_is_there_once(pages: dict[str, Page]) -> None:
    """Ids are unique; labels, descriptions and the way past the header lead to one."""
    for name, page in pages.items():
        ids = [element.attributes["id"] for element in page.elements if "id" in element.attributes]
        assert len(ids) == len(set(ids)), name
        for element in page.elements:
            for pointer in ("aria-labelledby", "aria-describedby", "for"):
                if pointer in element.attributes:
                    assert element.attributes[pointer] in ids, (name, pointer)
            if element.attributes.get("href", "").startswith("#"):
                assert element.attributes["href"][1:] in ids, name


def test_what_can_be_used_has_a_name_and_the_first_of_it_leads_past_the_header(pages: dict[str, Page]) -> None:
    """A field has a label; a button, a link and what opens have words."""
    for name, page in pages.items():
        labelled = {label.attributes.get("for") for label in page.all("label")}
        for field in page.all("input", "select", "textarea"):
            if field.attributes.get("type") != "hidden":
                wrapped = any(outer.tag == "label" for outer in field.inside)
                assert wrapped or field.attributes["id"] in labelled, name
        usable = page.all("a", "button", "summary")
        assert all(element.text.strip() for element in usable), name
        assert usable[0].attributes["href"] == "#contenu", name


def test_no_page_needs_script(pages: dict[str, Page]) -> None:
    """Nor a style of its own: the policy would not let it."""
    for name, page in pages.items():
        assert page.all("script", "style", "iframe") == [], name
        for element in page.elements:
            assert not [one for one in element.attributes if one.startswith("on") or one == "style"], name


def test_every_form_is_sealed(pages: dict[str, Page]) -> None:
    """Those that change something: by a field, or by the address of their page, to which they go back."""
    for name, page in pages.items():
        for form in page.all("form"):
            fields = [field.attributes.get("name") for field in page.all("input") if form in field.inside]
            sealed = "seal" in fields or ("action" not in form.attributes and name.startswith("desinscription"))
            assert form.attributes["method"] == "get" or sealed, name


@pytest.mark.parametrize("scheme", SCHEMES, ids=["light", "dark"])
def test_words_can_be_read_on_what_they_stand(scheme: str) -> None:
    """Contrast of at least 4.5 to 1, in the light and in the dark scheme."""
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6})", scheme))
    for ink, paper in TEXTS:
        light, dark = sorted((_luminance(colours[ink]), _luminance(colours[paper])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, paper)


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue

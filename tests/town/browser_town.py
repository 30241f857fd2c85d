"""A hub with its pages in front of a browser, for tests and for the pictures of the guides."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from contextlib import ExitStack
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Self

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

PHONE, DESK = 390, 1280
"""Widths of a window, in pixels."""
METRICS = """hub_up 0
hub_records_decided_total{product="chrono",kind="deliver",code=""} 5
hub_records_decided_total{product="chrono",kind="quarantine",code="shape"} 2
hub_raw_written_total{product="chrono"} 7
hub_vendor_drift_total{product="chrono",feed="bookings",path="$.allergies.declared",change="new"} 1
hub_product_paused_timestamp_seconds{product="chrono",who="breaker",why="23 of 100 records rejected"} 1773127000
hub_waiting_seconds{what="the broker"} 3
"""


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
        self._listed = folder / "none.json"
        listed = [{"targets": [f"127.0.0.1:{self.roles.port}"], "labels": {"role": "normalise"}}]
        self._listed.write_text(json.dumps(listed), "utf-8")
        self.server = Server(self.town.app)
        self.browser = Chromium()
        self._open = ExitStack()
        self._open.callback(self.town.store.close)

    def __enter__(self) -> Self:
        """Start what serves, and the browser."""
        for one in (self.roles, self.server, self.browser):
            self._open.enter_context(one)
        return self

    def __exit__(self, *_: object) -> None:
        """End all."""
        self._open.close()

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

    def nothing_is_paused(self) -> None:
        """Have no role that tells of a product that waits."""
        self._listed.write_text("[]", "utf-8")

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

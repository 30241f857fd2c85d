"""FOLIO's circulation interface in a box."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.testing import simulator
from hub.testing.town.journal import Journal
from hub.testing.town.people import Town
from hub.testing.town.step import Step
from hub.testing.town.world import World

TENANT = "essai"
ASKED = re.compile(r'\(?(?:userId|requesterId)=="([0-9a-f-]{36})"(?: and status.name=="Open"\))?')


@dataclass(slots=True)
class Loan:
    """An item that is lent."""

    patron: str
    since: datetime
    due: datetime
    said: str
    action: str = "checkedout"


@dataclass(slots=True)
class Wish:
    """A request."""

    patron: str
    since: datetime
    status: str = "Open - Not yet filled"


class Simulator(simulator.Simulator):
    """The university's library, with the patrons who linked a card of it."""

    product = "folio"

    def __init__(
        self, town: Town, journal: Journal, clock: Callable[[], datetime], settings: Mapping[str, str]
    ) -> None:
        super().__init__(town, journal, clock, settings)
        self.loans: dict[str, Loan] = {}
        self.wishes: dict[str, Wish] = {}

    def routes(self) -> Sequence[BaseRoute]:
        return [Route("/circulation/loans", self.list_loans), Route("/circulation/requests", self.list_requests)]

    def city_settings(self, url: str) -> dict[str, Any]:
        return {**super().city_settings(url), "rate_per_second": 50, "settings": {"tenant": TENANT}}

    def day(self, world: World) -> Iterator[Step]:
        patron = str(uuid5(NAMESPACE_URL, f"folio:{world.town.cast.reader.borrowernumber}"))

        def link(w: World) -> None:
            w.act("publik", "link", w.town.cast.reader, f"folio:{patron}", "self")

        def lend(w: World) -> None:
            w.remembered["folio"] = w.act(self.product, "lend", patron)
            w.remembered["folio request"] = w.act(self.product, "ask", patron)

        if "publik" in world.simulators:
            yield Step("08:40", "The portal links a card of the university library", link)
        yield Step("09:45", "University library: a loan and a request", lend)
        yield Step("11:30", "… the loan is renewed", lambda w: w.act(self.product, "renew", w.remembered["folio"]))
        yield Step(
            "12:40",
            "… the request can be fetched",
            lambda w: w.act(self.product, "ready", w.remembered["folio request"]),
        )
        yield Step("15:35", "… the loan comes back", lambda w: w.act(self.product, "take_back", w.remembered["folio"]))

    # What happens.

    def lend(self, patron: str) -> str:
        """Lend an item; return the loan's id."""
        with self.lock:
            name = self._name("loan")
            now = self.clock()
            said = self._said("LoanStarted", patron, name, "loans")
            self.loans[name] = Loan(patron, now, now + timedelta(days=21), said)
            return name

    def renew(self, name: str) -> None:
        """Lend it for longer."""
        with self.lock:
            loan = self.loans[name]
            loan.due += timedelta(days=21)
            loan.action = "renewed"
            self._said("LoanRenewed", loan.patron, name, "loans", after=loan.said)

    def take_back(self, name: str) -> None:
        """Take an item back."""
        with self.lock:
            loan = self.loans.pop(name)
            self.over(loan.said)
            self._said("LoanReturned", loan.patron, name, "loans", after=loan.said)

    def ask(self, patron: str) -> str:
        """Request an item; return the request's id."""
        with self.lock:
            name = self._name("request")
            self._said("HoldPlaced", patron, name, "requests")
            self.wishes[name] = Wish(patron, self.clock())
            return name

    def ready(self, name: str) -> None:
        """Put an item aside for a request."""
        with self.lock:
            wish = self.wishes[name]
            wish.status = "Open - Awaiting pickup"
            self._said("HoldReady", wish.patron, name, "requests")

    def _name(self, kind: str) -> str:
        return str(uuid5(NAMESPACE_URL, f"folio:{kind}:{len(self.loans) + len(self.wishes)}:{self.clock()}"))

    def _said(self, kind: str, patron: str, name: str, feed: str, **more: Any) -> str:
        key = f"folio:{patron}"
        return self.said(kind, key, name, feed=feed, key=key, **more)

    # What is answered.

    def list_loans(self, request: Request) -> Response:
        """Answer `GET /circulation/loans?query=`."""
        with self.lock:
            return self._answer(request, "loans", self.loans, _loan)

    def list_requests(self, request: Request) -> Response:
        """Answer `GET /circulation/requests?query=`."""
        with self.lock:
            return self._answer(request, "requests", self.wishes, _request)

    def _answer(
        self,
        request: Request,
        feed: str,
        everything: Mapping[str, Any],
        written: Callable[[str, Any], dict[str, Any]],
    ) -> Response:
        asked = ASKED.fullmatch(request.query_params.get("query", ""))
        if asked is None or request.headers.get("X-Okapi-Tenant") != TENANT:
            return Response("no such query, or no such tenant", 400)
        listed = [written(name, one) for name, one in everything.items() if one.patron == asked.group(1)]
        body = json.dumps({feed: listed, "totalRecords": len(listed)}).encode()
        return self.answer(request, body, "application/json", feed=feed, key=f"folio:{asked.group(1)}")


def _loan(name: str, loan: Loan) -> dict[str, Any]:
    return {
        "id": name,
        "userId": loan.patron,
        "itemId": str(uuid5(NAMESPACE_URL, name)),
        "status": {"name": "Open"},
        "loanDate": loan.since.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "dueDate": loan.due.strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
        "action": loan.action,
        "item": {"title": "Un livre de l'essai", "barcode": "20000001", "materialType": {"name": "book"}},
        "checkoutServicePoint": {"name": "Accueil", "code": "bu1"},
    }


def _request(name: str, wish: Wish) -> dict[str, Any]:
    return {
        "id": name,
        "requestType": "Hold",
        "requestDate": wish.since.strftime("%Y-%m-%dT%H:%M:%S.000+00:00"),
        "requesterId": wish.patron,
        "instanceId": str(uuid5(NAMESPACE_URL, name)),
        "status": wish.status,
        "position": 1,
        "pickupServicePointId": str(uuid5(NAMESPACE_URL, "bu1")),
    }

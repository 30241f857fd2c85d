"""Koha's REST interface in a box, with the notices that it sends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.testing import simulator
from hub.testing.town.journal import Journal
from hub.testing.town.people import Town
from hub.testing.town.step import Step
from hub.testing.town.world import World


@dataclass(slots=True)
class Loan:
    """An item that is lent."""

    number: int
    patron: str
    since: datetime
    due: datetime
    said: str


@dataclass(slots=True)
class Reserved:
    """A hold."""

    number: int
    patron: str
    since: datetime
    said: str
    status: str | None = None


class Simulator(simulator.Simulator):
    """A branch library of its own, with the patrons who linked a card of it."""

    product = "koha"

    def __init__(
        self, town: Town, journal: Journal, clock: Callable[[], datetime], settings: Mapping[str, str]
    ) -> None:
        super().__init__(town, journal, clock, settings)
        self.loans: dict[int, Loan] = {}
        self.reserved: dict[int, Reserved] = {}
        self.number = 7000

    def routes(self) -> Sequence[BaseRoute]:
        return [Route("/api/v1/checkouts", self.checkouts), Route("/api/v1/holds", self.holds)]

    def city_settings(self, url: str) -> dict[str, Any]:
        return {**super().city_settings(url), "rate_per_second": 50}

    def day(self, world: World) -> Iterator[Step]:
        patron = f"5{world.town.cast.reader.borrowernumber}"

        def link(w: World) -> None:
            w.act("publik", "link", w.town.cast.reader, f"koha:{patron}", "self")

        def lend(w: World) -> None:
            w.remembered["koha"] = str(w.act(self.product, "lend", patron))
            w.remembered["koha hold"] = str(w.act(self.product, "reserve", patron))

        if "publik" in world.simulators:
            yield Step("08:35", "The portal links a card of the comics library", link)
        yield Step("09:40", "Comics library: a loan and a hold", lend)
        yield Step(
            "12:20",
            "… a notice: the hold is ready",
            lambda w: w.act(self.product, "ready", int(w.remembered["koha hold"])),
        )
        yield Step(
            "15:15", "… the loan comes back", lambda w: w.act(self.product, "give_back", int(w.remembered["koha"]))
        )

    # What happens.

    def lend(self, patron: str) -> int:
        """Lend an item; return the checkout's number."""
        with self.lock:
            self.number += 1
            said = self._said("LoanStarted", patron, self.number, "checkouts")
            now = self.clock()
            self.loans[self.number] = Loan(self.number, patron, now, now + timedelta(days=21), said)
            return self.number

    def give_back(self, number: int) -> None:
        """Take an item back."""
        with self.lock:
            loan = self.loans.pop(number)
            self.over(loan.said)
            self._said("LoanReturned", loan.patron, number, "checkouts", after=loan.said)

    def reserve(self, patron: str) -> int:
        """Reserve a record; return the hold's number."""
        with self.lock:
            self.number += 1
            said = self._said("HoldPlaced", patron, self.number, "holds")
            self.reserved[self.number] = Reserved(self.number, patron, self.clock(), said)
            return self.number

    def ready(self, number: int) -> None:
        """Put an item aside for a hold, and send the notice."""
        with self.lock:
            hold = self.reserved[number]
            hold.status = "W"
            self._said("HoldReady", hold.patron, number, "holds")
            self.number += 1
            body = {
                "notice_type": "HOLD",
                "transport_type": "email",
                "message_id": self.number,
                "patron_id": int(hold.patron),
                "hold_id": number,
            }
            # Polls show it too, whether or not the hold is known when the notice comes.
            self.call("notice", f"koha:{hold.patron}", json.dumps(body).encode())

    def _said(self, kind: str, patron: str, number: int, feed: str, **more: Any) -> str:
        key = f"koha:{patron}"
        return self.said(kind, key, str(number), feed=feed, key=key, **more)

    # What is answered.

    def checkouts(self, request: Request) -> Response:
        """Answer `GET /api/v1/checkouts?patron_id=`."""
        patron = request.query_params.get("patron_id", "")
        with self.lock:
            listed = [
                {
                    "checkout_id": loan.number,
                    "patron_id": int(loan.patron),
                    "item_id": loan.number + 1,
                    "due_date": loan.due.isoformat(),
                    "library_id": "BD",
                    "checkout_date": loan.since.isoformat(),
                    "last_renewed_date": None,
                    "checkin_date": None,
                    "renewals_count": 0,
                    "note": "",
                }
                for loan in self.loans.values()
                if loan.patron == patron
            ]
            return self._answer(request, listed, "checkouts", patron)

    def holds(self, request: Request) -> Response:
        """Answer `GET /api/v1/holds?patron_id=`."""
        patron = request.query_params.get("patron_id", "")
        with self.lock:
            listed = [
                {
                    "hold_id": hold.number,
                    "patron_id": int(hold.patron),
                    "biblio_id": hold.number + 9,
                    "item_id": str(hold.number + 1) if hold.status else None,
                    "pickup_library_id": "BD",
                    "priority": 0 if hold.status else 1,
                    "status": hold.status,
                    "hold_date": hold.since.date().isoformat(),
                    "waiting_date": None,
                    "expiration_date": None,
                    "cancellation_date": None,
                }
                for hold in self.reserved.values()
                if hold.patron == patron
            ]
            return self._answer(request, listed, "holds", patron)

    def _answer(self, request: Request, listed: list[dict[str, Any]], feed: str, patron: str) -> Response:
        return self.answer(request, json.dumps(listed).encode(), "application/json", feed=feed, key=f"koha:{patron}")

"""Civil Net Enfance in a box: plannings of children, in SOAP."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.testing import simulator
from hub.testing.town.clock import school_days
from hub.testing.town.journal import Journal
from hub.testing.town.people import Child, Family, Town
from hub.testing.town.step import Step

if TYPE_CHECKING:
    from hub.testing.town.world import World

PARIS = ZoneInfo("Europe/Paris")
SERVICES = {"REPAS": "Repas de midi", "GARDMAT": "Garderie du matin", "GARDSOIR": "Garderie du soir"}


@dataclass(slots=True)
class Place:
    """A place in a service on a day."""

    kind: str
    booked: str | None = None
    """The journal's name of the fact that it was booked."""


class Simulator(simulator.Simulator):
    """Answers what children are booked for; a day that was given up is not booked again."""

    product = "ciril"

    def __init__(
        self, town: Town, journal: Journal, clock: Callable[[], datetime], settings: Mapping[str, str]
    ) -> None:
        super().__init__(town, journal, clock, settings)
        self.places: dict[tuple[str, str, date], Place] = {}
        """By subject, service and day."""
        self.failing: dict[str, int] = {}

    def routes(self) -> Sequence[BaseRoute]:
        return [Route("/services/ServicesEnfance", self.ask, methods=["POST"])]

    def city_settings(self, url: str) -> dict[str, Any]:
        asked = {"since": (self.today - timedelta(days=7)).isoformat(), "path": "/services/ServicesEnfance"}
        return {**super().city_settings(url), "settings": asked, "rate_per_second": 50, "poll_seconds": 3}

    @property
    def today(self) -> date:
        """The vendor's day."""
        return self.clock().astimezone(PARIS).date()

    def families(self) -> list[Family]:
        """Those who book here: the last families with children."""
        return [family for family in self.town.families if family.children][-4:]

    def subject(self, family: Family, child: Child) -> str:
        """Name a child as it is linked."""
        return f"F{family.number}.{child.external_id}"

    def seed(self) -> None:
        """Book the meals of the next days for every child."""
        with self.lock:
            for family in self.families():
                for child in family.children:
                    for day in school_days(self.today + timedelta(days=1), 3):
                        self.book(self.subject(family, child), day)

    def day(self, world: World) -> Iterator[Step]:
        """Link a family, book, change one's mind in the middle, cancel."""
        family = self.families()[0]
        parent, child = family.parents[0], family.children[0]
        subject = self.subject(family, child)
        later = school_days(self.today + timedelta(days=10 * (world.days + 1)), 3)

        def link(w: World) -> None:
            for each in family.children:
                name = f"ciril:{self.subject(family, each)}"
                if name not in w.linked():
                    w.act("publik", "link", parent, name, "parent")

        def act(action: str, *about: Any, service: str = "REPAS") -> Any:
            return lambda w: w.act("ciril", action, subject, *about, service)

        yield Step("07:37", f"{parent.name} links a child at Civil Net Enfance", link)
        yield Step("08:10", "… books a meal and puts another into the basket", act("book", later[0]))
        yield Step("08:11", "… which is not booked yet", act("begin", later[1]))
        yield Step("09:05", "… then pays the basket: it is booked", act("book", later[1]))
        yield Step("10:15", "Civil Net Enfance answers with a fault", lambda w: w.act("ciril", "refuse", subject))
        yield Step("10:45", "A move to another day is begun, and says nothing yet", act("postpone", later[0]))
        yield Step("11:20", "… and is over: the meal is cancelled", act("cancel", later[0]))
        yield Step("14:45", "Evening care is booked", act("book", later[2], service="GARDSOIR"))
        yield Step(
            "15:25", "A page of HTML with status 200", lambda w: w.fail("ciril", "/services", "html200", method="POST")
        )

    # What happens.

    def book(self, subject: str, day: date, service: str = "REPAS") -> None:
        """Book a place, or confirm one that was begun."""
        with self.lock:
            place = self.places.setdefault((subject, service, day), Place(""))
            if place.kind not in ("", "ReservationEnCours"):
                raise ValueError(f"booked, or given up: {day}")
            place.kind = "ReservationValide"
            place.booked = self._said("MealBooked", subject, service, day)

    def begin(self, subject: str, day: date, service: str = "REPAS") -> None:
        """Put a place into the basket."""
        with self.lock:
            if (subject, service, day) in self.places:
                raise ValueError(f"begun before: {day}")
            self.places[subject, service, day] = Place("ReservationEnCours")

    def postpone(self, subject: str, day: date, service: str = "REPAS") -> None:
        """Begin to move a booking to another day: it is neither here nor there."""
        with self.lock:
            place = self._booked(subject, service, day)
            place.kind = "ReportEnCours"
            # Whoever has not seen it yet does not see it now.
            self.over(place.booked or "")

    def cancel(self, subject: str, day: date, service: str = "REPAS") -> None:
        """Give a place up."""
        with self.lock:
            place = self._booked(subject, service, day)
            if place.kind == "ReservationValide":
                self.over(place.booked or "")
            place.kind = "Ouvert"
            self._said(
                "MealCancelled", subject, service, day, after=place.booked, why="booked and cancelled between two polls"
            )

    def refuse(self, subject: str, times: int = 1) -> None:
        """Let the next questions about a child be answered with a fault in a 200."""
        with self.lock:
            self.failing[subject] = times

    def _booked(self, subject: str, service: str, day: date) -> Place:
        place = self.places.get((subject, service, day))
        if place is None or place.booked is None or place.kind == "Ouvert":
            raise ValueError(f"not booked: {day}")
        return place

    def _said(self, type: str, subject: str, service: str, day: date, **more: Any) -> str:
        key = f"ciril:{subject}"
        return self.said(type, key, f"{service} {day}", feed="planning", key=key, **more)

    # What is answered.

    async def ask(self, request: Request) -> Response:
        """Answer reservationActivityPlanningRequest."""
        asked = (await request.body()).decode()
        subject = f"{_part(asked, 'externalFolderId')}.{_part(asked, 'externalChildId')}"
        first, last = (date.fromisoformat(_part(asked, name)) for name in ("startDate", "endDate"))
        with self.lock:
            if self.failing.get(subject, 0) > 0:
                self.failing[subject] -= 1
                fault = "<s:Fault><faultcode>s:Server</faultcode><faultstring>Dossier en cours</faultstring></s:Fault>"
                # The answer shows nothing of the child, so it has no key by which facts are shown.
                return self.answer(request, _envelope(fault), "text/xml", feed="planning", key="")
            body = _envelope(self._planning(subject, first, last))
            return self.answer(request, body, "text/xml", feed="planning", key=f"ciril:{subject}")

    def _planning(self, subject: str, first: date, last: date) -> str:
        services = []
        for code, label in SERVICES.items():
            days = "".join(
                f"<day><date>{day}</date><dayType>{place.kind}</dayType></day>"
                for (who, service, day), place in sorted(self.places.items())
                if (who, service) == (subject, code) and first <= day <= last
            )
            services.append(
                "<activityServicesPlanning><possiblePostPonement>true</possiblePostPonement>"
                "<possibleReservation>1</possibleReservation>"
                f"<activityServiceCode>{code}</activityServiceCode>"
                f"<activityServiceLabel>{escape(label)}</activityServiceLabel>"
                "<weeklySchedule><monday>true</monday><wednesday xsi:nil='true'/></weeklySchedule>"
                f"{days}</activityServicesPlanning>"
            )
        return (
            '<enf:reservationActivityPlanningResponse xmlns:enf="Ciril:Enfance:ServicesEnfance">'
            "<amountInCent>0</amountInCent><activityCode>PERI</activityCode>"
            "<activityLabel>Temps périscolaires</activityLabel><instantPayment>false</instantPayment>"
            f"<reservationDeadline>{first}</reservationDeadline>{''.join(services)}"
            "</enf:reservationActivityPlanningResponse>"
        )


def _envelope(inner: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
        f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><s:Body>{inner}</s:Body></s:Envelope>'
    ).encode()


def _part(asked: str, name: str) -> str:
    found = re.search(f"<{name}>([^<]*)</{name}>", asked)
    return found[1] if found else ""

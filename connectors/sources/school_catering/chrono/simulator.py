"""Chrono in a box: agendas of the canteen and of care, with the callbacks that the city asked for."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hub.testing import simulator
from hub.testing.town.clock import school_days
from hub.testing.town.journal import Journal
from hub.testing.town.people import Child, Town

PARIS = ZoneInfo("Europe/Paris")
AGENDAS = {
    "LUNCH": ("cantine", "Cantine", "11:30:00"),
    "MORNING_CARE": ("accueil-matin", "Accueil du matin", "07:30:00"),
    "EVENING_CARE": ("accueil-soir", "Accueil du soir", "16:30:00"),
}
"""Activity to the slug, label and local time of its agenda."""
USER = "hub"
CREDENTIALS = "default"
"""File of the folder of secrets that holds the password of `USER`, named like the credentials."""


@dataclass(slots=True)
class Past:
    """A status that a booking had: whether anybody may have seen it, and whether somebody surely did."""

    status: str
    fact: str
    possible: bool
    certain: bool


@dataclass(slots=True)
class Booking:
    """A place in an agenda."""

    id: int
    child: str
    day: date
    activity: str
    waiting: bool
    booked: str
    """The journal's name of the fact that it was booked."""
    status: str = "booked"
    promoted: bool = False
    past: list[Past] = field(default_factory=list)


class Simulator(simulator.Simulator):
    """Answers who is booked, and calls back when somebody cancels, comes or does not come."""

    product = "chrono"

    def __init__(
        self, town: Town, journal: Journal, clock: Callable[[], datetime], settings: Mapping[str, str]
    ) -> None:
        super().__init__(town, journal, clock, settings)
        self.bookings: dict[int, Booking] = {}
        self.failing: dict[str, int] = {}
        self.number = 4000
        if "secrets_dir" in settings:
            password = Path(settings["secrets_dir"]) / CREDENTIALS
            if not password.exists():
                password.write_text(secrets.token_urlsafe(32) + "\n", "utf-8")
                password.chmod(0o600)

    def routes(self) -> Sequence[BaseRoute]:
        return [Route("/api/bookings/", self.listing)]

    def seed(self) -> None:
        """Book this week's meals for every child, and evening care for some; the days before today are over."""
        today = self.clock().astimezone(PARIS).date()
        week = school_days(today - timedelta(days=today.weekday()), 4)
        for index, child in enumerate(self.town.children):
            for day in week:
                meal = self.book(child, day)
                if day < today:
                    away = (index + day.day) % 11 == 0
                    # Its callback went to nobody: the hub was not there yet.
                    self._became(self.bookings[meal], "absent" if away else "eaten", called=False)
            if index % 3 == 0:
                self.book(child, week[index % 4], "EVENING_CARE", waiting=index % 5 == 0)

    def city_settings(self, url: str) -> dict[str, Any]:
        secret = str(Path(self.settings["secrets_dir"]) / CREDENTIALS)
        return {
            **super().city_settings(url),
            "credentials": {CREDENTIALS: {"kind": "basic", "client_id": USER, "secret_file": secret}},
        }

    def listing(self, request: Request) -> Response:
        """Answer `GET /api/bookings/?user_external_id=`."""
        if not self._allowed(request):
            return JSONResponse({"err": 1, "err_desc": "Authentication credentials were not provided."}, 401)
        child = request.query_params.get("user_external_id", "")
        with self.lock:
            if self.failing.get(child, 0) > 0:
                self.failing[child] -= 1
                error = {"err": 1, "err_class": "agenda unavailable", "err_desc": "agenda unavailable"}
                # The answer shows nothing of the child, so it has no key by which facts are shown.
                return self.answer(request, _json(error), "application/json", feed="bookings", key="")
            mine = [booking for booking in self.bookings.values() if booking.child == child]
            for booking in mine:
                if booking.past:
                    booking.past[-1].possible = True
            body = {"err": 0, "data": [self._item(booking) for booking in mine if booking.status != "cancelled"]}
            return self.answer(request, _json(body), "application/json", feed="bookings", key=f"chrono:{child}")

    def find(self, child: Child | str, day: date | str | None = None, activity: str | None = None) -> int | None:
        """Return the number of the child's first live booking (of a day, of an activity), if there is one."""
        with self.lock:
            for booking in self.bookings.values():
                if (
                    booking.child == _id(child)
                    and booking.status == "booked"
                    and (day is None or booking.day == _day(day))
                    and (activity is None or booking.activity == activity)
                ):
                    return booking.id
        return None

    def book(self, child: Child | str, day: date | str, activity: str = "LUNCH", *, waiting: bool = False) -> int:
        """Book a place, or one on the waiting list; only polls tell.  Return the booking's number."""
        with self.lock:
            self.number += 1
            key = f"chrono:{_id(child)}"
            fact = self.said("MealBooked", key, str(self.number), feed="bookings", key=key)
            self.bookings[self.number] = Booking(self.number, _id(child), _day(day), activity, waiting, fact)
            return self.number

    def promote(self, booking: int) -> None:
        """Give a place to a child who was waiting; only polls tell."""
        with self.lock:
            place = self._live(booking)
            if not place.waiting:
                raise ValueError(f"not waiting: {booking}")
            self.over(place.booked)
            key = f"chrono:{place.child}"
            place.booked = self.said("MealBooked", key, str(booking), feed="bookings", key=key)
            place.waiting, place.promoted = False, True

    def cancel(self, booking: int, *, callback: bool = True, twice: bool = False) -> str:
        """Cancel; with `callback` off the call gets lost on its way.  Return the callback's id."""
        with self.lock:
            place = self._live(booking)
            if place.status != "booked" or (place.promoted and not callback):
                raise ValueError(f"not now: {booking}")
            key = f"chrono:{place.child}"
            self.over(place.booked)
            fact = self.said(
                "MealCancelled",
                key,
                str(booking),
                feed="bookings",
                key=key,
                # A poll shows the gap only to those who saw the booking.
                after=None if callback else place.booked,
                why="" if callback else "booked and cancelled between two polls, callback lost",
            )
            place.status = "cancelled"
            return self._call("cancel", place, fact, lost=not callback, twice=twice)

    def attend(self, booking: int, *, callback: bool = True, twice: bool = False) -> str:
        """Record that the child was there; with `callback` off the call gets lost."""
        with self.lock:
            fact = self._became(self._live(booking), "eaten", called=callback)
            return self._call("presence", self.bookings[booking], fact, lost=not callback, twice=twice)

    def absent(self, booking: int, *, callback: bool = True, twice: bool = False) -> str:
        """Record that the child was not there, and why: the reason must go nowhere."""
        with self.lock:
            fact = self._became(self._live(booking), "absent", called=callback)
            return self._call("absence", self.bookings[booking], fact, lost=not callback, twice=twice)

    def forget(self) -> None:
        """Forget places that were given up: no answer names them any more."""
        with self.lock:
            self.bookings = {number: place for number, place in self.bookings.items() if place.status != "cancelled"}

    def refuse(self, child: Child | str, times: int = 1) -> None:
        """Let the next questions about a child be answered with an error in a 200."""
        with self.lock:
            self.failing[_id(child)] = times

    def hold_poll(self, seconds: float = 1.5, times: int = 1) -> None:
        """Hold the next answers back after they were computed: callbacks overtake them, and they are stale."""
        self.faults.add("/api/bookings/", "slow", times, seconds=seconds)

    def _became(self, place: Booking, status: str, *, called: bool) -> str:
        if place.status == status or place.waiting:
            raise ValueError(f"not now: {place.id}")
        if place.past:
            self.over(place.past[-1].fact)
        after, unless, observable = self._seen_before(place, status)
        fact = self.said(
            {"eaten": "MealEaten", "absent": "AbsenceRecorded"}[status],
            f"chrono:{place.child}",
            str(place.id),
            observable=observable,
            why="" if observable and not (after or unless) else "changed and changed back between two looks",
            feed="bookings",
            key=f"chrono:{place.child}",
            after=after,
            unless=unless,
        )
        place.status = status
        place.past.append(Past(status, fact, possible=called, certain=called))
        return fact

    def _seen_before(self, place: Booking, status: str) -> tuple[str | None, str | None, bool]:
        """Tell on what it depends whether a status is news: nobody sees a change back whose change was not seen."""
        seen = [past for past in place.past if past.possible]
        if not seen:
            return None, None, True
        last = seen[-1]
        if last.status == status:
            return (None, None, False) if last.certain else (None, last.fact, True)
        if not last.certain and len(seen) > 1 and seen[-2].status == status:
            return last.fact, None, True
        return None, None, True

    def _call(self, event: str, place: Booking, fact: str, *, lost: bool, twice: bool) -> str:
        body = {
            "id": str(uuid4()),
            "event": event,
            "at": self.clock().astimezone(PARIS).isoformat(timespec="milliseconds"),
            "booking": {
                "id": place.id,
                "user_external_id": place.child,
                "in_waiting_list": place.waiting,
                "event": self._event(place),
            },
        }
        # Whoever hears what became of a booking knows that it was booked.
        facts = [place.booked, fact]
        return self.call("callback", f"chrono:{place.child}", _json(body), facts=facts, lost=lost, twice=twice)

    def _live(self, booking: int) -> Booking:
        place = self.bookings[booking]
        if place.status == "cancelled":
            raise ValueError(f"cancelled: {booking}")
        return place

    def _item(self, place: Booking) -> dict[str, object]:
        return {
            "id": place.id,
            "in_waiting_list": place.waiting,
            "user_was_present": {"eaten": True, "absent": False}.get(place.status),
            "user_absence_reason": "malade (angine)" if place.status == "absent" else "",
            "extra_data": {"menu": "sans porc"} if place.id % 7 == 0 else None,
            "event": {**self._event(place), "duration": 90, "disabled": False},
        }

    def _event(self, place: Booking) -> dict[str, object]:
        slug, label, time = AGENDAS[place.activity]
        day = place.day.isoformat()
        return {"id": f"{slug}@{slug}-{day}", "slug": f"{slug}-{day}", "label": label, "datetime": f"{day} {time}"}

    def _allowed(self, request: Request) -> bool:
        if "secrets_dir" not in self.settings:
            return True
        file = Path(self.settings["secrets_dir"]) / CREDENTIALS
        try:
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            user, _, password = base64.b64decode(given, validate=True).decode().partition(":")
        except ValueError:
            return False
        known = file.read_text("utf-8").strip() if file.exists() else ""
        return scheme.lower() == "basic" and user == USER and bool(known) and secrets.compare_digest(password, known)


def _id(child: Child | str) -> str:
    return child if isinstance(child, str) else child.external_id


def _day(day: date | str) -> date:
    return date.fromisoformat(day) if isinstance(day, str) else day


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()

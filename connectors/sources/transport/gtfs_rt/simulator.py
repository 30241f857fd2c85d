"""A network's GTFS-Realtime in a box: alerts and trip updates, whole each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from google.transit.gtfs_realtime_pb2 import Alert, FeedHeader, FeedMessage, TripDescriptor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.testing import simulator
from hub.testing.town.journal import Journal
from hub.testing.town.people import Town
from hub.testing.town.step import Step
from hub.testing.town.world import World

ALERTS, TRIPS = "gtfs_rt:alerts", "gtfs_rt:trip_updates"


@dataclass(slots=True)
class Warned:
    """An alert that is in force."""

    id: str
    route: str
    title: str
    said: dict[str, str]
    """Its publication, as a fact, by the id under which a reader may first have seen it."""


@dataclass(slots=True)
class Run:
    """A trip that is told of."""

    route: str
    delay: int = 0
    cancelled: bool = False
    said: list[str] = field(default_factory=list)


class Simulator(simulator.Simulator):
    """Answers with protocol buffers; some ids last no longer than an answer does."""

    product = "gtfs_rt"

    def __init__(
        self, town: Town, journal: Journal, clock: Callable[[], datetime], settings: Mapping[str, str]
    ) -> None:
        super().__init__(town, journal, clock, settings)
        self.alerts: dict[str, Warned] = {}
        self.trips: dict[str, Run] = {}

    def routes(self) -> Sequence[BaseRoute]:
        return [Route("/gtfs-rt/alerts/SNC", self.all_alerts), Route("/gtfs-rt/SNC/trip-update", self.all_trips)]

    def city_settings(self, url: str) -> dict[str, Any]:
        return {
            **super().city_settings(url),
            "rate_per_second": 20,
            "settings": {"alerts": "/gtfs-rt/alerts/SNC", "trip_updates": "/gtfs-rt/SNC/trip-update"},
        }

    def seed(self) -> None:
        """Let the railway warn of what lasts."""
        with self.lock:
            for route, title in (("40", "Travaux de nuit"), ("41", "Quai 3 fermé"), ("44", "Cars de remplacement")):
                self.warn(route, title)

    def day(self, world: World) -> Iterator[Step]:
        def warn(w: World) -> None:
            w.remembered["platform"] = w.act(self.product, "warn", "40", "Panne de signalisation à l'Exemple")

        yield Step("08:10", "Railway: signals have failed", warn)
        yield Step(
            "08:20", "Railway: a train is ten minutes late", lambda w: w.act(self.product, "delay", "SNC-8:40", 620)
        )
        yield Step("09:15", "Railway: all alerts have new ids", lambda w: w.act(self.product, "rename"))
        yield Step("10:40", "Railway: signals work", lambda w: w.act(self.product, "lift", w.remembered["platform"]))
        yield Step("16:05", "Railway: a train is cancelled", lambda w: w.act(self.product, "cancel", "SNC-16:40"))

    # What happens.

    def warn(self, route: str, title: str) -> str:
        """Publish an alert; return its code."""
        with self.lock:
            code = str(uuid4())
            self.alerts[code] = alert = Warned(code, route, title, {})
            self._publish(alert, None)
            return code

    def rename(self) -> None:
        """Give every alert another id: to a reader nothing has changed."""
        with self.lock:
            for alert in self.alerts.values():
                alert.id = str(uuid4())
                if len(alert.said) == 1:
                    (first,) = alert.said.values()
                    self.over(first)
                    self._publish(alert, first)

    def lift(self, code: str) -> None:
        """Let an alert be absent from now on."""
        with self.lock:
            alert = self.alerts.pop(code)
            for name, fact in alert.said.items():
                self.over(fact)
                self.said("DisruptionEnded", f"gtfs_rt:{name}", name, feed="alerts", key=ALERTS, after=fact)

    def _publish(self, alert: Warned, unless: str | None) -> None:
        about = {"lines": [f"SNC:{alert.route}"]}
        subject = f"gtfs_rt:{alert.id}"
        alert.said[alert.id] = self.said(
            "DisruptionPublished", subject, alert.id, feed="alerts", key=ALERTS, unless=unless, about=about
        )

    def delay(self, trip: str, seconds: int) -> None:
        """Let a trip be late."""
        self._change(trip, Run("40", seconds))

    def cancel(self, trip: str) -> None:
        """Cancel a trip."""
        self._change(trip, Run("40", cancelled=True))

    def _change(self, trip: str, run: Run) -> None:
        with self.lock:
            before = self.trips.get(trip)
            for fact in before.said if before is not None else ():
                self.over(fact)
            if before is None or (before.delay, before.cancelled) != (run.delay, run.cancelled):
                run.said = [
                    self.said("TripChanged", f"gtfs_rt:{trip}", self._entity(trip), feed="trip_updates", key=TRIPS)
                ]
            self.trips[trip] = run

    def _entity(self, trip: str) -> str:
        return f"{trip}@{self.clock().date().isoformat()}"

    # What is answered.

    def all_alerts(self, request: Request) -> Response:
        """Answer with every alert."""
        with self.lock:
            message = self._message()
            for alert in self.alerts.values():
                entity = message.entity.add(id=alert.id)
                entity.alert.effect = Alert.SIGNIFICANT_DELAYS
                entity.alert.informed_entity.add(agency_id="SNC", route_id=alert.route)
                entity.alert.header_text.translation.add(text="Incident", language="en")
                entity.alert.header_text.translation.add(text=alert.title, language="fr")
            return self._answer(request, message, "alerts", ALERTS)

    def all_trips(self, request: Request) -> Response:
        """Answer with every trip that is told of."""
        with self.lock:
            message = self._message()
            for trip, run in self.trips.items():
                update = message.entity.add(id=trip).trip_update
                update.trip.trip_id, update.trip.route_id = trip, run.route
                update.trip.start_date = self.clock().strftime("%Y%m%d")
                if run.cancelled:
                    update.trip.schedule_relationship = TripDescriptor.CANCELED
                else:
                    update.stop_time_update.add(stop_sequence=3).arrival.delay = run.delay
            return self._answer(request, message, "trip_updates", TRIPS)

    def _message(self) -> Any:
        message = FeedMessage()
        message.header.gtfs_realtime_version = "2.0"
        message.header.incrementality = FeedHeader.FULL_DATASET
        message.header.timestamp = int(self.clock().timestamp())
        return message

    def _answer(self, request: Request, message: Any, feed: str, key: str) -> Response:
        return self.answer(request, message.SerializeToString(), "application/x-protobuf", feed=feed, key=key)

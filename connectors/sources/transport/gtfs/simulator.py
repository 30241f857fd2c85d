"""A publisher in a box: a ZIP, packed anew whenever something changes, its rows in another order each time."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.testing import simulator
from hub.testing.simulator import FileRow
from hub.testing.town.journal import Journal
from hub.testing.town.people import Town
from hub.testing.town.step import Step
from hub.testing.town.world import World


class Simulator(simulator.Simulator):
    """A small network."""

    product = "gtfs"

    def __init__(
        self, town: Town, journal: Journal, clock: Callable[[], datetime], settings: Mapping[str, str]
    ) -> None:
        super().__init__(town, journal, clock, settings)
        self.stops = {"S1": "Essai", "S2": "Modèle", "S3": "Exemple"}
        self.edition = 1
        self.told: list[str] = []

    def routes(self) -> Sequence[BaseRoute]:
        return [Route("/gtfs.zip", self.archive)]

    def city_settings(self, url: str) -> dict[str, Any]:
        return {
            **super().city_settings(url),
            "rate_per_second": 20,
            "poll_seconds": 3,
            "settings": {"path": "/gtfs.zip"},
        }

    def day(self, world: World) -> Iterator[Step]:
        # The first publication must have been read: what it is compared with tells nothing.
        yield Step("12:40", "The timetable: a stop has another name", lambda w: w.act(self.product, "rename", "S2"))

    def rename(self, stop: str) -> None:
        """Publish another edition, in which a stop has another name."""
        with self.lock:
            self.edition += 1
            self.stops[stop] = f"Modèle {self.edition}"
            said = self.said("TimetableChanged", f"gtfs:stop:{stop}", stop, feed="stops", key="gtfs:stops")
            self.told = [said]

    def archive(self, _request: Request) -> Response:
        """Answer with the edition of today."""
        with self.lock:
            rows = list(self.stops.items())
            turned = rows[self.edition % 3 :] + rows[: self.edition % 3]
            stops = "".join(f'{name},"{label}",45.18,5.72\r\n' for name, label in turned)
            tables = {
                "routes.txt": "route_id,route_short_name,route_long_name,route_type\r\nE,E,Essai - Exemple,0\r\n",
                "stops.txt": f"stop_id,stop_name,stop_lat,stop_lon\r\n{stops}",
                "calendar.txt": (
                    "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date\r\n"
                    "W,1,1,1,1,1,0,0,20260101,20261231\r\n"
                ),
            }
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w") as made:
                for name, text in tables.items():
                    made.writestr(zipfile.ZipInfo(name), "\ufeff" + text)
            shown = [
                FileRow("lines", "gtfs:lines"),
                FileRow("stops", "gtfs:stops", self.told),
                FileRow("services", "gtfs:calendar"),
            ]
            return self.file(f"edition-{self.edition}", packed.getvalue(), "application/zip", shown)

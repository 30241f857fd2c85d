"""An operator of shared bicycles in a box; one day it changes to GBFS 3."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.testing import simulator
from hub.testing.town.journal import Journal
from hub.testing.town.people import Town
from hub.testing.town.step import Step
from hub.testing.town.world import World

KEY = "gbfs:stations"


@dataclass(slots=True)
class Rack:
    """A station; its docks are all that hold no bicycle."""

    name: str
    capacity: int
    bikes: int
    told: str
    """The journal's name of the fact how it is."""
    works: bool = True


class Simulator(simulator.Simulator):
    """Answers with all stations; somebody always rides a bicycle."""

    product = "gbfs"

    def __init__(
        self, town: Town, journal: Journal, clock: Callable[[], datetime], settings: Mapping[str, str]
    ) -> None:
        super().__init__(town, journal, clock, settings)
        self.racks: dict[str, Rack] = {}
        self.version = "2.2"
        self.rides = 0

    def routes(self) -> Sequence[BaseRoute]:
        return [
            Route("/gbfs.json", self.discovery),
            Route("/station_information.json", self.information),
            Route("/station_status.json", self.status),
        ]

    def city_settings(self, url: str) -> dict[str, Any]:
        settings = {"discovery": f"{url}/gbfs.json"}
        return {**super().city_settings(url), "rate_per_second": 20, "settings": settings}

    def seed(self) -> None:
        """Put the stations up."""
        with self.lock:
            for number, name, capacity, bikes in (
                ("101", "Gare de l'Essai", 20, 14),
                ("102", "Mairie du Modèle", 16, 12),
                ("103", "École de l'Exemple", 12, 6),
            ):
                self.open(number, name, capacity, bikes)

    def day(self, world: World) -> Iterator[Step]:
        yield Step("08:05", "Shared bicycles: none is left", lambda w: w.act(self.product, "ride", "101", 0))
        yield Step("09:10", "Shared bicycles: no dock is left", lambda w: w.act(self.product, "ride", "101", 20))
        yield Step("10:10", "Shared bicycles: out of service", lambda w: w.act(self.product, "work", "102", 12, False))
        yield Step("11:40", "Shared bicycles: in service again", lambda w: w.act(self.product, "work", "102", 4, True))
        yield Step("12:20", "Shared bicycles: GBFS 3, for nobody to notice", lambda w: w.act(self.product, "upgrade"))
        yield Step("17:10", "Shared bicycles: there are some again", lambda w: w.act(self.product, "ride", "101", 9))

    # What happens.

    def open(self, number: str, name: str, capacity: int, bikes: int) -> None:
        """Put a station up."""
        with self.lock:
            self.racks[number] = Rack(name, capacity, bikes, self._say(number, "status"))

    def ride(self, number: str, bikes: int) -> None:
        """Let so many bicycles be there: another quarter of all, or the last one gone, or the last dock."""
        with self.lock:
            self.work(number, bikes, self.racks[number].works)

    def work(self, number: str, bikes: int, works: bool) -> None:
        """Take a station out of service, or put it back, with so many bicycles."""
        with self.lock:
            rack = self.racks[number]
            if (bikes, works) != (rack.bikes, rack.works):
                self.over(rack.told)
                rack.bikes, rack.works, rack.told = bikes, works, self._say(number, "status")

    def rename(self, number: str, name: str) -> None:
        """Call a station something else."""
        with self.lock:
            rack = self.racks[number]
            self.over(rack.told)
            rack.name, rack.told = name, self._say(number, "information")

    def remove(self, number: str) -> None:
        """Take a station away: it disappears from both files."""
        with self.lock:
            rack = self.racks.pop(number)
            self.over(rack.told)
            self.said("SharedStationRemoved", f"gbfs:{number}", number, feed="information", key=KEY, after=rack.told)

    def upgrade(self) -> None:
        """Publish as GBFS 3 from now on, under the same addresses."""
        with self.lock:
            self.version = "3.0"

    def _say(self, number: str, feed: str) -> str:
        return self.said("SharedStationChanged", f"gbfs:{number}", number, feed=feed, key=KEY)

    # What is answered.

    def discovery(self, request: Request) -> Response:
        """Answer with the addresses of the files."""
        with self.lock:
            base = str(request.url).rpartition("/")[0]
            feeds = [
                {"name": name, "url": f"{base}/{name}.json"}
                for name in ("system_information", "station_information", "station_status")
            ]
            data: dict[str, Any] = {"feeds": feeds}
            if self.version < "3":
                data = {"en": {"feeds": []}, "fr": data}
            return Response(self._file(data, 60), media_type="application/json")

    def information(self, request: Request) -> Response:
        """Answer with what is said of all stations."""
        with self.lock:
            stations = [
                {
                    "station_id": number,
                    "name": [{"text": f"{rack.name} (en)", "language": "en"}, {"text": rack.name, "language": "fr"}]
                    if self.version >= "3"
                    else rack.name,
                    "lat": 45.18,
                    "lon": 5.72,
                    "capacity": rack.capacity,
                }
                for number, rack in self.racks.items()
            ]
            body = self._file({"stations": stations}, 0)
            return self.answer(request, body, "application/json", feed="information", key=KEY)

    def status(self, request: Request) -> Response:
        """Answer with what all stations have; where there are some, one comes and goes."""
        with self.lock:
            self.rides += 1
            stations = []
            for number, rack in self.racks.items():
                ridden = self.rides % 2 if 1 < rack.bikes < rack.capacity - 1 else 0
                count = "num_vehicles_available" if self.version >= "3" else "num_bikes_available"
                stations.append(
                    {
                        "station_id": number,
                        count: rack.bikes - ridden,
                        "num_docks_available": rack.capacity - rack.bikes + ridden,
                        "is_installed": True,
                        "is_renting": rack.works,
                        "is_returning": rack.works,
                        "last_reported": self._now(),
                    }
                )
            body = self._file({"stations": stations}, 30)
            return self.answer(request, body, "application/json", feed="status", key=KEY)

    def _file(self, data: Mapping[str, Any], ttl: int) -> bytes:
        document = {"last_updated": self._now(), "ttl": ttl, "version": self.version, "data": data}
        return json.dumps(document, ensure_ascii=False).encode()

    def _now(self) -> int | str:
        now = self.clock().astimezone(UTC).replace(microsecond=0)
        return now.isoformat() if self.version >= "3" else int(now.timestamp())

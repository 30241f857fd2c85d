"""Car parks in a box."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.testing import simulator
from hub.testing.town.journal import Journal
from hub.testing.town.people import Town
from hub.testing.town.step import Step
from hub.testing.town.world import World

KEY = "parking:parkings"


@dataclass(slots=True)
class Park:
    """A car park; `free` is -1 where nobody counts."""

    name: str
    total: int
    free: int
    said: str


class Simulator(simulator.Simulator):
    """Answers with all car parks; cars come and go between two answers."""

    product = "parking"

    def __init__(
        self, town: Town, journal: Journal, clock: Callable[[], datetime], settings: Mapping[str, str]
    ) -> None:
        super().__init__(town, journal, clock, settings)
        self.parks: dict[str, Park] = {}
        self.cars = 0

    def routes(self) -> Sequence[BaseRoute]:
        return [Route("/points/json", self.collection)]

    def city_settings(self, url: str) -> dict[str, Any]:
        return {**super().city_settings(url), "rate_per_second": 20, "settings": {"path": "/points/json"}}

    def seed(self) -> None:
        """Open the car parks."""
        with self.lock:
            for code, name, total, free in (
                ("PVP_PKG_ESSAI", "ESSAI", 400, 380),
                ("PVP_PKG_MODELE", "MODÈLE", 250, -1),
                ("PR_EXEMPLE", "EXEMPLE", 120, 118),
            ):
                self.parks[code] = Park(name, total, free, self._say(code))

    def day(self, world: World) -> Iterator[Step]:
        yield Step("08:50", "Car parks: one fills up", lambda w: w.act(self.product, "fill", "PVP_PKG_ESSAI", 40))
        yield Step("09:20", "Car parks: it is full", lambda w: w.act(self.product, "fill", "PVP_PKG_ESSAI", 0))
        yield Step("17:20", "Car parks: it empties", lambda w: w.act(self.product, "fill", "PVP_PKG_ESSAI", 390))

    def fill(self, code: str, free: int) -> None:
        """Let so many places be free: another tenth of all of them, or the last one."""
        with self.lock:
            park = self.parks[code]
            if free != park.free:
                self.over(park.said)
                park.free, park.said = free, self._say(code)

    def _say(self, code: str) -> str:
        return self.said("ParkingChanged", f"parking:{code}", code, feed="parkings", key=KEY)

    def collection(self, request: Request) -> Response:
        """Answer with all of them; a car that has come or gone is no news."""
        with self.lock:
            self.cars += 1
            features = [
                {
                    "type": "Feature",
                    "properties": {
                        "CODE": code,
                        "LIBELLE": park.name,
                        "ADRESSE": "1 RUE DE L'ESSAI",
                        "TYPE": "PKG",
                        "TOTAL": park.total,
                        "LIGNES": "SEM_B,SEM_C5",
                        "DISPO": park.free + (self.cars % 2 if park.free > 1 else 0),
                        "NSV_ID": 0,
                    },
                    "geometry": {"type": "Point", "coordinates": [5.72, 45.18]},
                }
                for code, park in self.parks.items()
            ]
            body = json.dumps({"type": "FeatureCollection", "eacute": "é", "features": features}, ensure_ascii=False)
            return self.answer(request, body.encode(), "application/json", feed="parkings", key=KEY)

"""The permits office in a box."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from starlette.routing import BaseRoute

from hub.testing import simulator
from hub.testing.town.journal import Journal
from hub.testing.town.people import Town
from hub.testing.town.step import Step
from hub.testing.town.world import World


class Simulator(simulator.Simulator):
    """Hands on requests and decisions; it is asked for nothing."""

    product = "permits"

    def __init__(
        self, town: Town, journal: Journal, clock: Callable[[], datetime], settings: Mapping[str, str]
    ) -> None:
        super().__init__(town, journal, clock, settings)
        self.number = 0

    def routes(self) -> Sequence[BaseRoute]:
        return []

    def city_settings(self, url: str) -> dict[str, Any]:
        return {"hook_secret_file": self.settings["hook_secret_file"]}

    def day(self, world: World) -> Iterator[Step]:
        resident = world.town.cast.reader

        def ask(w: World) -> None:
            w.remembered["permit"] = w.act(self.product, "ask")
            if "publik" in w.simulators:
                w.act("publik", "link", resident, f"permits:{w.remembered['permit']}", "self")

        def decide(event: str, **more: Any) -> Callable[[World], Any]:
            return lambda w: w.act(self.product, "decide", w.remembered["permit"], event, **more)

        yield Step("09:25", f"{resident.name} asks for a parking permit", ask)
        yield Step("11:40", "… it is granted, and told twice", decide("granted", twice=True), resident)
        yield Step("12:30", "… and paid", decide("paid"))

    def ask(self) -> str:
        """Ask for a permit, on the form; return its number."""
        with self.lock:
            self.number += 1
            permit = f"P-{self.clock():%Y%m%d}-{self.number:04}"
            said = self._said("PermitRequested", permit)
            body = (
                f'<ParkCardRequest xmlns="urn:essai" Id="{permit}"><SubjectAddress>1 rue de l\'Essai</SubjectAddress>'
                "<ParkResident>Resident</ParkResident><ParkImatriculation><Immatriculation>AA-000-AA</Immatriculation>"
                "</ParkImatriculation><PaymentTotal>10.00</PaymentTotal></ParkCardRequest>"
            )
            self.call("park_card", f"permits:{permit}", body.encode(), "application/xml", facts=[said])
            return permit

    def decide(self, permit: str, event: str, *, twice: bool = False) -> None:
        """Let a step be taken, and say so once or twice."""
        with self.lock:
            said = self._said("PermitStatusChanged", permit)
            now = self.clock()
            body = {
                "id": str(uuid4()),
                "permit": permit,
                "kind": "parking",
                "event": event,
                "at": now.isoformat(timespec="seconds"),
                "zone": "Z4",
                "valid_until": (now + timedelta(days=365)).date().isoformat(),
                "reason": "never read",
            }
            self.call("decision", f"permits:{permit}", json.dumps(body).encode(), facts=[said], twice=twice)

    def _said(self, kind: str, permit: str) -> str:
        return self.said(kind, f"permits:{permit}", permit, feed="decision", key="")

"""The folder into which the central kitchen puts its files, in whatever encoding its software feels like."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING
from uuid import uuid4
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.testing import simulator
from hub.testing.town.journal import Journal
from hub.testing.town.people import Town
from hub.testing.town.step import Step

if TYPE_CHECKING:
    from hub.testing.town.world import World

PARIS = ZoneInfo("Europe/Paris")
KITCHEN = "21380185500015"
CANTEENS = {"21010034300016": "Cantine Bajatière", "21340172201787": "Cantine Ampère", "21670482500019": "Clémenceau"}
WRITTEN = (("utf-8", ","), ("iso-8859-1", ";"), ("utf-16", "\t"), ("utf-8-sig", ";"))
"""Encoding and separator of a file, in turn."""
PURCHASES = [
    "siret",
    "description",
    "fournisseur",
    "date",
    "prix_ht",
    "famille_produits",
    "categories_egalim",
    "origine",
    "est_circuit_court",
    "est_local",
    "definition_local",
    "definition_local_km",
]
DESCRIPTIONS = [
    "siret",
    "nom",
    "siret_cuisine_centrale",
    "nombre_repas_jour",
    "nombre_repas_an",
    "secteurs",
    "type_production",
    "type_gestion",
    "modèle_économique",
    "groupe_id",
    "administration_tutelle",
    "gestionnaires_additionnels",
]
GOODS = (
    ("Lait entier", "PRODUITS_LAITIERS", "BIO", "FRANCE", "x"),
    ("Pommes, rouges", "FRUITS_ET_LEGUMES", "", "", ""),
    ("Pavé de génisse", "VIANDES_VOLAILLES", "LABEL_ROUGE,IGP", "FRANCE", "oui"),
)


@dataclass(slots=True)
class File:
    """A file in the folder."""

    feed: str
    data: bytes
    answer: str
    """Request id of whoever reads it: its rows are raw records under numbers behind it."""
    rows: list[tuple[str, list[str]]] = field(default_factory=list)
    """Raw key of each row, and the journal's names of what it says."""
    told: bool = False


class Simulator(simulator.Simulator):
    """Lists files and gives them out; what was exported once is exported again in the next file."""

    product = "ma_cantine"

    def __init__(
        self, town: Town, journal: Journal, clock: Callable[[], datetime], settings: Mapping[str, str]
    ) -> None:
        super().__init__(town, journal, clock, settings)
        self.files: dict[str, File] = {}
        self.number = 0
        self.last: list[str] = []
        """Cells of the purchase that was exported last."""

    def routes(self) -> Sequence[BaseRoute]:
        return [Route("/", self.listing), Route("/{name}", self.download)]

    def city_settings(self, url: str) -> dict[str, object]:
        return {**super().city_settings(url), "rate_per_second": 50, "poll_seconds": 3}

    def seed(self) -> None:
        """Describe the canteens and export the first purchases."""
        with self.lock:
            self.describe()
            self.export(2)

    def day(self, world: World) -> Iterator[Step]:
        """Export purchases, one of them twice and one that nobody can read."""
        yield Step("09:15", "The central kitchen exports purchases", lambda w: w.act("ma_cantine", "export", 3))
        yield Step(
            "13:50",
            "… and again, with one of the last file and one of a 31 February",
            lambda w: w.act("ma_cantine", "export", 2, again=True, broken=True),
        )
        yield Step("15:40", "The folder is away", lambda w: w.fail("ma_cantine", "/", "503", 2))

    # What happens.

    def describe(self) -> None:
        """Write the file of canteens."""
        with self.lock:
            rest = ("120", "16 800", "Primaire,Maternelle", "Restaurant satellite", "Directe", "Public", "", "")
            cells = [[siret, name, KITCHEN, *rest, "chef@exemple.invalid"] for siret, name in CANTEENS.items()]
            said = [self.said("CanteenDescribed", f"ma_cantine:{row[0]}", row[0]) for row in cells]
            self._publish("cantines.csv", "canteens", DESCRIPTIONS, cells, [[fact] for fact in said])

    def export(self, count: int, *, again: bool = False, broken: bool = False) -> None:
        """Write a file of new purchases; with one of the file before, with one that cannot be."""
        with self.lock:
            today = self.clock().astimezone(PARIS).date()
            cells = [self.last] if again else []
            facts: list[list[str]] = [[] for _ in cells]
            for _ in range(count):
                row = self._purchase(today)
                cells.append(row)
                siret = row[0]
                # Told by a folder that keeps it: whoever reads at all will read it.
                facts.append([self.said("PurchaseDeclared", f"ma_cantine:{siret}", f"{siret} {self.number}")])
                self.last = row
            if broken:
                cells.append([*self._purchase(today)[:3], "2026-02-31", *self.last[4:]])
                facts.append([])
            self._publish(f"achats_{len(self.files):03d}.csv", "purchases", PURCHASES, cells, facts)

    def _purchase(self, day: date) -> list[str]:
        self.number += 1
        name, family, categories, origin, local = GOODS[self.number % len(GOODS)]
        siret = tuple(CANTEENS)[self.number % len(CANTEENS)]
        price = f"{self.number * 7}{',' if self.number % 2 else '.'}{self.number % 90 + 10}"
        described = f"{name}, livraison {self.number}"
        where = "DEPARTEMENT" if local else ""
        told = (siret, described, " Le bon traiteur ", day.isoformat(), price, f" {family} ", categories)
        return [*told, origin, "", local, where, ""]

    def _publish(self, name: str, feed: str, header: list[str], cells: list[list[str]], facts: list[list[str]]) -> None:
        encoding, separator = WRITTEN[len(self.files) % len(WRITTEN)]
        lines = [separator.join(header), *(separator.join(_quoted(cell, separator) for cell in row) for row in cells)]
        # An empty row at the end, as the software leaves it.
        text = "\r\n".join([*lines, separator * (len(header) - 1), ""])
        rows = [(f"ma_cantine:{row[0]}", said) for row, said in zip(cells, facts, strict=True)]
        if separator.strip():
            # Nothing but tabs is no row at all.
            rows.append(("ma_cantine:unknown", []))
        self.files[name] = File(feed, text.encode(encoding), str(uuid4()), rows)

    # What is answered.

    def listing(self, request: Request) -> Response:
        """Answer `GET /`."""
        with self.lock:
            return Response(json.dumps(list(self.files)), media_type="application/json")

    def download(self, request: Request) -> Response:
        """Answer `GET /<name>`; each row becomes a raw record, however often the file is read."""
        with self.lock:
            file = self.files.get(request.path_params["name"])
            if file is None:
                return Response(status_code=404)
            if not file.told:
                file.told = self._changed = True
                for number, (key, facts) in enumerate(file.rows, 1):
                    self.journal.write(
                        "served",
                        product=self.product,
                        feed=file.feed,
                        key=key,
                        answer=f"{file.answer}:{number}",
                        instance=simulator.instance_of(request),
                        facts=facts,
                    )
            return Response(file.data, headers={simulator.REQUEST_ID: file.answer, "Content-Type": "text/csv"})


def _quoted(cell: str, separator: str) -> str:
    return f'"{cell}"' if separator in cell else cell

"""The elections office in a box: a folder of rolls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hub.testing import simulator
from hub.testing.simulator import FileRow
from hub.testing.town.journal import Journal
from hub.testing.town.people import Town
from hub.testing.town.step import Step
from hub.testing.town.world import World

HEADER = (
    "TypeListe;InfoListe;DateCreationListe;CodeDepartement;CodeCommune;NomCommune;NoElecteurGeneral;Sexe;NomdeNaissance;"
    "NomDusage;Prenoms;DateDeNaissance;NomComNaissance;DeptNaissance;PaysNaissance;Nationalite;NomBureauDeVote;"
    "NoBureauDeVote;CodeCanton;CodeCirconscription;ComplementDeLocalisation1;ComplementDeLocalisation2;NumeroVoie;"
    "TypeVoie;LibelleVoie;LieuDit;CodePostal;VilleLocalite;Pays"
)


@dataclass(slots=True)
class Elector:
    """Somebody on the roll, and the fact that says so."""

    number: str
    station: int
    said: str


class Simulator(simulator.Simulator):
    """Writes a whole roll whenever somebody asks for one."""

    product = "electoral_roll"

    def __init__(
        self, town: Town, journal: Journal, clock: Callable[[], datetime], settings: Mapping[str, str]
    ) -> None:
        super().__init__(town, journal, clock, settings)
        self.electors: dict[str, Elector] = {}
        self.written: dict[str, bytes] = {}
        self.told: list[tuple[str, str]] = []
        """Facts since the last roll, with the elector."""
        self.shown: dict[str, list[FileRow]] = {}
        self.number = 0

    def routes(self) -> Sequence[BaseRoute]:
        return [Route("/", self.listing), Route("/{name}", self.contents)]

    def city_settings(self, url: str) -> dict[str, Any]:
        return {**super().city_settings(url), "rate_per_second": 20, "poll_seconds": 3}

    def seed(self) -> None:
        """Put people on the roll, and write it."""
        with self.lock:
            for _ in range(40):
                self.register()
            self.write()

    def day(self, world: World) -> Iterator[Step]:
        def revise(w: World) -> None:
            w.act(self.product, "revise")

        yield Step("10:30", "Elections: a new roll; some came, one moved, one was struck off", revise)

    # What happens.

    def register(self) -> None:
        """Put somebody on the roll."""
        self.number += 1
        number = f"{90_000_000 + self.number}"
        self.electors[number] = Elector(number, self.number % 5 + 1, self._say("ElectorRegistered", number))

    def revise(self) -> None:
        """Let three come, one move and one go; then write the roll."""
        with self.lock:
            known = list(self.electors)
            for _ in range(3):
                self.register()
            moved = self.electors[known[self.number % len(known)]]
            self.over(moved.said)
            moved.station, moved.said = moved.station + 1, self._say("ElectorRegistered", moved.number)
            gone = self.electors.pop(known[(self.number + 7) % len(known)])
            self.over(gone.said)
            self._say("ElectorRemoved", gone.number, after=gone.said)
            self.write()

    def _say(self, kind: str, number: str, **more: Any) -> str:
        key = self._share(number)
        said = self.said(kind, f"{self.product}:{number}", f"LP\x1f{number}", feed="roll", key=key, **more)
        self.told.append((said, number))
        return said

    def _share(self, number: str) -> str:
        return f"{self.product}:{sha256(number.encode()).digest()[0] % 64:02x}"

    def write(self) -> None:
        """Write the roll as it stands."""
        day = self.clock().strftime("%d/%m/%Y")
        rows = "".join(
            f"LP;Liste principale;{day};38;185;GRENOBLE;{one.number};F;ESSAI;;JEANNE;01/02/1980;GRENOBLE;38;FRANCE;"
            f"Française;École de l'Exemple {one.station};{one.station};;;;;1;RUE;DE L'ESSAI;;38000;GRENOBLE;FRANCE\r\n"
            for one in self.electors.values()
        )
        name = f"liste-electorale-{len(self.written) + 1:03}.csv"
        self.written[name] = f"{HEADER}\r\n{rows}".encode()
        mine = {self._share(number) for _, number in self.told}
        self.shown[name] = [
            FileRow(
                "roll", key, [said for said, number in self.told if self._share(number) == key] if key in mine else ()
            )
            for key in (f"{self.product}:{number:02x}" for number in range(64))
        ]
        self.told = []

    # What is answered.

    def listing(self, _request: Request) -> Response:
        """Answer with the names of the files."""
        with self.lock:
            return JSONResponse(sorted(self.written))

    def contents(self, request: Request) -> Response:
        """Answer with a file."""
        name = request.path_params["name"]
        with self.lock:
            if name not in self.written:
                return Response(status_code=404)
            return self.file(name, self.written[name], "text/csv", self.shown[name])

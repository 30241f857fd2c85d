"""Whoever asks the register, in a box: each answer is handed on as it came."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hub.testing import simulator
from hub.testing.town.journal import Journal
from hub.testing.town.people import Person, Town
from hub.testing.town.step import Step

if TYPE_CHECKING:
    from hub.testing.town.world import World

NAMESPACES = (
    'xmlns:ie="http://xml.insee.fr/schema" xmlns:ec="http://xml.insee.fr/schema/etat-civil"'
    ' xmlns:el="http://xml.insee.fr/schema/electoral"'
)


class Simulator(simulator.Simulator):
    """Asks about people of the town, and gets answers of every kind."""

    product = "rnipp"

    def __init__(
        self, town: Town, journal: Journal, clock: Callable[[], datetime], settings: Mapping[str, str]
    ) -> None:
        super().__init__(town, journal, clock, settings)
        self.asked = 0

    def routes(self) -> Sequence[BaseRoute]:
        return [Route("/asked", self.count)]

    def day(self, world: World) -> Iterator[Step]:
        """Let clerks ask about four people, and the register answer as it does."""
        cast = self.town.cast
        for time, person, kind in (
            ("10:20", cast.corsican, "found"),
            ("11:35", cast.unknown_day, "differs"),
            ("14:35", cast.foreign, "deceased"),
            ("16:35", cast.fifty, "misunderstood"),
        ):
            yield Step(time, f"RNIPP: somebody asks whether {person.name} is known", self._asking(person, kind))

    def _asking(self, person: Person, kind: str) -> Callable[[World], None]:
        return lambda world: world.act(self.product, "ask", person, kind)

    def count(self, _request: Request) -> Response:
        """Answer how often somebody asked; the hub does not ask."""
        with self.lock:
            return JSONResponse(self.asked)

    def ask(self, person: Person, kind: str = "found") -> None:
        """Ask about a person; the answer is `found`, `differs` (not well-formed), `deceased` or `misunderstood`."""
        with self.lock:
            self.asked += 1
            if kind == "misunderstood":
                body = b"Mauvais format"
                key = f"rnipp:unreadable-{hashlib.sha256(body).hexdigest()[:32]}"
                self.call("answer", key, body, "text/plain")
                return
            question = (
                f"http://identification-etat-civil.insee.net/individus?nom={quote(person.family_name)}"
                f"&prenoms={quote(' '.join(person.given_names))}&essai={self.asked}"
            )
            subject = f"rnipp:{hashlib.sha256(question.encode()).hexdigest()[:32]}"
            said = self.said("IdentificationAnswered", subject, subject[6:], feed="answer", key=f"{subject}/answer")
            self.call("answer", subject, _answer(question, person, kind), "text/xml", facts=[said])


def _answer(question: str, person: Person, kind: str) -> bytes:
    code = {"found": 2, "deceased": 3}.get(kind, 4)
    dead = "<ie:Deces><ie:DateDeces>2025-11-02</ie:DateDeces></ie:Deces>" if kind == "deceased" else ""
    born = str(person.birth).replace("-00", "")
    place = "Pays" if person.birth_place.startswith("99") else "Localite"
    now = (
        "<el:SituationActuelle><ec:Individu>"
        f"<ie:Noms><ie:NomFamille>{escape(person.family_name.upper())}</ie:NomFamille></ie:Noms>"
        f"<ie:Prenoms>{''.join(f'<ie:Prenom>{escape(name)}</ie:Prenom>' for name in person.given_names)}</ie:Prenoms>"
        f"<ie:Naissance><ie:DateNaissance>{born}</ie:DateNaissance>"
        f'<ie:LieuNaissance><ie:{place} code="{person.birth_place}"/>'
        f"</ie:LieuNaissance></ie:Naissance><ie:Sexe>F</ie:Sexe>{dead}"
        "</ec:Individu><ec:QualiteEtatCivil>ci</ec:QualiteEtatCivil></el:SituationActuelle>"
    )
    differs = "DateNaissance" if kind == "differs" else ""
    divergences = "".join(
        f"<ec:Divergence{name}>{str(name == differs).lower()}</ec:Divergence{name}>"
        for name in ("Nom", "Prenoms", "Sexe", "DateNaissance", "LieuNaissance", "NIR")
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<el:IdentificationsIndividusCitoyens {NAMESPACES} uriDemande="{escape(question)}"'
        ' dateValidite="2026-03-10">\n'
        + ('<?xml version="1.0" encoding="UTF-8"?>\n' if kind == "differs" else "")
        + f"<el:TypeReponseIdentification>{code}</el:TypeReponseIdentification>"
        f"<el:IdentificationIndividuCitoyen>{now if kind != 'differs' else ''}"
        f"<el:Divergences>{divergences}</el:Divergences>"
        "</el:IdentificationIndividuCitoyen></el:IdentificationsIndividusCitoyens>\n"
    ).encode()

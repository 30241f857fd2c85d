"""API Particulier in a box, with the city's register of families beside it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hub.testing import simulator
from hub.testing.town.journal import Journal
from hub.testing.town.people import Child, Family, Town
from hub.testing.town.step import Step

if TYPE_CHECKING:
    from hub.testing.town.world import World

CREDENTIALS = "default"
"""File of the folder of secrets that holds the token."""
SIRET = "21380185500015"


class Simulator(simulator.Simulator):
    """Answers about families and pupils, by name and date of birth; the register knows whom to ask about."""

    product = "api_particulier"

    def __init__(
        self, town: Town, journal: Journal, clock: Callable[[], datetime], settings: Mapping[str, str]
    ) -> None:
        super().__init__(town, journal, clock, settings)
        self.quotients: dict[int, int] = {}
        """By family; what is told is the band."""
        self.pupils: dict[str, bool] = {}
        """Whether a child is enrolled."""
        if "secrets_dir" in settings:
            token = Path(settings["secrets_dir"]) / CREDENTIALS
            if not token.exists():
                token.write_text(secrets.token_urlsafe(32) + "\n", "utf-8")
                token.chmod(0o600)

    def routes(self) -> Sequence[BaseRoute]:
        return [
            Route("/register/{subject}", self.register),
            Route("/v3/dss/quotient_familial/identite", self.quotient),
            Route("/v4/men/scolarites/identite", self.school_status),
        ]

    def city_settings(self, url: str) -> dict[str, Any]:
        secret = str(Path(self.settings["secrets_dir"]) / CREDENTIALS)
        return {
            **super().city_settings(url),
            "settings": {"recipient": SIRET, "identities": f"{url}/register"},
            "credentials": {CREDENTIALS: {"kind": "bearer", "secret_file": secret}},
            "rate_per_second": 50,
            "poll_seconds": 3,
        }

    def seed(self) -> None:
        """Let most families be known to the provider, and one not."""
        with self.lock:
            for family in self.families():
                key = f"api_particulier:family-{family.number}"
                if family.number % 4:
                    self.quotients[family.number] = 137 * family.number % 2600
                    self.said("TariffBandGranted", key, "tariff", feed="quotient_familial", key=key)
                for child in family.children:
                    if child.external_id not in self.pupils:
                        self.pupils[child.external_id] = True
                        subject = f"api_particulier:{child.external_id}"
                        self.said("SchoolStatusChanged", subject, "status", feed="scolarite", key=subject)

    def families(self) -> list[Family]:
        """Those about whom something must be known."""
        return [family for family in self.town.families if family.children][:6]

    def day(self, world: World) -> Iterator[Step]:
        """Link families for their tariff; the quota ends, and a provider is away."""
        families = self.families()

        def link(w: World) -> None:
            for family in families:
                names = [f"family-{family.number}", *(child.external_id for child in family.children)]
                for name in names:
                    if f"api_particulier:{name}" not in w.linked():
                        w.act("publik", "link", family.parents[0], f"api_particulier:{name}", "parent")

        def quota(w: World) -> None:
            w.fail("api_particulier", "/v3/", "429", 2, retry_after=0.5)

        yield Step("07:36", "API Particulier: the quota is used up", quota)
        yield Step("07:38", "Families ask for their tariff", link)
        yield Step(
            "07:55", "The provider of school status is away", lambda w: w.fail("api_particulier", "/v4/", "503", 1)
        )

    def register(self, request: Request) -> Response:
        """Answer `GET /register/<subject>`: the city's own, behind the city's own door."""
        subject = request.path_params["subject"]
        for family in self.families():
            if subject == f"family-{family.number}":
                parent = family.parents[0]
                born = {
                    "anneeDateNaissance": parent.birth.year,
                    "moisDateNaissance": parent.birth.month,
                    "jourDateNaissance": parent.birth.day,
                }
                params = {"nomNaissance": parent.family_name, "prenoms": list(parent.given_names), **born}
                return JSONResponse({"question": "quotient_familial", "params": params})
            for child in family.children:
                if subject == child.external_id:
                    pupil = {"nomNaissance": child.family_name, "prenoms": list(child.given_names)}
                    year = {"anneeDateNaissance": str(child.birth.year), "anneeScolaire": "2025"}
                    return JSONResponse({"question": "scolarite", "params": {**pupil, **year}})
        return JSONResponse({"detail": "inconnu"}, 404)

    def quotient(self, request: Request) -> Response:
        """Answer `GET /v3/dss/quotient_familial/identite`."""
        if not self._allowed(request):
            return _refused(401, "00101", "Votre jeton n'est pas valide")
        asked = request.query_params
        with self.lock:
            for family in self.families():
                parent = family.parents[0]
                if [parent.family_name, list(parent.given_names)] == [
                    asked.get("nomNaissance"),
                    asked.getlist("prenoms[]"),
                ]:
                    key = f"api_particulier:family-{family.number}"
                    if family.number not in self.quotients:
                        body = _error("37003", "Dossier allocataire absent CNAV", "CNAV")
                        return self.answer(
                            request, _json(body), "application/json", feed="quotient_familial", key="", status=404
                        )
                    body = {"data": self._household(family), "links": {}, "meta": {}}
                    return self.answer(request, _json(body), "application/json", feed="quotient_familial", key=key)
        return _refused(422, "00301", "Paramètres non reconnus")

    def school_status(self, request: Request) -> Response:
        """Answer `GET /v4/men/scolarites/identite`."""
        if not self._allowed(request):
            return _refused(401, "00101", "Votre jeton n'est pas valide")
        asked = request.query_params
        with self.lock:
            for family in self.families():
                for child in family.children:
                    if [child.family_name, list(child.given_names), str(child.birth.year)] == [
                        asked.get("nomNaissance"),
                        asked.getlist("prenoms[]"),
                        asked.get("anneeDateNaissance"),
                    ]:
                        key = f"api_particulier:{child.external_id}"
                        body = {"data": self._pupil(child), "links": {}, "meta": {}}
                        return self.answer(request, _json(body), "application/json", feed="scolarite", key=key)
        return _refused(422, "00301", "Paramètres non reconnus")

    def _household(self, family: Family) -> dict[str, Any]:
        return {
            "allocataires": [
                {"nom_naissance": p.family_name.upper(), "nom_usage": None, "prenoms": " ".join(p.given_names).upper()}
                | {"date_naissance": str(p.birth), "sexe": "F"}
                for p in family.parents
            ],
            "enfants": [
                {"nom_naissance": c.family_name.upper(), "nom_usage": None, "prenoms": " ".join(c.given_names).upper()}
                | {"date_naissance": [str(c.birth), None, "", "2020-00-00"][n % 4], "sexe": "M"}
                for n, c in enumerate(family.children)
            ],
            "adresse": {"destinataire": family.parents[0].name, "code_postal_ville": "38000 GRENOBLE"},
            "quotient_familial": {
                "fournisseur": "MSA" if family.number % 3 == 0 else "CNAF",
                "valeur": self.quotients[family.number],
                "annee": 2026,
                "mois": 2,
                "annee_calcul": 2026,
                "mois_calcul": 3,
            },
        }

    def _pupil(self, child: Child) -> dict[str, Any]:
        return {
            "identite": {
                "nom": child.family_name,
                "prenom": child.given_names[0],
                "sexe": "F",
                "date_naissance": str(child.birth),
            },
            "annee_scolaire": "2025-2026",
            "est_scolarise": self.pupils[child.external_id],
            "statut_eleve": {"code": "ST", "libelle": "Scolaire"},
            "est_boursier": True,
            "echelon_bourse": 1,
        }

    def _allowed(self, request: Request) -> bool:
        if "secrets_dir" not in self.settings:
            return True
        known = (Path(self.settings["secrets_dir"]) / CREDENTIALS).read_text("utf-8").strip()
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        return secrets.compare_digest(known.encode(), given.encode())


def _error(code: str, title: str, provider: str | None = None) -> dict[str, Any]:
    meta = {"provider": provider} if provider else {}
    return {"errors": [{"code": code, "title": title, "detail": title, "source": None, "meta": meta}]}


def _refused(status: int, code: str, title: str) -> Response:
    return JSONResponse(_error(code, title), status)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()

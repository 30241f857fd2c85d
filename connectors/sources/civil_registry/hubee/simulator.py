"""HubEE in a box: the queue of a commune, its cases and their attachments."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hub.testing import simulator
from hub.testing.town.journal import Journal
from hub.testing.town.people import Child, Person, Town
from hub.testing.town.step import Step

if TYPE_CHECKING:
    from hub.testing.town.world import World

PROCEDURES = ("EtatCivil", "CERTDC", "recensementCitoyen", "depotDossierPACS", "JeChangeDeCoordonnees", "OTV")
COMMUNE = {"type": "SI", "companyRegister": "21380185500015", "branchCode": "38185"}
STATE = {"type": "OSL", "companyRegister": "13002526500013", "branchCode": "00000"}
CLOSED = ("DONE", "REFUSED")
APPLICATION = "municipal-hub"


class Simulator(simulator.Simulator):
    """Queues a notification for every step of a case, until the commune deletes it."""

    product = "hubee"

    def __init__(
        self, town: Town, journal: Journal, clock: Callable[[], datetime], settings: Mapping[str, str]
    ) -> None:
        super().__init__(town, journal, clock, settings)
        self.cases: dict[str, dict[str, Any]] = {}
        self.files: dict[str, bytes] = {}
        self.queue: dict[str, dict[str, Any]] = {}
        self.tokens: dict[str, str] = {}
        self.number = 0
        if "secrets_dir" in settings:
            for procedure in PROCEDURES:
                path = Path(settings["secrets_dir"]) / procedure
                if not path.exists():
                    path.write_text(secrets.token_urlsafe(32) + "\n", "utf-8")
                    path.chmod(0o600)

    def routes(self) -> Sequence[BaseRoute]:
        return [
            Route("/token", self.token, methods=["POST"]),
            Route("/notifications", self.notifications),
            Route("/notifications/{id}", self.delete, methods=["DELETE"]),
            Route("/cases/{id}", self.case, methods=["GET", "PATCH"]),
            Route("/cases/{id}/attachments/{attachment}", self.attachment),
            Route("/cases/{id}/events", self.event, methods=["POST"]),
        ]

    def city_settings(self, url: str) -> dict[str, Any]:
        folder = Path(self.settings["secrets_dir"])
        return {
            **super().city_settings(url),
            "settings": {
                "procedures": ",".join(PROCEDURES),
                "editor_name": "Ville de Grenoble",
                "application_name": APPLICATION,
                "software_version": "1",
            },
            "credentials": {
                procedure: {
                    "kind": "oauth2",
                    "client_id": f"grenoble-{procedure}",
                    "secret_file": str(folder / procedure),
                    "token_url": f"{url}/token",
                    "scope": "SI",
                }
                for procedure in PROCEDURES
            },
        }

    def seed(self) -> None:
        """Let a few residents have asked for a record yesterday."""
        for person in self.town.readers[:3]:
            self.demand(person)

    def day(self, world: World) -> Iterator[Step]:
        """Let residents bring what is not a demand for a record, and once one that is announced as something else."""
        cast = self.town.cast
        young = cast.four_children.children[0]
        asker, mover = cast.hyphens, cast.accents
        partners = self.town.families[0].parents
        yield Step(
            "09:25", "HubEE: a young citizen is declared for the census", lambda w: w.act("hubee", "census", young)
        )
        yield Step("11:20", "HubEE: a partnership is filed", lambda w: w.act("hubee", "partnership", *partners[:2]))
        yield Step(
            "12:05",
            "HubEE: a hospital sends a signed certificate",
            lambda w: w.act("hubee", "certify_death"),
        )
        yield Step("14:05", f"HubEE: {asker.name} goes on holiday", lambda w: w.act("hubee", "holiday", asker))
        yield Step(
            "16:05",
            f"HubEE: what is announced as {mover.name}'s change of address is a demand for a record",
            lambda w: w.act("hubee", "change_of_address", mover),
        )

    # -- the vendor's API --------------------------------------------------------------------------

    async def token(self, request: Request) -> Response:
        """Give a token for one procedure's client."""
        form = (await request.body()).decode()
        kind, _, encoded = request.headers.get("authorization", "").partition(" ")
        try:
            client, _, secret = base64.b64decode(encoded).decode().partition(":")
        except ValueError:
            client, secret = "", ""
        procedure = client.removeprefix("grenoble-")
        path = Path(self.settings["secrets_dir"]) / procedure
        good = procedure in PROCEDURES and path.read_text("utf-8").strip() == secret
        if kind != "Basic" or not good or "grant_type=client_credentials" not in form:
            return JSONResponse({"error": "invalid_client"}, 401)
        token = secrets.token_urlsafe(24)
        with self.lock:
            self.tokens[token] = procedure
        return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": 600})

    def notifications(self, request: Request) -> Response:
        """Answer the head of the queue, oldest first."""
        procedure = self._procedure(request)
        if procedure is None:
            return _error(401, "Invalid token")
        try:
            most = int(request.query_params.get("maxResult", "100"))
        except ValueError:
            return _error(400, "Bad Request : maxResult")
        with self.lock:
            waiting = [item for item in self.queue.values() if item["processCode"] == procedure][:most]
            return JSONResponse(waiting)

    def delete(self, request: Request) -> Response:
        """Take a notification out of the queue."""
        if self._procedure(request) is None:
            return _error(401, "Invalid token")
        with self.lock:
            gone = self.queue.pop(request.path_params["id"], None)
            if gone is None:
                return _error(404, "Notification is not found")
            self.acked("case", f"hubee:{gone['caseId']}")
            return Response(status_code=204)

    async def case(self, request: Request) -> Response:
        """Answer a case as it stands, or change its status."""
        procedure = self._procedure(request)
        body = await request.json() if request.method == "PATCH" else None
        with self.lock:
            found = self.cases.get(request.path_params["id"])
            if procedure is None:
                return _error(401, "Invalid token")
            if found is None or found["processCode"] != procedure:
                return _error(404, "Case is not found")
            if body is not None:
                found["status"] = body["status"]
                found["updateDateTime"] = self._now()
                found["closeDateTime"] = self._now() if body["status"] in CLOSED else None
                return Response(status_code=204)
            # The one answer of the loop that becomes a record; attachments and digests travel within it.
            key = f"hubee:{found['id']}"
            return self.answer(request, _json(found), "application/json", feed="case", key=key)

    def attachment(self, request: Request) -> Response:
        """Answer a file with its digest."""
        if self._procedure(request) is None:
            return _error(401, "Invalid token")
        with self.lock:
            data = self.files.get(request.path_params["attachment"])
        if data is None:
            return _error(404, "Attachment is not found")
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        return Response(data, media_type="application/octet-stream", headers={"digest": f"SHA-256={digest}"})

    async def event(self, request: Request) -> Response:
        """Take an event of the commune."""
        body = await request.json()
        with self.lock:
            found = self.cases.get(request.path_params["id"])
            if self._procedure(request) is None:
                return _error(401, "Invalid token")
            if found is None:
                return _error(404, "Case is not found")
            self._step(found, body["caseCurrentStatus"], body["caseNewStatus"], author=body["author"])
            # What the commune wrote for itself, and to the resident, is given back to it as it was.
            found["events"][-1] |= {name: body[name] for name in ("partnerAttributes", "message") if name in body}
            return JSONResponse(found["events"][-1], 201)

    def _procedure(self, request: Request) -> str | None:
        return self.tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))

    # -- what happens ------------------------------------------------------------------------------

    def demand(self, person: Person, kind: str = "NAISSANCE") -> str:
        """Let a person ask for a copy of a record; return the case's id."""
        with self.lock:
            return self._open("EtatCivil", "RecordRequested", "acte.xml", _demand(person, kind), person)

    def declare_death(self) -> str:
        """Let a hospital declare a death: XML that declares ISO-8859-1 and is UTF-8, with CRLF."""
        with self.lock:
            return self._open("CERTDC", "DeathDeclared", "declaration_DD.xml", _death(self.clock()), None)

    def certify_death(self) -> str:
        """Let a hospital send the signed certificate: a post code that is none, and a signature over the bytes."""
        with self.lock:
            return self._open("CERTDC", "DeathDeclared", "certificat_VA.xml", _certificate(self.clock()), None)

    def census(self, child: Child) -> str:
        """Let a family declare a child for the census."""
        with self.lock:
            data = _census(child, self.clock())
            return self._open("recensementCitoyen", "CensusDeclared", "recensement.xml", data, child.parents[0])

    def partnership(self, one: Person, other: Person) -> str:
        """Let two people file for a civil partnership."""
        with self.lock:
            data = _partnership(one, other)
            return self._open("depotDossierPACS", "PartnershipFiled", "flux-pacs.xml", data, one)

    def holiday(self, person: Person) -> str:
        """Let somebody ask that the home be watched during holidays."""
        with self.lock:
            return self._open("OTV", "HolidayWatchRequested", "otv.json", _absence(person, self.clock()), person)

    def change_of_address(self, person: Person) -> str:
        """Announce a change of address, and send a demand for a record."""
        with self.lock:
            data = _demand(person, "NAISSANCE")
            return self._open("JeChangeDeCoordonnees", "RecordRequested", "flux-siv.xml", data, person)

    def set_status(self, case: str, status: str) -> None:
        """Let a clerk or the State move a case on."""
        with self.lock:
            found = self.cases[case]
            self._step(found, found["status"], status, author="mairie")
            found["status"] = status
            found["closeDateTime"] = self._now() if status in CLOSED else None
            self._notify(found, found["events"][-1]["id"])

    def reopen(self, case: str) -> None:
        """Let the sender complete a closed case with a late attachment."""
        with self.lock:
            found = self.cases[case]
            late = self._file("justificatif.pdf", "application/pdf", b"%PDF-1.4 late")
            found["attachments"].append(late)
            self._step(found, found["status"], "IN_PROGRESS", author="usager", kind="ATTACH_DEPOSIT", files=[late])
            found["status"], found["closeDateTime"] = "IN_PROGRESS", None
            self._notify(found, found["events"][-1]["id"])

    def duplicate_notification(self, case: str) -> None:
        """Tell of a case once more, though nothing is new."""
        with self.lock:
            self._notify(self.cases[case], None)

    def caseless_notification(self) -> None:
        """Queue a notification that names no case, as real queues do."""
        with self.lock:
            self._notify(None, None)

    def gone(self, case: str) -> None:
        """Purge a case whose notifications still wait: reading it is answered with 404."""
        with self.lock:
            del self.cases[case]

    def expire_tokens(self) -> None:
        """Let every token end at once, whatever was said about its time."""
        with self.lock:
            self.tokens.clear()

    def garbage(self) -> str:
        """Send a case whose payload is nonsense; return its id."""
        with self.lock:
            why = "the payload is nonsense"
            return self._open("EtatCivil", "RecordRequested", "acte.xml", b"<<garbage \x00\xff", None, why=why)

    def unsupported(self) -> str:
        """Send a case of a kind that is not handled yet; return its id."""
        with self.lock:
            data = b'<?xml version="1.0"?><CertificatInconnu><NNC>1</NNC></CertificatInconnu>'
            return self._open("CERTDC", "DeathDeclared", "certificat.xml", data, None, why="the payload is not handled")

    def _open(self, procedure: str, fact: str, name: str, data: bytes, person: Person | None, *, why: str = "") -> str:
        self.number += 1
        identifier = str(uuid4())
        self.cases[identifier] = found = {
            "id": identifier,
            "status": "HUBEE_NOTIFIED",
            "recipient": COMMUNE,
            "externalId": f"{procedure[:6].upper()}-{self.number:013d}-01"[:30],
            "processCode": procedure,
            "createDateTime": self._now(),
            "updateDateTime": None,
            "closeDateTime": None,
            "partnerAttributes": "",
            "applicant": {
                "firstName": person.given_names[0] if person is not None else "Service",
                "lastName": person.family_name if person is not None else "Émetteur",
                "email": person.email if person is not None else None,
            },
            "attachments": [self._file(name, "application/xml", data)],
            "events": [],
        }
        key = f"hubee:{identifier}"
        self.said(fact, key, identifier, feed="case", key=key, observable=not why, why=why)
        found["_silent"] = why
        self._notify(found, None)
        return identifier

    def _step(
        self,
        found: dict[str, Any],
        before: str,
        after: str,
        *,
        author: str,
        kind: str = "STATUS_UPDATE",
        files: Sequence[dict[str, Any]] = (),
    ) -> None:
        identifier = str(uuid4())
        found["events"].append(
            {
                "id": identifier,
                "transmitter": COMMUNE if author == APPLICATION else STATE,
                "actionType": kind,
                "status": "SENT",
                "notification": author != APPLICATION,
                "author": author,
                "caseCurrentStatus": before,
                "caseNewStatus": after,
                "attachments": list(files),
                "createDateTime": self._now(),
                "updateDateTime": None,
            }
        )
        key, why = f"hubee:{found['id']}", found["_silent"]
        self.said("RequestStatusChanged", key, identifier, feed="case", key=key, observable=not why, why=why)

    def _notify(self, found: dict[str, Any] | None, event: str | None) -> None:
        identifier = str(uuid4())
        self.queue[identifier] = {
            "id": identifier,
            "recipient": COMMUNE,
            "transmitter": STATE,
            "processCode": found["processCode"] if found is not None else "EtatCivil",
            "caseId": found["id"] if found is not None else None,
            "eventId": event,
            "dateTime": self._now(),
        }

    def _file(self, name: str, mime: str, data: bytes) -> dict[str, Any]:
        identifier = str(uuid4())
        self.files[identifier] = data
        return {
            "id": identifier,
            "status": "PENDING",
            "fileName": name,
            "type": "PIECE",
            "size": len(data),
            "mimeType": mime,
        }

    def _now(self) -> str:
        return self.clock().isoformat(timespec="milliseconds")


def _json(found: Mapping[str, Any]) -> bytes:
    return json.dumps({k: v for k, v in found.items() if not k.startswith("_")}, ensure_ascii=False).encode()


def _error(status: int, message: str) -> Response:
    return JSONResponse({"errors": [{"code": status, "message": message}]}, status)


def _demand(person: Person, kind: str) -> bytes:
    born = person.birth_date
    given = escape(" ".join(person.given_names))
    return f"""<?xml version="1.0" encoding="UTF-8" ?>
<EnveloppeMetierType canal_utilise="0">
\t<DemandeActe>
\t\t<TypeActe><Code>{kind}</Code><Libelle>Acte</Libelle></TypeActe>
\t\t<NatureActe><Code>COPIE-INTEGRALE</Code><Libelle>Copie intégrale</Libelle></NatureActe>
\t\t<DateActe>{born.isoformat() if born is not None else ""}</DateActe>
\t\t<LieuActe>
\t\t\t<CodePostal></CodePostal>
\t\t\t<Ville>{escape(person.birth_place_name)}</Ville>
\t\t\t<CodeINSEE>{person.birth_place}</CodeINSEE>
\t\t</LieuActe>
\t\t<NombreExemplaires>1</NombreExemplaires>
\t\t<MotifDemande><Libelle>Autre</Libelle><Commentaire/></MotifDemande>
\t\t<Demandeur>
\t\t\t<QualiteDemandeur><Code>PersonneConcernee</Code></QualiteDemandeur>
\t\t\t<Nom>{escape(person.family_name, {"'": "&apos;"})}</Nom>
\t\t\t<Prenom>{given}</Prenom>
\t\t\t<Courriel>{escape(person.email)}</Courriel>
\t\t</Demandeur>
\t\t<Titulaire><NomNaissance>{escape(person.family_name.upper())}</NomNaissance><Prenoms>{given}</Prenoms></Titulaire>
\t</DemandeActe>
</EnveloppeMetierType>
""".encode()


def _death(moment: datetime) -> bytes:
    day = moment.date().isoformat()
    lines = [
        '<?xml version="1.0" encoding="ISO-8859-1"?>',
        '<InsermDeclarationDeces version="1.00.00">',
        f"<Annee>{moment.year}</Annee><Ville>GRENOBLE</Ville><Etablissement>Hôpital de la Vallée</Etablissement>",
        "<CodeFinessEtablissement>380000000</CodeFinessEtablissement>",
        f"<DateDeces><Date>{day}</Date><Heure>04:10:00</Heure></DateDeces>",
        f"<DateRedaction>{day}T06:22:59</DateRedaction>",
        "<Defunt><Nom>Éssai</Nom><Prenoms>Éssai</Prenoms></Defunt>",
        "</InsermDeclarationDeces>",
        "",
    ]
    return "\r\n".join(lines).encode()


def _certificate(moment: datetime) -> bytes:
    day = moment.date().isoformat()
    return f"""<?xml version="1.0" encoding="ISO-8859-1"?><InsermCertificatAdministrative version="1.00.00">
\t<DateDeces>
\t\t<Date>{day}</Date>
\t<Heure>05:00:00</Heure>
\t</DateDeces>
\t<Defunt><Nom>Éssai</Nom><Prenoms>Éssai</Prenoms><Sexe>Feminin</Sexe></Defunt>
\t<LieuDeces><Commune>GRENOBLE</Commune><CodePostal>38185</CodePostal></LieuDeces>
\t<InformationsFuneraires><ObstacleMedicoLegal>false</ObstacleMedicoLegal></InformationsFuneraires>
\t<Validation><NNC>ER00000000001</NNC><CodeFinessOrganisme>380000000</CodeFinessOrganisme>
\t<Date>{day}T06:22:59</Date><CodeDepot>0000-0000-0000-0000</CodeDepot></Validation>
<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#" Id="id-0"><ds:SignatureValue>AAAA</ds:SignatureValue>
</ds:Signature></InsermCertificatAdministrative>
""".encode()


def _census(child: Child, moment: datetime) -> bytes:
    born = child.birth_date
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<RecensementCitoyen>
  <Convention></Convention>
  <Formalite><Identifiant/><DateSoumission>{moment:%Y-%m-%dT%H:%M:%S}</DateSoumission>
    <FormaliteMotifCode>RECENSEMENT</FormaliteMotifCode><FormaliteMotifCode></FormaliteMotifCode></Formalite>
  <Personne><Civilite>M</Civilite><Sexe>1</Sexe><NomFamille>{escape(child.family_name.upper())}</NomFamille>
    <PrenomUsuel>{escape(child.given_names[0])}</PrenomUsuel>
    <DateNaissance>{f"{born:%d/%m/%Y}" if born is not None else ""}</DateNaissance>
    <LieuNaissance><Code>COMMUNE</Code><Nom>GRENOBLE</Nom></LieuNaissance>
    <LieuNaissance><Code>AUTRE</Code><Nom>38000</Nom></LieuNaissance></Personne>
  <FiliationPere><NomFamille></NomFamille></FiliationPere><FiliationMere/>
</RecensementCitoyen>
""".encode()


def _partnership(*partners: Person) -> bytes:
    parts = "".join(
        f"<partenaire{number}><nomNaissance>{escape(person.family_name.upper())}</nomNaissance>"
        f"<jourNaissance>{person.birth.day or ''}</jourNaissance>"
        f"<moisNaissance>{person.birth.month or ''}</moisNaissance>"
        f"<anneeNaissance>{person.birth.year}</anneeNaissance>"
        f"<LieuNaissance><codeInsee>{person.birth_place}</codeInsee><departement>YVELINES</departement></LieuNaissance>"
        f"<adressePostale><CodePostal>38000</CodePostal></adressePostale></partenaire{number}>"
        for number, person in enumerate(partners, 1)
    )
    return f'<?xml version="1.0" encoding="UTF-8" ?>\n<PACS>{parts}</PACS>\n'.encode()


def _absence(person: Person, moment: datetime) -> bytes:
    born = person.birth_date
    document = {
        "PERSONNE_FORM": {
            "DATE_NAISSANCE": f"{born - timedelta(days=1)}T23:00:00.000Z" if born is not None else "",
            "NOM": person.family_name,
            "PAYS_NAISSANCE_ID": 99160,
        },
        "PERIODE_FORM": {
            "DATE_DEBUT": f"{moment.date() + timedelta(days=4)}T08:45:00.000Z",
            "DATE_FIN": f"{moment.date() + timedelta(days=18)}T08:00:32.000Z",
        },
        "ADRESSE_FORM": {"CODE_INSEE": "38185", "COMMUNE": "Grenoble", "PAYS_ID": 99160, "ETAGE": ""},
        "CONTACT_FORM": {"CONTACTS": []},
    }
    return json.dumps(document, ensure_ascii=False).encode()

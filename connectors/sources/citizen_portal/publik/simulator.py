"""The portal in a box: citizens link, unlink and say what they want to be told."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hub.testing import simulator
from hub.testing.town.people import Person

PARIS = ZoneInfo("Europe/Paris")
TOPICS = ("canteen", "library", "requests", "disruptions")
KINDS = {
    "LinkRequested": "link_requested",
    "LinkProposed": "link_requested",
    "UnlinkRequested": "unlink_requested",
    "PreferencesChanged": "preferences_changed",
}
ONE_FAMILY_IN = 4
"""Share of the families, beside the cast, who linked before the first day: each linked child is polled."""


def claims(person: Person) -> dict[str, str]:
    """Say what FranceConnect says of a person."""
    abroad = person.birth_place.startswith("99")
    return {
        "sub": f"{person.citizen.replace('-', '')}v1",
        "family_name": person.family_name,
        "given_name": " ".join(person.given_names),
        "birthdate": str(person.birth),
        "gender": "female",
        "birthplace": "" if abroad else person.birth_place,
        "birthcountry": person.birth_place if abroad else "99100",
    }


def _link(
    subject: str, role: str = "self", until: date | str | None = None, scope: Iterable[str] = ()
) -> dict[str, Any]:
    return {"subject": subject, "role": role, "scope": list(scope), "until": None if until is None else str(until)}


def _plain(name: str) -> str:
    decomposed = unicodedata.normalize("NFD", name)
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).upper()


class Simulator(simulator.Simulator):
    """Sends one signed message per wish, again until it is taken."""

    product = "publik"

    def routes(self) -> Sequence[BaseRoute]:
        return [Route("/api/users/{uuid}/", self.user)]

    def user(self, request: Request) -> Response:
        """Answer with the account as Authentic knows it; the hub does not ask."""
        try:
            person = self.town.person(request.path_params["uuid"])
        except KeyError:
            return JSONResponse({"detail": "Pas trouvé."}, 404)
        return JSONResponse({"uuid": person.citizen, "email": person.email})

    def seed(self) -> None:
        """Let the cast and a part of the town link their cards and children, as they had long done."""
        cast = self.town.cast
        known = [
            *(cast.reader, *cast.separated, cast.four_children, cast.apostrophe, cast.accents, cast.hyphens),
            *(cast.fifty, cast.corsican, cast.foreign, *cast.twins[0].parents),
        ]
        families = [person for family in self.town.families[::ONE_FAMILY_IN] for person in family.parents]
        early = {person.citizen: person for person in (*known, *families) if person.links}
        early.pop(cast.late.citizen, None)
        told_of_meals = {person.citizen for person in (cast.reader, *cast.separated, cast.four_children)}
        for person in early.values():
            topics = TOPICS if person.citizen in told_of_meals else TOPICS[1:]
            self.preferences(person, person.email, topics, person.lines)
            if person.borrowernumber is not None:
                card = f"ils_di:{person.borrowernumber}"
                # The library writes without accents: that is no difference.
                record = {
                    **claims(person),
                    "family_name": _plain(person.family_name),
                    "given_name": _plain(person.given_names[0]),
                }
                evidence = {"account": claims(person), "record": record} if person is cast.accents else None
                self.link(person, card, "self", evidence=evidence)
            for child in person.children:
                self.link(person, f"chrono:{child.external_id}", "parent")

    def link(
        self,
        citizen: Person | str,
        subject: str,
        role: str = "self",
        until: date | str | None = None,
        *,
        scope: Iterable[str] = (),
        evidence: Mapping[str, Mapping[str, str]] | None = None,
        twice: bool = False,
    ) -> str:
        """Ask for a link that needs no clerk; return the message's id."""
        part = _link(subject, role, until, scope)
        if evidence is not None:
            part["evidence"] = evidence
        return self._send(citizen, ("LinkRequested", subject), {"link": part}, twice=twice)

    def propose(self, person: Person, subject: str, **record: str) -> str:
        """Ask for a link whose record says something else, or less, than FranceConnect; return the message's id."""
        part = {**_link(subject), "evidence": {"account": claims(person), "record": {**claims(person), **record}}}
        return self._send(person, ("LinkProposed", subject), {"link": part}, twice=False)

    def decide(self, proposal: str, person: Person, subject: str, *, accepted: bool = True) -> None:
        """Let a clerk decide about a proposed link, at a desk of its own."""
        name = str(uuid4())
        body = {
            "id": name,
            "at": self.clock().astimezone(PARIS).isoformat(timespec="milliseconds"),
            "clerk": "guichet-essai",
            "citizen": person.citizen,
            "proposal": proposal,
            "accepted": accepted,
            "reason": "proven" if accepted else "somebody_else",
            "link": _link(subject),
        }
        key = f"publik:{person.citizen}"
        with self.lock:
            facts = [self.said("LinkDecided", key, proposal, feed="decision", key=name)]
            if accepted:
                facts.append(self.said("LinkRequested", key, subject, feed="decision", key=name, about=_link(subject)))
            self.call("decision", key, json.dumps(body).encode(), facts=facts)

    def unlink(self, citizen: Person | str, subject: str, *, twice: bool = False) -> str:
        """Ask for the end of a link; return the message's id."""
        return self._send(citizen, ("UnlinkRequested", subject), {"unlink": {"subject": subject}}, twice=twice)

    def preferences(
        self,
        citizen: Person | str,
        email: str | None,
        topics: Iterable[str] = TOPICS,
        lines: Iterable[str] = (),
        *,
        language: str = "fr",
        twice: bool = False,
    ) -> str:
        """Say the whole of what a citizen wants to be told; return the message's id."""
        part = {"email": email, "topics": list(topics), "lines": list(lines), "language": language}
        uuid = citizen if isinstance(citizen, str) else citizen.citizen
        return self._send(uuid, ("PreferencesChanged", uuid), {"preferences": part}, twice=twice)

    def babble(self, citizen: Person | str) -> str:
        """Send a message that names its citizen and says nothing: the next ones wait behind it."""
        uuid = citizen if isinstance(citizen, str) else citizen.citizen
        body = json.dumps({"id": str(uuid4()), "citizen": uuid, "type": "???"}).encode()
        with self.lock:
            return self.call("request", f"publik:{uuid}", body)

    def garble(self, citizen: Person | str, subject: str, role: str = "self") -> str:
        """Ask for a link in a message whose type is misspelt; return what it should have been."""
        uuid = citizen if isinstance(citizen, str) else citizen.citizen
        part: dict[str, Any] = {"subject": subject, "role": role, "scope": [], "until": None}
        with self.lock:
            _, said, body = self._say(uuid, ("LinkRequested", subject), {"link": part})
            self.call("request", f"publik:{uuid}", body.replace(b"link_requested", b"link_requestd"), facts=[said])
        return body.decode()

    def _send(
        self, citizen: Person | str, fact: tuple[str, str], part: dict[str, dict[str, Any]], *, twice: bool
    ) -> str:
        uuid = citizen if isinstance(citizen, str) else citizen.citizen
        with self.lock:
            message, said, body = self._say(uuid, fact, part)
            self.call("request", f"publik:{uuid}", body, facts=[said], twice=twice)
        return message

    def _say(self, uuid: str, fact: tuple[str, str], part: dict[str, dict[str, Any]]) -> tuple[str, str, bytes]:
        """Return the message's id, the journal's name of what it says, and its bytes."""
        kind, entity = fact
        message = str(uuid4())
        at = self.clock().astimezone(PARIS).isoformat(timespec="milliseconds")
        body = {"id": message, "type": KINDS[kind], "at": at, "citizen": uuid, **part}
        # Only this message shows the fact, so its id is the key under which an answer would.
        said = self.said(kind, f"publik:{uuid}", entity, feed="request", key=message, about=next(iter(part.values())))
        return message, said, json.dumps(body, ensure_ascii=False).encode()

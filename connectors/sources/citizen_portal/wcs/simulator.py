"""w.c.s. in a box: forms that citizens file, pushed by their workflow and shown to who signs the question."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hub.testing import simulator
from hub.testing.town.journal import Journal
from hub.testing.town.people import Person, Town
from hub.testing.town.step import Step
from hub.testing.town.world import World

PARIS = ZoneInfo("Europe/Paris")
ORIG, KEY = "hub.essai", "clé partagée de l'essai"
STEPS = {"new": "Demande reçue", "1": "En cours de traitement", "accepted": "Demande acceptée"}
FRESH_SECONDS = 300
"""How long a signature holds."""


@dataclass(slots=True)
class Filed:
    """A form."""

    citizen: str
    received: str
    updated: str
    step: str
    said: str
    moved: str | None = None
    """The last step that was said: an answer shows no other."""


class Simulator(simulator.Simulator):
    """Forms of the portal."""

    product = "wcs"

    def __init__(
        self, town: Town, journal: Journal, clock: Callable[[], datetime], settings: Mapping[str, str]
    ) -> None:
        super().__init__(town, journal, clock, settings)
        self.forms: dict[str, Filed] = {}

    def routes(self) -> Sequence[BaseRoute]:
        return [Route("/api/forms/{form}/{number}/", self.form)]

    def city_settings(self, url: str) -> dict[str, Any]:
        secret = Path(self.settings["hook_secret_file"]).with_name("wcs.key")
        secret.write_text(KEY, "utf-8")
        signed = {"kind": "signed_query", "client_id": ORIG, "secret_file": str(secret)}
        return {**super().city_settings(url), "rate_per_second": 50, "credentials": {"default": signed}}

    def day(self, world: World) -> Iterator[Step]:
        resident = world.town.cast.hyphens

        def file(w: World) -> None:
            w.remembered["form"] = w.act(self.product, "hand_in", resident)

        def move(step: str, **how: Any) -> Callable[[World], Any]:
            return lambda w: w.act(self.product, "move", w.remembered["form"], step, **how)

        yield Step("08:25", f"{resident.name} files a form on the portal", file, resident)
        yield Step("11:05", "… which is taken up: the push gets lost", move("1", lost=True))
        yield Step("15:20", "… and accepted, which is pushed twice", move("accepted", twice=True), resident)

    # What happens.

    def hand_in(self, person: Person) -> str:
        """File a form; return its name."""
        with self.lock:
            name = f"inscription-activites/{len(self.forms) + 1}"
            key = f"wcs:{name}"
            now = self._now()
            said = self.said("FormFiled", key, name, feed="form", key=key)
            link = {"subject": key, "role": "self", "until": None}
            linked = self.said("LinkRequested", f"publik:{person.citizen}", key, feed="form", key=key, about=link)
            self.forms[name] = Filed(person.citizen, now, now, "new", said)
            self.call("pushed", key, self._written(name), facts=[said, linked])
            return name

    def move(self, name: str, step: str, *, lost: bool = False, twice: bool = False) -> None:
        """Let the workflow take a step, and say so once, twice or not at all."""
        with self.lock:
            filed = self.forms[name]
            filed.step, filed.updated = step, self._now()
            key = f"wcs:{name}"
            if filed.moved is not None:
                self.over(filed.moved)
            said = self.said("FormStatusChanged", key, f"{name}:{step}", feed="form", key=key, after=filed.said)
            filed.moved = said
            self.call("pushed", key, self._written(name), facts=[said], lost=lost, twice=twice)

    def _now(self) -> str:
        return self.clock().astimezone(PARIS).replace(tzinfo=None).isoformat(timespec="seconds")

    # What is answered.

    def form(self, request: Request) -> Response:
        """Answer `GET /api/forms/<form>/<number>/`."""
        if not _signed(request.url.query):
            return JSONResponse({"err": 1, "err_desc": "invalid signature"}, 403)
        name = f"{request.path_params['form']}/{request.path_params['number']}"
        with self.lock:
            if name not in self.forms:
                return JSONResponse({"err": 1, "err_desc": "not found"}, 404)
            return self.answer(request, self._written(name), "application/json", feed="form", key=f"wcs:{name}")

    def _written(self, name: str) -> bytes:
        filed = self.forms[name]
        document = {
            "id": name,
            "display_id": name.rpartition("/")[2],
            "receipt_time": filed.received,
            "last_update_time": filed.updated,
            "user": {"id": "12", "name": "never read", "NameID": [filed.citizen.replace("-", "")]},
            "workflow": {"status": {"id": filed.step, "name": STEPS[filed.step]}, "data": {}},
            "fields": {"enfant": "never read"},
            "roles": {},
        }
        return json.dumps(document, ensure_ascii=False).encode()


def _signed(query: str) -> bool:
    """Check a query as Publik does: by its text up to the signature, and by its age."""
    text, _, _ = query.partition("&signature=")
    said = {name: values[0] for name, values in parse_qs(query).items()}
    expected = base64.b64encode(hmac.new(KEY.encode(), text.encode(), hashlib.sha256).digest()).decode()
    try:
        at = datetime.strptime(said["timestamp"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except (KeyError, ValueError):
        return False
    fresh = abs((datetime.now(UTC) - at).total_seconds()) < FRESH_SECONDS
    return fresh and said.get("orig") == ORIG and hmac.compare_digest(expected, said.get("signature", ""))

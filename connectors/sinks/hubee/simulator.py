"""One case at HubEE, in a box; the whole of HubEE is the source's simulator."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import httpx

from hub.testing import sink


class Simulator(sink.Simulator):
    """Answers about one case, whichever it is, under one procedure."""

    settings: ClassVar = {
        "procedures": "CERTDC,EtatCivil",
        "editor_name": "Ville de Grenoble",
        "application_name": "municipal-hub",
        "software_version": "1",
    }

    def __init__(self) -> None:
        super().__init__()
        self.case: dict[str, Any] = {"status": "SI_RECEIVED", "events": []}
        self.tokens = 0

    def http(self, request: httpx.Request) -> httpx.Response:
        # A token is given on a bad day too.
        return self.answer(request) if request.url.path == "/token" else super().http(request)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            self.tokens += 1
            return httpx.Response(200, json={"access_token": f"t{self.tokens}", "expires_in": 600})
        if request.headers["authorization"] == "Bearer t1":
            # The first procedure has its own token, and does not know the case.
            return httpx.Response(404, json={"errors": [{"code": 404, "message": "Case is not found"}]})
        if request.method == "GET":
            return httpx.Response(200, json=self.case)
        body = json.loads(request.content)
        if request.method == "PATCH":
            self.case["status"] = body["status"]
            return httpx.Response(204)
        self.case["events"].append(body)
        self.taken.append(body["partnerAttributes"].removeprefix("decision="))
        return httpx.Response(201, json=body)

"""A notification service in a box: it remembers references, and does not mind seeing one twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar
from uuid import NAMESPACE_URL, uuid5

import httpx

from hub.model.sink import OptOut, Receipt
from hub.testing import sink

TEMPLATE = "7e3f0c8a-52f0-4b7e-8a51-6a1f0e6a9d10"


class Simulator(sink.Simulator):
    """Takes `POST /v2/notifications/{email|sms}` and can be asked by reference."""

    settings: ClassVar = {"template_email": TEMPLATE, "template_sms": TEMPLATE}

    def __init__(self) -> None:
        super().__init__()
        self.known: list[dict[str, Any]] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        if not request.headers.get("authorization", "").startswith("Bearer "):
            return _error(401, "AuthError")
        if request.method == "GET":
            reference = request.url.params["reference"]
            found = [one for one in reversed(self.known) if one["reference"] == reference]
            return httpx.Response(200, json={"notifications": found, "links": {"current": str(request.url)}})
        kind = request.url.path.rpartition("/")[2]
        said = json.loads(request.content)
        address = {"email": "email_address", "sms": "phone_number"}.get(kind)
        if address is None or address not in said or said["template_id"] != TEMPLATE:
            return _error(400, "BadRequestError")
        identifier = str(uuid5(NAMESPACE_URL, f"{said['reference']}/{len(self.known)}"))
        self.known.append({"id": identifier, "reference": said["reference"], "status": "created", "type": kind})
        self.taken.append(said["reference"])
        return httpx.Response(201, json={"id": identifier, "reference": said["reference"]})

    def refuse(self, request: httpx.Request) -> httpx.Response:
        return _error(400, "ValidationError")

    def receipts(self, reference: str) -> Iterator[tuple[bytes, Receipt | OptOut | None]]:
        for status, said in (
            ("delivered", Receipt(reference, arrived=True, code="delivered")),
            ("permanent-failure", Receipt(reference, arrived=False, code="permanent_failure", bounced=True)),
            ("temporary-failure", Receipt(reference, arrived=False, code="temporary_failure")),
            ("sending", None),
        ):
            call = {"id": reference, "reference": reference, "to": "+33639980001", "status": status}
            yield json.dumps(call).encode(), said
        for text, answered in (("STOP", OptOut("+33639980001")), ("non stop", None)):
            call = {"id": reference, "source_number": "33639980001", "message": text}
            yield json.dumps(call).encode(), answered


def _error(status: int, kind: str) -> httpx.Response:
    errors = [{"error": kind, "message": "no"}]
    return httpx.Response(status, json={"status_code": status, "errors": errors})

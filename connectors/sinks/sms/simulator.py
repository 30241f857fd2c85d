"""A gateway in a box: it sends whatever it is told, twice if told twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import ClassVar

import httpx

from hub.model.sink import OptOut, Receipt
from hub.testing import sink


class Simulator(sink.Simulator):
    """Takes `POST /messages`."""

    settings: ClassVar = {"sender": "GRENOBLE"}

    def answer(self, request: httpx.Request) -> httpx.Response:
        if (request.method, request.url.path) != ("POST", "/messages"):
            return httpx.Response(404)
        said = json.loads(request.content)
        if not said["to"].startswith("+") or not said["text"]:
            return httpx.Response(422)
        self.taken.append(said["reference"])
        return httpx.Response(202, json={"status": "accepted"})

    def receipts(self, reference: str) -> Iterator[tuple[bytes, Receipt | OptOut | None]]:
        for status, said in (
            ("delivered", Receipt(reference, arrived=True, code="delivered")),
            ("undelivered", Receipt(reference, arrived=False, code="undelivered")),
            ("unknown_number", Receipt(reference, arrived=False, code="unknown_number", bounced=True)),
            ("buffered", None),
        ):
            yield json.dumps({"reference": reference, "status": status, "text": "STOP"}).encode(), said
        stop = OptOut("+33639980001")
        for text, answered in (("Stop.", stop), ("arrêt SVP", stop), ("Merci", None)):
            yield json.dumps({"from": "+33639980001", "text": text}).encode(), answered

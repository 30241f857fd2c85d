"""The city's application in a box: it looks at signatures, and knows what it has seen."""

from __future__ import annotations

import base64
import hmac
import json
from typing import ClassVar

import httpx

from hub.testing import sink

SECRET = "c2VjcmV0IG9mIHRoZSB0b3du"  # noqa: S105 - the town's


class Simulator(sink.Simulator):
    """Takes signed calls."""

    secret: ClassVar[str] = f"whsec_{SECRET}"
    """What a city writes into `sinks.webhook.secret_file`."""

    def answer(self, request: httpx.Request) -> httpx.Response:
        named = [request.headers[f"webhook-{name}"] for name in ("id", "timestamp")]
        signed = b".".join((*(name.encode() for name in named), request.content))
        digest = base64.b64encode(hmac.digest(base64.b64decode(SECRET), signed, "sha256")).decode()
        if not hmac.compare_digest(f"v1,{digest}", request.headers["webhook-signature"]):
            return httpx.Response(401)
        json.loads(request.content)
        self.taken.append(named[0])
        return httpx.Response(204)

    def refuse(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(410)

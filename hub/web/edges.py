"""What every request and every answer passes: a bound on what comes in, headers on what goes out."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Edges:
    """Stops reading a body that is larger than anything the hub takes, and says what a browser may do."""

    def __init__(self, app: ASGIApp, largest: int, headers: Mapping[str, str]) -> None:
        """`largest` in bytes; `headers` go on every answer that does not set them itself."""
        self._app = app
        self._largest = largest
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._largest:
                # Counted, not believed: a length can be left out.
                raise HTTPException(413, "The body is too large")
            return message

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                if not scope["path"].startswith("/static/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, bounded, dressed)

"""The web role's application.

Pages work without script, are never open (a session comes from a one-time link) and send strict
headers.  A call from a vendor is answered 202 only once the broker has it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, FastAPI, Header, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from pydantic import BaseModel

from hub import __version__, catalogue
from hub.avro import registry
from hub.avro.codec import Schemas
from hub.config import Settings
from hub.delivery.late import too_late
from hub.locale import day_words
from hub.model.connector import Connector
from hub.model.errors import TooLarge
from hub.model.intake import Call, Emit, Refusal
from hub.store import Store
from hub.web.accounts import Accounts
from hub.web.api import add_api
from hub.web.assistance import add_assistance
from hub.web.desk import add_desk
from hub.web.edges import Edges
from hub.web.forms import Seals, Tries, seal_of
from hub.web.households import add_households
from hub.web.notices import add_notices
from hub.web.operations import Flow, Pauses, since
from hub.web.problems import Problem, documented, install
from hub.web.requests import add_requests
from hub.web.resident import add_pages
from hub.web.sign_in import LABELS, Came, add_sign_in, providers_of
from hub.web.tokens import Token, Tokens
from streams.account import CITY

LARGEST_CALL = 256 * 1024
SIGN_INS, SIGN_IN_SECONDS = 30, 60.0
"""Tries to sign in that an address has in so many seconds: many people may sit behind one."""
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'{}; "
    "base-uri 'none'; frame-ancestors 'none'"
)
ONLY_TLS = {"Strict-Transport-Security": "max-age=31536000"}
SIGNATURE = Header(
    description="`sha256=` and the HMAC-SHA256 of the body with the product's secret, in hexadecimal.",
    examples=["sha256=2f94a757d2246073e26781d117ce0183ebd87b4d66c460494376d5c37d71985b"],
)
CALL_EXAMPLE = {
    "id": "0b7f3a0e-5f0e-4f57-9a6a-6a6f2d0b1c11",
    "citizen": "5b0e2a7c-0d3f-4c55-9a51-1f6c2f8f3a10",
    "type": "link_requested",
    "at": "2026-03-10T08:40:00+01:00",
    "link": {"subject": "chrono:E0001", "role": "parent"},
}
BEARER = HTTPBearer(auto_error=False, description="A token of `hub token new`.")
HERE = Path(__file__).parent


class Taken(BaseModel):
    """The answer to a call that is safe."""

    id: str
    """Of the call's record: it counts once, however often it comes."""


Publish = Callable[[str, Emit], Awaitable[str]]
"""Write a raw record and return its id once the broker has it; raise `Transient` or `TooLarge` else."""
Called = Callable[[str, str], None]
"""Tell (product, `accepted` | `refused` | `unsigned` | `away` | `broken`)."""


def create_app(
    settings: Settings,
    store: Store,
    schemas: Schemas,
    connectors: Mapping[str, Connector],
    publish: Publish,
    called: Called,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    came: Came = lambda _provider, _result, _reason: None,
) -> FastAPI:
    """Put the application together."""
    app = FastAPI(
        title="Municipal hub",
        version=__version__,
        description="The citizen account, and the read API of the schema registry.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    # Written by deliver; a web role without the folder answers 404.
    app.mount("/donnees", StaticFiles(directory=settings.open_data.folder, html=True, check_dir=False), name="donnees")
    templates = Jinja2Templates(directory=HERE / "templates")
    templates.env.filters["jour"] = lambda moment: day_words(moment.astimezone(CITY).date())
    templates.env.filters["instant"] = lambda at: datetime.fromtimestamp(at / 1000, CITY)
    templates.env.filters["date"] = lambda day: datetime.fromisoformat(day).replace(tzinfo=CITY)
    tokens = Tokens(settings.web.tokens_file)
    public = urlsplit(settings.web.public_url)
    secure = public.scheme == "https"
    seals, tries = Seals(secure=secure), Tries(store, clock, SIGN_INS, SIGN_IN_SECONDS)
    providers = providers_of(settings)
    ways_in = [(name, LABELS[openid.provider.kind]) for name, openid in providers.items()]
    attachable = [name for name, openid in providers.items() if openid.provider.kind == "franceconnect"]
    flow = Flow(settings.telemetry.discovery_file)
    # A form's redirect counts as where it leads.
    policy = POLICY.format("".join(sorted({f" {openid.origin}" for openid in providers.values()})))
    headers = {**HEADERS, "Content-Security-Policy": policy, **(ONLY_TLS if secure else {})}
    app.add_middleware(Edges, largest=LARGEST_CALL, headers=headers)

    async def service(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]) -> Token:
        """Find the service that asks."""
        token = tokens.find(credentials.credentials) if credentials is not None else None
        if token is None:
            raise Problem(
                401, "no_token", "A token is needed", "Send `Authorization: Bearer …`.", WWW_Authenticate="Bearer"
            )
        return token

    accounts = Accounts(settings, store, schemas, connectors, Pauses(flow))
    templates.env.filters["relie"] = accounts.words_of
    add_api(app, store, accounts, service, clock)

    # -- pages ------------------------------------------------------------------------------------

    def page(request: Request, name: str, status: int = 200, **values: Any) -> HTMLResponse:
        secret = seals.secret_of(request)
        told = {"form_seal": seal_of(secret), "providers": ways_in, "attachable": attachable, **values}
        response = templates.TemplateResponse(request, name, told, status_code=status)
        seals.give(request, response, secret)
        return response

    install(app, lambda request, status: page(request, "erreur.html", status, problem=status))

    seen = (page, seals, tries, clock)
    add_sign_in(app, store, providers, *seen, came, secure=secure)
    add_pages(app, store, accounts, *seen, secure=secure)

    def staff(request: Request, scope: str) -> tuple[Token, str]:
        """Find who of the city asks, by the token that a browser sends as a password; return the token's secret too."""
        secret = _secret(request.headers.get("authorization", ""))
        token = tokens.find(secret)
        realm = scope.partition(":")[0]
        if token is None:
            raise Problem(
                401,
                "no_token",
                "A token is needed",
                "Send it as Bearer, or as the password of any user.",
                WWW_Authenticate=f'Basic realm="{realm}", charset="UTF-8"',
            )
        if scope not in token.scopes:
            raise Problem(403, "no_scope", f"The token may not do this with {realm}", f"Ask for {scope}.")
        return token, secret

    add_desk(app, store, connectors, page, lambda request: staff(request, "links:decide"), publish, clock)
    add_requests(app, store, page, lambda request: staff(request, "requests:decide"), clock)
    add_notices(app, store, settings, catalogue.sinks(), page, clock)
    add_households(app, store, connectors, page, lambda request: staff(request, "households:change"), publish, clock)
    add_assistance(app, store, accounts, page, lambda request: staff(request, "accounts:assist"), clock)

    @app.get("/operations", include_in_schema=False)
    def operations(request: Request) -> Response:
        # On the machine itself it is open, until the hub has a public address: then whoever comes
        # through the proxy looks local too. A browser sends the token as a password.
        local = request.client is not None and request.client.host in LOOPBACK and public.hostname in LOOPBACK
        if not local or "x-forwarded-for" in request.headers:
            staff(request, "operations:read")
        now = clock()
        seen = flow.read()
        undecided, oldest = store.undecided()
        return page(
            request,
            "operations.html",
            flow=seen,
            paused=[(name, told, since(told.since, now)) for name, told in seen["paused"].items()],
            undecided=(undecided, since(oldest / 1000, now) if oldest is not None else ""),
            unmatched=[(one, since(one.oldest / 1000, now)) for one in store.unmatched()],
            counts=store.counts(),
            outbox=store.outbox_counts(),
            stops=store.stops(),
            publications=[row for row in store.publications() if row.state != "sent"],
            late=[(miss, miss.at.astimezone(CITY)) for miss in too_late(store, now)],
            fresh={
                name: datetime.fromtimestamp(at / 1000, CITY).strftime("%d/%m %H:%M:%S")
                for name, at in sorted(store.freshness().items())
            },
            now=now.astimezone(CITY),
        )

    @app.get("/healthz", include_in_schema=False)
    def healthy() -> dict[str, str]:
        return {"status": "ok"}

    # -- calls from vendors -----------------------------------------------------------------------

    @app.post(
        "/hooks/{product}/{feed}",
        status_code=202,
        response_model=Taken,
        responses={
            202: {"content": {"application/json": {"example": {"id": CALL_EXAMPLE["id"]}}}},
            **documented(400, 401, 404, 413, 422, 503),
        },
        openapi_extra=_takes(connectors),
        tags=["calls"],
    )
    async def hook(
        product: str, feed: str, request: Request, x_hub_signature: Annotated[str | None, SIGNATURE] = None
    ) -> JSONResponse:
        """Take a vendor's call: 202 once it is safe, 4xx when it can never be, 503 to come back."""
        connector = connectors.get(product)
        receive = connector.receive if connector is not None else None
        described = connector.feeds.get(feed) if connector is not None else None
        if receive is None or described is None or described.manifest.style != "webhook":
            raise Problem(404, "no_feed", "Nothing listens here", "Check product and feed in the address.")
        source = settings.connectors.get(product)
        if source is None or source.hook_secret_file is None:
            raise Problem(404, "no_secret", "Nothing listens here", f"Set connectors.{product}.hook_secret_file.")
        body = await request.body()
        secret = await asyncio.to_thread(_file, source.hook_secret_file)
        if not secret:
            # An empty secret would let anybody sign.
            called(product, "away")
            remedy = f"Write the secret into connectors.{product}.hook_secret_file."
            raise Problem(503, "no_secret", "Calls cannot be verified", remedy, Retry_After="60")
        expected = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected.encode(), (x_hub_signature or "").encode()):
            called(product, "unsigned")
            raise Problem(401, "bad_signature", "The signature does not fit", "Sign the body with the shared secret.")
        headers = {name.lower(): value for name, value in request.headers.items() if name.lower() != "authorization"}
        moment = int(clock().timestamp() * 1000)
        try:
            wish = receive(Call(feed=feed, body=body, headers=headers, received_at=moment))
        except Exception:
            called(product, "broken")
            raise
        if isinstance(wish, Refusal):
            called(product, "refused")
            raise Problem(wish.status, "refused", "The call cannot be taken", wish.detail)
        try:
            raw_id = await publish(product, wish)
        except TooLarge:
            called(product, "refused")
            raise Problem(413, "too_large", "The call is too large", "Send less at once.") from None
        except Exception:
            called(product, "away")
            raise
        called(product, "accepted")
        return JSONResponse({"id": raw_id}, 202)

    # -- the schema registry ----------------------------------------------------------------------

    async def registered(request: Request) -> JSONResponse:
        status, document = registry.answer(schemas, request.method, request.scope["path"], await request.body())
        return JSONResponse(document, status, media_type=registry.CONTENT_TYPE)

    for path in (
        "/schemas/{rest:path}",
        "/subjects",
        "/subjects/{rest:path}",
        "/config",
        "/config/{rest:path}",
        "/mode",
    ):
        app.add_api_route(
            path, registered, methods=["GET", "POST", "PUT", "DELETE"], include_in_schema=False, response_model=None
        )
    return app


def _takes(connectors: Mapping[str, Connector]) -> dict[str, Any]:
    """Return what OpenAPI says of the body of a call: whatever some feed listens to."""
    media = {
        feed.manifest.content_type
        for connector in connectors.values()
        for feed in connector.feeds.values()
        if feed.manifest.style == "webhook"
    }
    content = {name: {"schema": {"type": "string"}} for name in sorted(media - {"application/json"})}
    described = {"application/json": {"schema": {"type": "object"}, "example": CALL_EXAMPLE}, **content}
    told = "What the product sends to this feed, by docs/reference/connectors.md; the example is the portal's."
    return {"requestBody": {"required": True, "description": told, "content": described}}


def _file(path: Path) -> bytes:
    try:
        return path.read_bytes().strip()
    except OSError:
        return b""


def _secret(authorization: str) -> str:
    kind, _, said = authorization.partition(" ")
    if kind.lower() != "basic":
        return said.strip() if kind.lower() == "bearer" else ""
    try:
        return base64.b64decode(said, validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return ""

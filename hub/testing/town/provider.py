"""An identity provider for tests and the demo town: whoever comes chooses who they are.

It is as strict as the real ones about what the hub has to send, and can be told to lie.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from html import escape
from typing import Any, Literal
from urllib.parse import urlencode

from joserfc import jwk, jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route


class Provider:
    """One provider with one client."""

    def __init__(
        self, kind: Literal["publik", "franceconnect"], client_id: str, secret: str, people: Mapping[str, str]
    ) -> None:
        """`people` are those who may be chosen: what is shown, and their `sub`."""
        self.kind = kind
        self.client_id = client_id
        self.secret = secret
        self.people = people
        self.lies: dict[str, Any] = {}
        """Claims that are said instead of the true ones; None leaves one out."""
        self.key = jwk.ECKey.generate_key("P-256", {"kid": "1", "use": "sig"}, private=True)
        self.signs_with: Any = self.key
        self._codes: dict[str, dict[str, str]] = {}
        self.app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._metadata),
                Route("/jwks", self._keys),
                Route("/authorize", self._ask),
                Route("/authorize", self._choose, methods=["POST"]),
                Route("/token", self._token, methods=["POST"]),
            ]
        )

    def _issuer(self, request: Request) -> str:
        # With where the town has put it: a mounted app's base URL is its host's.
        return f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}"

    def _metadata(self, request: Request) -> Response:
        issuer = self._issuer(request)
        return JSONResponse(
            {
                "issuer": issuer,
                "authorization_endpoint": f"{issuer}/authorize",
                "token_endpoint": f"{issuer}/token",
                "jwks_uri": f"{issuer}/jwks",
                "response_types_supported": ["code"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["ES256"],
            }
        )

    def _keys(self, _request: Request) -> Response:
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})

    def _wrong(self, asked: Mapping[str, str]) -> str:
        """Return what is wrong with a request to sign in, as the real ones would refuse it."""
        wanted = {
            "client_id": self.client_id,
            "response_type": "code",
            "scope": "openid",
            "code_challenge_method": "S256",
        }
        needed = ["state", "nonce", "code_challenge", "redirect_uri"]
        if self.kind == "franceconnect":
            needed.append("acr_values")
        wrong = [name for name, value in wanted.items() if asked.get(name) != value]
        return ", ".join(wrong + [name for name in needed if not asked.get(name)])

    def _ask(self, request: Request) -> Response:
        if wrong := self._wrong(request.query_params):
            return HTMLResponse(f"invalid_request: {escape(wrong)}", 400)
        buttons = "".join(
            f'<p><button name="sub" value="{escape(sub)}">{escape(name)}</button></p>'
            for name, sub in self.people.items()
        )
        page = (
            f'<!DOCTYPE html><html lang="fr"><title>Qui êtes-vous ?</title><form method="post">{buttons}</form></html>'
        )
        return HTMLResponse(page)

    async def _choose(self, request: Request) -> Response:
        asked = dict(request.query_params)
        sub = str((await request.form()).get("sub", ""))
        if self._wrong(asked) or sub not in self.people.values():
            return HTMLResponse("invalid_request", 400)
        code = secrets.token_urlsafe(24)
        self._codes[code] = {**asked, "sub": sub}
        answer = urlencode({"code": code, "state": asked["state"], "iss": self._issuer(request)})
        return RedirectResponse(f"{asked['redirect_uri']}?{answer}", 303)

    async def _token(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        asked = self._codes.pop(form.get("code", ""), None)
        if form.get("client_id") != self.client_id or not hmac.compare_digest(
            form.get("client_secret", "").encode(), self.secret.encode()
        ):
            return JSONResponse({"error": "invalid_client"}, 401)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            asked is None
            or challenge != asked["code_challenge"]
            or form.get("redirect_uri") != asked["redirect_uri"]
            or form.get("grant_type") != "authorization_code"
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {
            "iss": self._issuer(request),
            "aud": self.client_id,
            "sub": asked["sub"],
            "nonce": asked["nonce"],
            "iat": now,
            "exp": now + 60,
            "acr": asked.get("acr_values"),
            **self.lies,
        }
        told = {name: value for name, value in claims.items() if value is not None}
        algorithm = "HS256" if self.signs_with.key_type == "oct" else "ES256"
        token = jwt.encode({"alg": algorithm, "kid": "1"}, told, self.signs_with, algorithms=[algorithm])
        return JSONResponse(
            {"access_token": "x", "token_type": "Bearer", "expires_in": 60, "id_token": token},
            headers={"Cache-Control": "no-store"},
        )

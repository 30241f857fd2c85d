"""An identity provider for tests and the demo town: whoever comes chooses who they are, once per session.

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
from urllib.parse import urlencode, urljoin, urlsplit

from joserfc import jwk, jwt
from joserfc.errors import JoseError
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
        self.way_out: str | None = "session/end"
        """Where one signs out: below the issuer, or an address of its own; None: nowhere."""
        self.sessions: dict[str, str] = {}
        """Who is signed in, by the cookie."""
        self._codes: dict[str, dict[str, str]] = {}
        self._homes: set[str] = set()
        self.app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._metadata),
                Route("/jwks", self._keys),
                Route("/authorize", self._ask),
                Route("/authorize", self._choose, methods=["POST"]),
                Route("/token", self._token, methods=["POST"]),
                Route("/session/end", self._end),
            ]
        )

    @property
    def _cookie(self) -> str:
        # Both stand on one host in the demo: a cookie knows no port.
        return f"town_{self.kind}"

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
                **({} if self.way_out is None else {"end_session_endpoint": urljoin(issuer + "/", self.way_out)}),
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
        known = self.sessions.get(request.cookies.get(self._cookie, ""))
        if known is not None and request.query_params.get("prompt") != "login":
            return self._answer(request, known)
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
        session = secrets.token_urlsafe(24)
        self.sessions[session] = sub
        response = self._answer(request, sub)
        response.set_cookie(self._cookie, session, httponly=True, samesite="lax")
        return response

    def _answer(self, request: Request, sub: str) -> Response:
        asked = dict(request.query_params)
        code = secrets.token_urlsafe(24)
        self._codes[code] = {**asked, "sub": sub}
        self._homes.add(_origin(asked["redirect_uri"]))
        answer = urlencode({"code": code, "state": asked["state"], "iss": self._issuer(request)})
        return RedirectResponse(f"{asked['redirect_uri']}?{answer}", 303)

    def _end(self, request: Request) -> Response:
        asked = request.query_params
        try:
            claims = jwt.decode(asked.get("id_token_hint", ""), self.key, algorithms=["ES256"]).claims
        except (JoseError, ValueError):
            return HTMLResponse("invalid_request: id_token_hint", 400)
        back = asked.get("post_logout_redirect_uri", "")
        if claims["aud"] != self.client_id or _origin(back) not in self._homes or not asked.get("state"):
            return HTMLResponse("invalid_request", 400)
        self.sessions.pop(request.cookies.get(self._cookie, ""), None)
        response = RedirectResponse(f"{back}?{urlencode({'state': asked['state']})}", 303)
        response.delete_cookie(self._cookie)
        return response

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


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"

"""OpenID Connect, seen by one who relies on it: the code flow with PKCE, state and nonce."""

from __future__ import annotations

import secrets
import ssl
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from joserfc import jwk, jwt
from joserfc.errors import JoseError

from hub.config import Provider
from hub.model.errors import Transient

ALGORITHMS = ["RS256", "ES256"]
"""Signatures that are taken: never `none`, never one made with the client's own secret."""
LEEWAY = 60
"""Seconds by which the provider's clock may differ."""
TIMEOUT = 10.0
AGE_SECONDS = 3600.0
"""How long what the provider says of itself is believed."""
LEVELS = ("eidas1", "eidas2", "eidas3")
"""FranceConnect's levels of assurance, the lowest first."""


class Distrusted(Exception):
    """What the provider, or somebody in its name, sent proves nothing; the text names what is wrong, never a value."""


class Begun(NamedTuple):
    """Where a person is sent, and what has to be remembered until they are back."""

    url: str
    state: str
    nonce: str
    verifier: str


class Arrived(NamedTuple):
    """Who signed in."""

    sub: str
    token: str
    """The id token: it is shown again when the session at the provider is to end."""


class Left(NamedTuple):
    """Where a person is sent to sign out, and what has to be remembered until they are back."""

    url: str
    state: str


class OpenId:
    """One provider."""

    def __init__(self, name: str, provider: Provider, redirect: str, parted: str) -> None:
        """`redirect` and `parted` are where the provider sends people back to who signed in or out, absolute."""
        self.name = name
        self.provider = provider
        self._redirect = redirect
        self._parted = parted
        self._lock = threading.Lock()
        self._known: tuple[float, dict[str, Any], jwk.KeySet] | None = None

    @property
    def origin(self) -> str:
        """Where a form may lead."""
        return _origin(self.provider.issuer)

    def begin(self) -> Begun:
        """Make a sign-in up."""
        metadata, _ = self._discovered()
        verifier, nonce = secrets.token_urlsafe(64), secrets.token_urlsafe(32)
        asked = {"nonce": nonce}
        if self.provider.kind == "franceconnect":
            # FranceConnect refuses who does not ask for a level.
            asked |= {"acr_values": LEVELS[0], "prompt": "login"}
        with self._client() as client:
            url, state = client.create_authorization_url(
                metadata["authorization_endpoint"], code_verifier=verifier, **asked
            )
        return Begun(url, state, nonce, verifier)

    def finish(self, code: str, nonce: str, verifier: str) -> Arrived:
        """Return who signed in; raise `Distrusted`, or `Transient` while the provider is away."""
        metadata, keys = self._discovered()
        try:
            with self._client() as client:
                told = client.fetch_token(
                    metadata["token_endpoint"], grant_type="authorization_code", code=code, code_verifier=verifier
                )
        except httpx2.TransportError:
            raise Transient(f"{self.name}: away") from None
        except httpx2.HTTPStatusError as error:
            if error.response.status_code >= 500:
                raise Transient(f"{self.name}: status {error.response.status_code}") from None
            raise Distrusted("the code is refused") from None
        except (OAuthError, ValueError):
            raise Distrusted("the code is refused") from None
        return self._read(told.get("id_token"), keys, nonce)

    def leave(self, token: str) -> Left | None:
        """Begin the end of a session at the provider; None where it offers no way to end one."""
        metadata, _ = self._discovered()
        endpoint = str(metadata.get("end_session_endpoint") or "")
        # Forms may lead to the issuer's origin and nowhere else.
        if _origin(endpoint) != self.origin:
            return None
        state = secrets.token_urlsafe(32)
        asked = {"id_token_hint": token, "post_logout_redirect_uri": self._parted, "state": state}
        return Left(f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(asked)}", state)

    def _read(self, token: Any, keys: jwk.KeySet, nonce: str) -> Arrived:
        if not isinstance(token, str):
            raise Distrusted("no id_token")
        wanted: Any = {
            "iss": {"essential": True, "value": self.provider.issuer},
            "aud": {"essential": True, "value": self.provider.client_id},
            "sub": {"essential": True},
            "exp": {"essential": True},
            "iat": {"essential": True},
            "nonce": {"essential": True, "value": nonce},
        }
        try:
            claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
            jwt.JWTClaimsRegistry(leeway=LEEWAY, **wanted).validate(claims)
        except (JoseError, ValueError, TypeError) as error:
            raise Distrusted(f"id_token: {type(error).__name__}") from None
        if claims.get("azp", self.provider.client_id) != self.provider.client_id:
            raise Distrusted("id_token: azp")
        if self.provider.kind == "franceconnect" and claims.get("acr") not in LEVELS:
            raise Distrusted("id_token: acr")
        sub = claims["sub"]
        if not isinstance(sub, str) or not 0 < len(sub) <= 255:
            raise Distrusted("id_token: sub")
        return Arrived(sub, token)

    def _client(self) -> OAuth2Client:
        return OAuth2Client(
            client_id=self.provider.client_id,
            client_secret=_secret(self.name, self.provider.client_secret_file),
            # FranceConnect takes the secret in the body only, Authentic either way.
            token_endpoint_auth_method="client_secret_post",  # noqa: S106 - a method's name
            scope="openid",
            redirect_uri=self._redirect,
            code_challenge_method="S256",
            timeout=TIMEOUT,
            verify=_trust(),
        )

    def _discovered(self) -> tuple[dict[str, Any], jwk.KeySet]:
        """Return what the provider says of itself, with its keys; asked for again after a while."""
        with self._lock:
            if self._known is None or time.monotonic() - self._known[0] > AGE_SECONDS:
                try:
                    with httpx2.Client(timeout=TIMEOUT, verify=_trust()) as client:
                        metadata = (
                            client.get(f"{self.provider.issuer.rstrip('/')}/.well-known/openid-configuration")
                            .raise_for_status()
                            .json()
                        )
                        keys = client.get(metadata["jwks_uri"]).raise_for_status().json()
                    if metadata["issuer"] != self.provider.issuer:
                        raise Distrusted("issuer: not the one of the settings; correct sign_in.*.issuer")
                    self._known = time.monotonic(), metadata, jwk.KeySet.import_key_set(keys)
                except (httpx2.HTTPError, ValueError, KeyError, TypeError, JoseError) as error:
                    raise Transient(f"{self.name}: {type(error).__name__}") from None
            return self._known[1], self._known[2]


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


@cache
def _trust() -> ssl.SSLContext:
    """Read whom the machine trusts, once: it takes longer than all else of a sign-in."""
    return httpx2.create_ssl_context()


def _secret(name: str, path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        raise Transient(f"sign_in.{name}.client_secret_file: cannot be read") from None

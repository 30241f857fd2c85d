"""Credentials of vendors as httpx authentication; secrets are read from files at use, never kept in settings."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import time
from collections.abc import Generator
from pathlib import Path
from urllib.parse import urlencode

import httpx

from hub.model.errors import Cause, Denied, Transient


class ClientCredentials(httpx.Auth):
    """OAuth2 client credentials: fetches a token, keeps it until it ends, and once more after a 401."""

    def __init__(self, token_url: str, client_id: str, secret_file: Path, scope: str = "") -> None:
        """`token_url` is absolute."""
        self._token_url = token_url
        self._client_id = client_id
        self._secret_file = secret_file
        self._scope = scope
        self._token = ""
        self._until = 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request with a token, with a new one if the vendor does not know it any more."""
        if time.monotonic() >= self._until:
            self._take((yield self._ask()))
        request.headers["Authorization"] = f"Bearer {self._token}"
        response = yield request
        if response.status_code == 401:
            self._take((yield self._ask()))
            request.headers["Authorization"] = f"Bearer {self._token}"
            yield request

    def _ask(self) -> httpx.Request:
        data = {"grant_type": "client_credentials"}
        if self._scope:
            data["scope"] = self._scope
        request = httpx.Request("POST", self._token_url, data=data)
        basic = httpx.BasicAuth(self._client_id, _secret(self._secret_file))
        return next(basic.auth_flow(request))

    def _take(self, response: httpx.Response) -> None:
        if response.status_code in (400, 401, 403):
            # RFC 6749: a wrong client, scope or grant.
            raise Denied(f"token refused with status {response.status_code}: check the credentials")
        if response.status_code != 200:
            status = response.status_code
            cause = Cause.BUSY if status == 429 else Cause.FAILING if status >= 500 else Cause.UNUSABLE
            raise Transient(f"token endpoint: status {status}", cause=cause)
        # Only here: any other body is the driver's, who reads no more of it than is allowed.
        try:
            response.read()
        except (httpx.ReadError, httpx.RemoteProtocolError) as error:
            raise Transient(f"token endpoint: {type(error).__name__}", cause=Cause.TRUNCATED) from None
        try:
            answer = response.json()
            self._token = str(answer["access_token"])
            # A margin, so that a token does not end on its way.
            self._until = time.monotonic() + max(float(answer.get("expires_in", 300)) - 10, 1)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Transient("the token endpoint did not answer with a token") from None


class Basic(httpx.Auth):
    """A name, and the password in a file: HTTP Basic, or what a login over TCP is written from."""

    def __init__(self, username: str, secret_file: Path) -> None:
        """Read the file at each request: a changed password needs no restart."""
        self.username = username
        self._secret_file = secret_file

    def secret(self) -> str:
        """Read the password; `Denied` when it cannot be read."""
        return _secret(self._secret_file)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request with the header."""
        basic = httpx.BasicAuth(self.username, self.secret())
        yield from basic.auth_flow(request)


class Bearer(httpx.Auth):
    """A fixed token from a file."""

    def __init__(self, secret_file: Path) -> None:
        """Read the file at each request."""
        self._secret_file = secret_file

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request with the header."""
        request.headers["Authorization"] = f"Bearer {_secret(self._secret_file)}"
        yield request


class SignedQuery(httpx.Auth):
    """Publik's way: the query is signed with a shared key, for some minutes."""

    def __init__(self, orig: str, secret_file: Path) -> None:
        """`orig` is the name under which the other side knows the key; the file is read at each request."""
        self._orig = orig
        self._secret_file = secret_file

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request with `orig`, `algo`, `timestamp`, `nonce` and `signature` at the end of its query."""
        said = {
            "orig": self._orig,
            "algo": "sha256",
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "nonce": secrets.token_hex(16),
        }
        # What is signed is the text as it is sent.
        query = "&".join(filter(None, (request.url.query.decode("ascii"), urlencode(said))))
        digest = hmac.digest(_secret(self._secret_file).encode(), query.encode(), "sha256")
        signature = urlencode({"signature": base64.b64encode(digest)})
        request.url = request.url.copy_with(query=f"{query}&{signature}".encode())
        yield request


class SignedToken(httpx.Auth):
    """A JSON Web Token that is signed for each request (HS256): issuer and moment, nothing else."""

    def __init__(self, issuer: str, secret_file: Path) -> None:
        """Read the file at each request."""
        self._issuer = issuer
        self._secret_file = secret_file

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request with the header."""
        claims = {"iss": self._issuer, "iat": int(time.time())}
        said = b".".join(_base64(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "HS256"}, claims))
        signature = _base64(hmac.digest(_secret(self._secret_file).encode(), said, "sha256"))
        request.headers["Authorization"] = f"Bearer {(said + b'.' + signature).decode()}"
        yield request


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _secret(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise Denied(f"cannot read the secret in {path}") from None

"""What makes a form the hub's own: a seal that another site cannot know, and a bound on tries."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from datetime import datetime
from ipaddress import IPv6Address, ip_address

from fastapi import Request
from fastapi.responses import Response

from hub.store import Store
from hub.store.tries import TriesMade
from hub.web.problems import Problem

COOKIE = "hub_form"


class Seals:
    """Ties a browser's forms to a cookie of that browser: `hub_form`."""

    def __init__(self, *, secure: bool) -> None:
        """`secure`: the cookie stays within TLS."""
        self._secure = secure

    def secret_of(self, request: Request) -> str:
        """Return the browser's cookie, or a new one that `give` has to set."""
        return request.cookies.get(COOKIE) or secrets.token_urlsafe(32)

    def give(self, request: Request, response: Response, secret: str) -> None:
        """Set the cookie, unless the browser has it."""
        if request.cookies.get(COOKIE) != secret:
            response.set_cookie(COOKIE, secret, httponly=True, samesite="lax", secure=self._secure)

    def check(self, request: Request, seal: str) -> None:
        """Refuse a form that is not of a page of ours, in this browser."""
        known = request.cookies.get(COOKIE, "")
        if not known or not hmac.compare_digest(seal_of(known).encode(), seal.encode()):
            raise Problem(403, "no_seal", "The form is not this page's", "Open the page again and send it from there.")


def seal_of(secret: str, about: str = "form") -> str:
    """Return what stands in the form of who knows the secret."""
    return hmac.new(secret.encode(), about.encode(), hashlib.sha256).hexdigest()


def check_seal(secret: str, about: str, seal: str) -> None:
    """Refuse a form of a desk that is not of its page: a browser sends the password with any site's form."""
    if not hmac.compare_digest(seal_of(secret, about).encode(), seal.encode()):
        raise Problem(403, "no_seal", "The form is not this page's", "Open the page again and send it from there.")


class Tries:
    """Lets an address try so often in so many seconds, whichever process of the web role it meets."""

    def __init__(self, store: Store, clock: Callable[[], datetime], most: int, seconds: float) -> None:
        """Count in the database."""
        self._made = TriesMade(store)
        self._clock = clock
        self._most = most
        self._seconds = seconds

    def count(self, request: Request) -> None:
        """Count a try, or refuse it."""
        wait = self._made.make(_who(request), self._clock(), self._most, self._seconds)
        if wait:
            after = str(int(wait) + 1)
            raise Problem(429, "too_many_tries", "Too many tries", "Wait, then try again.", Retry_After=after)


def _who(request: Request) -> str:
    host = request.client.host if request.client is not None else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    # A household has as many addresses of its /64 as it likes.
    return str(int(address) >> 64) if isinstance(address, IPv6Address) else host

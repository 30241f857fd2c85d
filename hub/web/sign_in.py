"""The way in by an identity provider, and out again.

Publik's `sub` is the account.  FranceConnect's is a name of its own per city, and changes with the civil
status: it opens an account only once somebody who had that account open has said so, by signing in again.

Signing out ends the session at the provider too, where it offers that.  The id token that this takes stays with the
browser, in a cookie that only the way out sees: the hub keeps no token of anybody.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import FastAPI, Form, Request
from fastapi.responses import RedirectResponse, Response

from hub.config import Settings
from hub.model.errors import Transient
from hub.store import Store
from hub.store.sign_ins import MINUTES, SignIn, SignIns
from hub.web.forms import Seals, Tries
from hub.web.openid import Distrusted, OpenId
from hub.web.problems import Problem
from hub.web.resident import OUT, SESSION, SESSION_HOURS, TOKEN, signed_in

COOKIE = "hub_sign_in"
PARTED = "hub_sign_out"
BACK, AWAY = "/connexion/retour", "/deconnexion/retour"
LONGEST_TOKEN = 3500
"""Characters: browsers drop a cookie that is larger than 4096."""
Came = Callable[[str, str, str], None]
"""Tell (provider, `accepted` | `unknown` | `distrusted`, what is wrong by name)."""
LABELS = {"franceconnect": "S'identifier avec FranceConnect", "publik": "Se connecter avec mon compte MonGrenoble"}


def providers_of(settings: Settings) -> Mapping[str, OpenId]:
    """Return the providers of the settings, by name."""
    root = settings.web.public_url.rstrip("/")
    return {name: OpenId(name, provider, root + BACK, root + AWAY) for name, provider in settings.sign_in.items()}


def add_sign_in(
    app: FastAPI,
    store: Store,
    providers: Mapping[str, OpenId],
    page: Callable[..., Response],
    seals: Seals,
    tries: Tries,
    clock: Callable[[], datetime],
    came: Came,
    *,
    secure: bool,
) -> None:
    """Add the ways to the providers and back; `came` is told how it went."""
    sign_ins = SignIns(store)

    @app.post("/connexion/{provider}", include_in_schema=False)
    def begin(
        request: Request,
        provider: str,
        seal: Annotated[str, Form(max_length=100)],
        attach: Annotated[bool, Form()] = False,
    ) -> Response:
        tries.count(request)
        seals.check(request, seal)
        openid = providers.get(provider)
        if openid is None:
            raise Problem(404, "no_provider", "No such provider", "See sign_in in the settings.")
        begun = openid.begin()
        # Only who asks for it: on a shared computer an open account may be somebody else's.
        mine = store.session(request.cookies.get(SESSION, ""), clock()) if attach else None
        sign_ins.begin(begun.state, SignIn(provider, begun.nonce, begun.verifier, mine), clock())
        response = RedirectResponse(begun.url, 303)
        # Whoever comes back with the state has to be the browser that set out with it.
        response.set_cookie(
            COOKIE, begun.state, httponly=True, samesite="lax", secure=secure, max_age=MINUTES * 60, path=BACK
        )
        return response

    @app.get(BACK, include_in_schema=False)
    def finish(request: Request, state: str = "", code: str = "") -> Response:
        tries.count(request)
        mine = request.cookies.get(COOKIE, "")
        if not state or not hmac.compare_digest(mine.encode(), state.encode()):
            return page(request, "ferme.html", 403, why="state")
        begun = sign_ins.take(state, clock())
        openid = providers.get(begun.provider) if begun is not None else None
        if begun is None or openid is None or not code:
            return _forget(page(request, "ferme.html", 403, why="state"))
        try:
            sub, token = openid.finish(code, begun.nonce, begun.verifier)
        except Distrusted as error:
            came(openid.name, "distrusted", str(error))
            return _forget(page(request, "ferme.html", 403, why="state"))
        citizen = _account(sub) if openid.provider.kind == "publik" else sign_ins.citizen_of(openid.name, sub)
        if citizen is None and openid.provider.kind == "franceconnect" and begun.citizen is not None:
            sign_ins.attach(openid.name, sub, begun.citizen, clock())
            citizen = begun.citizen
        if citizen is None:
            came(openid.name, "unknown", "")
            return keep(_forget(page(request, "ferme.html", 403, why="unknown")), openid.name, token)
        came(openid.name, "accepted", "")
        return keep(_forget(signed_in(sign_ins.open(citizen, clock()), secure=secure)), openid.name, token)

    def keep(response: Response, provider: str, token: str) -> Response:
        """Give the browser what it takes to sign out at the provider."""
        if len(token) <= LONGEST_TOKEN:
            told = f"{provider}:{token}"
            age = SESSION_HOURS * 3600
            response.set_cookie(TOKEN, told, httponly=True, samesite="lax", secure=secure, max_age=age, path=OUT)
        return response

    @app.post(OUT, include_in_schema=False)
    def sign_out(request: Request, seal: Annotated[str, Form(max_length=100)]) -> Response:
        seals.check(request, seal)
        store.end_session(request.cookies.get(SESSION, ""))
        name, _, token = request.cookies.get(TOKEN, "").partition(":")
        openid = providers.get(name)
        response: Response = RedirectResponse("/compte", 303)
        if openid is not None:
            try:
                left = openid.leave(token)
            except (Transient, Distrusted):
                # Here they are out, whatever the provider does.
                response = page(request, "ferme.html", why="remains")
            else:
                if left is not None:
                    response = RedirectResponse(left.url, 303)
                    response.set_cookie(
                        PARTED,
                        left.state,
                        httponly=True,
                        samesite="lax",
                        secure=secure,
                        max_age=MINUTES * 60,
                        path=AWAY,
                    )
        response.delete_cookie(SESSION)
        response.delete_cookie(TOKEN, path=OUT)
        return response

    @app.get(AWAY, include_in_schema=False)
    def signed_out(request: Request, state: str = "") -> Response:
        mine = request.cookies.get(PARTED, "")
        known = bool(state) and hmac.compare_digest(mine.encode(), state.encode())
        response = page(request, "ferme.html", 200 if known else 403, why="out" if known else "stray")
        response.delete_cookie(PARTED, path=AWAY)
        return response


def _account(sub: str) -> str | None:
    try:
        return str(UUID(sub))
    except ValueError:
        # Not an account of the portal: the provider's settings send another identifier.
        return None


def _forget(response: Response) -> Response:
    response.delete_cookie(COOKIE, path=BACK)
    return response

"""Residents sign in by OpenID Connect; what proves nothing opens nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient
from joserfc import jwk
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send
from web_town import ANNE, NOW, Town, live, seal_of

from hub.store.sign_ins import SignIn, SignIns
from hub.testing.town.host import Server
from hub.testing.town.provider import Provider

pytestmark = pytest.mark.slow

PSEUDONYM = "b155a2129530e5fd3f6b95275b6da72a99ea1a486b8b33148abb4a62ddfb3609v1"
MARC = "9c2a6d10-7b1e-4f6c-8a0e-2d5b7c9e1f22"


class Doors:
    """Two addresses, behind which each city puts its providers: to open and close some for each would take longer."""

    def __init__(self) -> None:
        self.apps: list[ASGIApp] = []
        self.servers = [Server(self._through(at)) for at in range(2)]
        self.urls = [server.url for server in self.servers]
        self.browser = httpx.Client()

    def _through(self, at: int) -> ASGIApp:
        async def enter(scope: Scope, receive: Receive, send: Send) -> None:
            await self.apps[at](scope, receive, send)

        return enter


@pytest.fixture(scope="module")
def doors() -> Iterator[Doors]:
    """Open both."""
    made = Doors()
    with made.servers[0], made.servers[1], made.browser:
        yield made


class City:
    """A town with both kinds of provider."""

    def __init__(self, folder: Path, doors: Doors) -> None:
        self.publik = Provider("publik", "hub", "s3cret", {"Anne": ANNE, "nobody": "not-a-uuid"})
        self.france = Provider("franceconnect", "hub", "s3cret", {"Anne": PSEUDONYM})
        # One of them below a path, as in the demo's town.
        mounted = Starlette(routes=[Mount("/openid/france", app=self.france.app)])
        self.doors, self.browser = doors, doors.browser
        doors.apps[:] = [self.publik.app, mounted]
        (folder / "client").write_text("s3cret\n", "utf-8")
        issuers = (doors.urls[0], f"{doors.urls[1]}/openid/france")
        ways = {
            name: {"kind": name, "issuer": issuer, "client_id": "hub", "client_secret_file": folder / "client"}
            for name, issuer in zip(("publik", "franceconnect"), issuers, strict=True)
        }
        self.town = Town(folder, sign_in=ways)
        live(self.town)

    def leaves(self, browser: TestClient, way: str, *, attach: bool = False) -> str:
        """Press the button; return where the browser is sent."""
        seal = seal_of(browser.get("/compte").text)
        answer = browser.post(f"/connexion/{way}", data={"seal": seal, **({"attach": "true"} if attach else {})})
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    def back(self, url: str, sub: str) -> str:
        """Choose a person at the provider; return the path to which the browser is sent."""
        answer = self.browser.post(url, data={"sub": sub})
        assert answer.status_code == 303, answer.text
        parts = urlsplit(answer.headers["location"])
        assert f"{parts.scheme}://{parts.netloc}" == "http://127.0.0.1:8080"
        return f"{parts.path}?{parts.query}"

    def signs_out(self, browser: TestClient) -> Any:
        """Press the button; return the hub's answer."""
        seal = seal_of(browser.get("/compte").text)
        return browser.post("/deconnexion", data={"seal": seal})

    def signs_in(self, browser: TestClient, way: str, sub: str, *, attach: bool = False) -> Any:
        """Go the whole way."""
        return browser.get(self.back(self.leaves(browser, way, attach=attach), sub))


@pytest.fixture
def city(tmp_path: Path, doors: Doors) -> Iterator[City]:
    """Make a town with its providers."""
    made = City(tmp_path, doors)
    yield made
    made.town.store.close()


def test_publik_s_account_is_the_citizen(city: City) -> None:
    """State, nonce and PKCE go out; the session that comes back is hers, and a code works once."""
    browser = city.town.client
    url = city.leaves(browser, "publik")
    asked = {name: value[0] for name, value in parse_qs(urlsplit(url).query).items()}
    assert (asked["response_type"], asked["scope"], asked["code_challenge_method"]) == ("code", "openid", "S256")
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 30
    path = city.back(url, ANNE)
    answer = browser.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, "/compte")
    assert city.town.came == [("publik", "accepted", "")]
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "Déjeuner" in browser.get("/compte").text
    again = city.town.comes_from("127.0.0.1")
    again.cookies.set("hub_sign_in", asked["state"])
    assert again.get(path).status_code == 403


def test_franceconnect_opens_the_account_to_which_it_was_attached(city: City) -> None:
    """Unknown at first; attached by who has the account open and asks for it; then enough by itself."""
    stranger = city.town.comes_from("127.0.0.1")
    answer = city.signs_in(stranger, "franceconnect", PSEUDONYM)
    assert (answer.status_code, "aucun compte" in answer.text) == (403, True)
    city.town.login()
    assert "Rattacher FranceConnect" in city.town.client.get("/compte").text
    city.signs_in(city.town.client, "franceconnect", PSEUDONYM, attach=True)
    assert city.signs_in(stranger, "franceconnect", PSEUDONYM).status_code == 303
    assert "Déjeuner" in stranger.get("/compte").text
    city.town.store.erase(ANNE, NOW)
    assert city.signs_in(stranger, "franceconnect", PSEUDONYM).status_code == 403


def test_an_open_account_attaches_nothing_unless_it_is_asked_to(city: City) -> None:
    """On a shared computer the account may be somebody else's."""
    city.town.login()
    seal = seal_of(city.town.client.get("/compte").text)
    url = city.town.client.post("/connexion/franceconnect", data={"seal": seal}).headers["location"]
    assert city.town.client.get(city.back(url, PSEUDONYM)).status_code == 403
    assert SignIns(city.town.store).citizen_of("franceconnect", PSEUDONYM) is None


@pytest.mark.parametrize(
    "lie",
    [
        {"nonce": "other"},
        {"nonce": None},
        {"aud": "another client"},
        {"iss": "https://evil.example"},
        {"exp": 1_700_000_000},
        {"exp": None},
        {"sub": None},
        {"sub": ""},
        {"azp": "another client"},
        {"acr": "eidas0"},
        {"acr": None},
    ],
    ids=str,
)
def test_a_token_that_proves_nothing_opens_nothing(city: City, lie: dict[str, Any]) -> None:
    """Each claim is looked at."""
    SignIns(city.town.store).attach("franceconnect", PSEUDONYM, ANNE, NOW)
    city.france.lies = lie
    browser = city.town.client
    answer = city.signs_in(browser, "franceconnect", PSEUDONYM)
    assert (answer.status_code, "pas abouti" in answer.text) == (403, True)
    assert [told[:2] for told in city.town.came] == [("franceconnect", "distrusted")]
    assert browser.get("/compte").status_code == 401


@pytest.mark.parametrize(
    "key",
    [jwk.ECKey.generate_key("P-256", {"kid": "1"}, private=True), jwk.OctKey.import_key("s3cret" * 8, {"kid": "1"})],
    ids=["another key", "a shared secret"],
)
def test_a_signature_of_somebody_else_opens_nothing(city: City, key: Any) -> None:
    """Only the keys that the provider publishes, and no algorithm that the hub could sign with itself."""
    city.publik.signs_with = key
    assert city.signs_in(city.town.client, "publik", ANNE).status_code == 403
    assert city.town.client.get("/compte").status_code == 401


def test_only_the_browser_that_set_out_comes_back(city: City) -> None:
    """Somebody who is sent another's answer stays out; so does an answer without a code, and an unknown way."""
    path = city.back(city.leaves(city.town.client, "publik"), ANNE)
    victim = city.town.comes_from("127.0.0.1")
    victim.get("/compte")
    assert victim.get(path).status_code == 403
    assert city.town.client.get(path.replace("code=", "kode=")).status_code == 403
    assert city.town.client.get(path).status_code == 403
    assert city.town.client.get("/connexion/retour").status_code == 403
    assert city.town.client.post("/connexion/nobody", data={"seal": "0"}).status_code == 403
    seal = seal_of(city.town.client.get("/compte").text)
    assert city.town.client.post("/connexion/nobody", data={"seal": seal}).json()["code"] == "no_provider"


def test_a_code_is_worthless_to_who_does_not_know_the_verifier(city: City) -> None:
    """The provider refuses it: PKCE was asked for."""
    path = city.back(city.leaves(city.town.client, "publik"), ANNE)
    code = parse_qs(urlsplit(path).query)["code"][0]
    form = {
        "client_id": "hub",
        "client_secret": "s3cret",
        "grant_type": "authorization_code",
        "code": code,
        "code_verifier": "guess",
        "redirect_uri": "http://127.0.0.1:8080/connexion/retour",
    }
    assert city.browser.post(f"{city.doors.urls[0]}/token", data=form).json()["error"] == "invalid_grant"
    assert city.town.client.get(path).status_code == 403


def test_an_identity_that_is_no_account_opens_nothing(city: City) -> None:
    """A Publik that sends something else than the uuid is set up wrongly."""
    assert city.signs_in(city.town.client, "publik", "not-a-uuid").status_code == 403


def test_a_sign_in_is_taken_once_and_in_time(city: City) -> None:
    """Ten minutes, and what is too old is purged."""
    sign_ins = SignIns(city.town.store)
    sign_ins.begin("a", SignIn("publik", "n", "v", None), NOW)
    sign_ins.begin("b", SignIn("publik", "n", "v", None), NOW)
    assert sign_ins.take("a", NOW + timedelta(minutes=9)) == SignIn("publik", "n", "v", None)
    assert sign_ins.take("a", NOW) is None
    assert sign_ins.take("b", NOW + timedelta(minutes=11)) is None
    sign_ins.attach("franceconnect", "x", ANNE, NOW)
    sign_ins.attach("franceconnect", "x", MARC, NOW)
    assert sign_ins.citizen_of("franceconnect", "x") == ANNE


def test_a_provider_that_is_away_is_said_so(tmp_path: Path) -> None:
    """503 with a time to come back; the link that works once goes on working, and forms may lead to the provider."""
    (tmp_path / "client").write_text("s", "utf-8")
    way = {
        "kind": "publik",
        "issuer": "http://127.0.0.1:9",
        "client_id": "hub",
        "client_secret_file": tmp_path / "client",
    }
    town = Town(tmp_path, sign_in={"portal": way})
    page = town.client.get("/compte")
    assert "Se connecter avec mon compte MonGrenoble" in page.text
    assert "form-action 'self' http://127.0.0.1:9;" in page.headers["content-security-policy"]
    answer = town.client.post("/connexion/portal", data={"seal": seal_of(page.text)})
    assert (answer.status_code, answer.json()["code"]) == (503, "away")
    town.login()
    assert town.client.get("/compte").status_code == 200
    town.store.close()


@pytest.mark.parametrize(("way", "sub"), [("publik", ANNE), ("franceconnect", PSEUDONYM)])
def test_who_signs_out_here_is_signed_out_at_the_provider(city: City, way: str, sub: str) -> None:
    """The provider gets its own token, a state and the way back, and takes all three."""
    SignIns(city.town.store).attach("franceconnect", PSEUDONYM, ANNE, NOW)
    provider = {"publik": city.publik, "franceconnect": city.france}[way]
    browser, theirs = city.town.client, httpx.Client()
    url = city.leaves(browser, way)
    chosen = theirs.post(url, data={"sub": sub})
    arrived = browser.get(chosen.headers["location"].removeprefix("http://127.0.0.1:8080"))
    assert "Path=/deconnexion;" in arrived.headers["set-cookie"]
    assert list(provider.sessions.values()) == [sub]
    answer = city.signs_out(browser)
    asked = {name: value[0] for name, value in parse_qs(urlsplit(answer.headers["location"]).query).items()}
    assert asked.keys() == {"id_token_hint", "post_logout_redirect_uri", "state"}
    assert browser.get("/compte").status_code == 401
    ended = theirs.get(answer.headers["location"])
    assert provider.sessions == {}
    back = ended.headers["location"]
    assert back == f"http://127.0.0.1:8080/deconnexion/retour?state={asked['state']}"
    page = browser.get(back.removeprefix("http://127.0.0.1:8080"))
    assert (page.status_code, "Vous êtes déconnecté<" in page.text) == (200, True)
    # The state is good once, and the token is gone.
    assert browser.get(back.removeprefix("http://127.0.0.1:8080")).status_code == 403
    assert city.signs_out(browser).headers["location"] == "/compte"


def test_only_the_browser_that_signed_out_is_told_so(city: City) -> None:
    """A link that somebody else made says nothing, leads nowhere and leaves the session alone."""
    browser = city.town.client
    city.signs_in(browser, "publik", ANNE)
    for query in ("", "?state=", "?state=x", "?state=x&post_logout_redirect_uri=https://evil.example"):
        page = browser.get(f"/deconnexion/retour{query}")
        assert (page.status_code, "pas confirmée" in page.text, "evil" in page.text) == (403, True, False)
    assert browser.get("/compte").status_code == 200
    assert browser.post("/deconnexion", data={"seal": "0"}).status_code == 403
    assert browser.get("/compte").status_code == 200


@pytest.mark.parametrize("endpoint", [None, "https://evil.example/end"])
def test_a_provider_without_a_way_out_ends_the_session_here(city: City, endpoint: str | None) -> None:
    """Nor is anybody sent to another origin than the issuer's."""
    city.publik.way_out = endpoint
    city.signs_in(city.town.client, "publik", ANNE)
    assert city.signs_out(city.town.client).headers["location"] == "/compte"
    assert city.town.client.get("/compte").status_code == 401


def test_a_provider_that_is_away_keeps_nobody_signed_in_here(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page says that the provider may still know the person."""
    city.signs_in(city.town.client, "publik", ANNE)
    monkeypatch.setattr("hub.web.openid.AGE_SECONDS", -1.0)
    city.doors.apps[0] = Response("", 503)
    answer = city.signs_out(city.town.client)
    assert (answer.status_code, "déconnecté d'ici seulement" in answer.text) == (200, True)
    assert city.town.client.get("/compte").status_code == 401


def test_an_identity_without_an_account_can_be_put_away(city: City) -> None:
    """Who is known there and not here can still sign out there."""
    browser = city.town.client
    page = city.signs_in(browser, "franceconnect", PSEUDONYM)
    assert page.status_code == 403
    answer = browser.post("/deconnexion", data={"seal": seal_of(page.text)})
    assert answer.headers["location"].startswith(f"{city.doors.urls[1]}/openid/france/session/end?")


def test_a_link_for_one_login_forgets_who_signed_in_by_a_provider_before(city: City) -> None:
    """On a shared computer the token was somebody else's."""
    city.signs_in(city.town.client, "publik", ANNE)
    city.town.login()
    assert city.signs_out(city.town.client).headers["location"] == "/compte"

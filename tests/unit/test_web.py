"""The account is never open, says what stands now, and a vendor's call is answered only when it is safe."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from strength import examples
from web_town import ANNE, CARD, NOW, PROPOSAL, SECRET, Town, live, seal_of, waits

from hub import catalogue
from hub.model.decision import Deliver
from hub.model.errors import Transient
from hub.model.record import Origin, Record
from hub.pipeline.process import process
from hub.store.disclosures import Disclosures
from hub.testing.town.host import Server
from hub.web.tokens import hash_of
from schemas.models.citizen_portal import (
    LinkDecided,
    LinkRequested,
    Role,
    UnlinkRequested,
)
from schemas.models.library import CatalogueRecordChanged, CatalogueRecordDeleted, HoldReady, LoanStarted
from streams.open_data.history import Publication


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """Make a town."""
    made = Town(tmp_path)
    yield made
    made.store.close()


def test_the_page_says_what_stands_now(town: Town) -> None:
    """Four blocks in French, each with its moment, and markup of a vendor stays text."""
    live(town)
    town.login()
    page = town.client.get("/compte").text
    for words in (
        "Mardi 10 mars", "Réservé", "Jeudi 12 mars", "Annulé", "En retard depuis le lundi 2 mars",
        "Disponible jusqu&#39;au vendredi 20 mars", "Acte de naissance", "Terminée", "Travaux &lt;b&gt;Claix",
        "à jour à 08:40",
    ):  # fmt: skip
        assert words in page
    town.happens(UnlinkRequested(citizen=ANNE, subject="ils_di:7"), f"publik:{ANNE}", "publik")
    assert "En retard" not in town.client.get("/compte").text


def test_titles_come_from_the_public_catalogue(town: Town) -> None:
    """For what that catalogue is of, and for as long as it knows the work."""
    for subject in ("ils_di:7", "koha:7"):
        town.happens(LinkRequested(citizen=ANNE, subject=subject, role=Role.SELF), f"publik:{ANNE}", "publik")
        hold = HoldReady(hold_id="1", record_id="51", branch="Centre")
        town.happens(hold, subject, subject.partition(":")[0])
    named = {"record_id": "oai:ESSAI:51", "local_id": "51"}
    town.happens(CatalogueRecordChanged(**named, title="Le <Livre>"), "oai_pmh:oai:ESSAI:51", "oai_pmh")
    town.login()
    page = town.client.get("/compte").text
    assert page.count("Réservation : Le &lt;Livre&gt;") == 1
    assert page.count("Notice 51") == 1
    town.happens(CatalogueRecordDeleted(**named), "oai_pmh:oai:ESSAI:51", "oai_pmh")
    town.happens(CatalogueRecordChanged(record_id="oai:ESSAI:9", local_id="9"), "oai_pmh:oai:ESSAI:9", "oai_pmh")
    assert town.client.get("/compte").text.count("Notice 51") == 2


def test_the_page_is_never_open(town: Town) -> None:
    """Without a session there is nothing; a link works once, and looking at it does not use it."""
    assert town.client.get("/compte").status_code == 401
    token = town.store.make_login(ANNE, NOW)
    assert town.client.get(f"/connexion/{token}").status_code == 200
    response = town.uses(token)
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert town.client.get("/compte").status_code == 200
    assert town.uses(token).status_code == 410
    town.client.post("/deconnexion", data={"seal": seal_of(town.client.get("/compte").text)})
    assert town.client.get("/compte").status_code == 401


def test_the_api_asks_for_a_token_with_the_scope(town: Town) -> None:
    """401, 403, 404 and 422 are problems with stable codes."""
    live(town)

    def ask(citizen: str, token: str | None) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        response = town.client.get(f"/api/v1/accounts/{citizen}", headers=headers)
        if response.status_code == 200:
            return 200, response.json()["blocks"][0]["name"]
        assert response.headers["content-type"] == "application/problem+json"
        return response.status_code, response.json()["code"]

    nobody = ANNE.replace("3", "4")
    assert ask(ANNE, "good") == (200, "canteen")
    assert ask(ANNE, None) == (401, "no_token")
    assert ask(ANNE, "bad") == (401, "no_token")
    assert ask(ANNE, "poor") == (403, "no_scope")
    assert ask(nobody, "good") == (404, "no_account")
    assert ask("Jean", "good") == (422, "invalid")


def call(town: Town, body: bytes, *, secret: bytes = SECRET, path: str = "/hooks/publik/request") -> Any:
    """Call as the portal does."""
    signature = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
    return town.client.post(path, content=body, headers={"X-Hub-Signature": signature})


def test_a_call_is_answered_when_it_is_safe(town: Town) -> None:
    """202 after the broker, 503 while it is away, 4xx for what can never be."""
    body = json.dumps({"id": ANNE, "citizen": ANNE, "type": "link_requested"}).encode()
    assert ((answer := call(town, body)).status_code, answer.json()) == (202, {"id": ANNE})
    assert [("publik", f"publik:{ANNE}", body)] == [(p, w.key, w.value) for p, w in town.written]
    town.away = True
    away = call(town, body)
    assert (away.status_code, away.headers["retry-after"]) == (503, "5")
    town.away = False
    assert call(town, body, secret=b"other").status_code == 401
    assert call(town, b"{").status_code == 400
    assert call(town, b"{}").status_code == 422
    assert call(town, body, path="/hooks/nobody/request").status_code == 404
    assert call(town, body, path="/hooks/publik/other").status_code == 404
    assert call(town, b"x" * 300_000).status_code == 413
    assert len(town.written) == 1
    assert {"accepted", "away", "unsigned", "refused"} == {result for _, result in town.calls}


def test_every_answer_forbids_what_it_does_not_need(town: Town) -> None:
    """No script, no frame, no guessing of types."""
    headers = town.client.get("/compte").headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert tuple(headers[name] for name in ("x-content-type-options", "x-frame-options", "cache-control")) == (
        "nosniff",
        "DENY",
        "no-store",
    )


def test_the_registry_is_served(town: Town) -> None:
    """Stock deserializers find their schemas by id."""
    response = town.client.get("/schemas/ids/1")
    assert response.headers["content-type"] == "application/vnd.schemaregistry.v1+json"
    assert json.loads(response.json()["schema"])["type"] == "record"
    assert town.client.get("/schemas/ids/999").json()["error_code"] == 40403


def test_the_operations_page_shows_the_database(town: Town) -> None:
    """Even without any role that answers."""
    live(town)
    page = town.client.get("/operations").text
    assert "open links" in page
    assert "No discovery list" in page


def test_the_operations_page_says_who_paused_a_product_and_why(town: Town) -> None:
    """As the roles' metrics say it, the last pause once; a product that goes on is not there."""
    at = (NOW - timedelta(hours=3)).timestamp()
    paused = "hub_product_paused_timestamp_seconds"
    one = f'{paused}{{product="chrono",who="breaker",why="23 of 100 records <rejected>"}} {at}\n'
    other = f'{paused}{{product="chrono",who="mm",why="of long ago"}} 5\nhub_product_paused{{product="koha"}} 0\n'
    with Server(PlainTextResponse(one)) as first, Server(PlainTextResponse(other)) as second:
        listed = [{"targets": [f"127.0.0.1:{role.port}"], "labels": {"role": "normalise"}} for role in (first, second)]
        (town.folder / "none.json").write_text(json.dumps(listed), "utf-8")
        page = town.client.get("/operations").text
    assert "the breaker: 23 of 100 records &lt;rejected&gt;" in page
    assert "since 2026-03-10 05:40 (3 h)" in page
    assert "of long ago" not in page
    assert "koha" not in page


def test_the_operations_page_says_what_waits_to_be_linked_and_since_when(town: Town) -> None:
    """How many links and subjects, and the age of the oldest; nobody's number is on it."""
    assert "the oldest" not in town.client.get("/operations").text
    waits(town)
    for subject in ("chrono:E7", "chrono:E8"):
        town.happens(HoldReady(), subject, "chrono")
    town.now += timedelta(days=3)
    page = town.client.get("/operations").text
    told = re.findall(r'href="/liens">([^<]*)</a></strong><span>([^<]*)</span></div><span[^>]*>(\d+)<', page)
    assert told == [
        ("links to decide", "the oldest since 2026-03-10 08:40 (3 days)", "1"),
        ("unmatched, chrono", "subjects that nobody is linked to, the oldest since 2026-03-10 08:40 (3 days)", "2"),
    ]
    assert not re.search(r"chrono:|ils_di:|E7|" + ANNE[:8], page)


def test_the_operations_page_shows_what_a_portal_did_not_take(town: Town) -> None:
    """With the reason; what is there is no news."""
    for dataset, state, code in (("prets", "refused", "status_409"), ("trafic", "sent", None)):
        town.store.publication(Publication("ckan", dataset, "0" * 64, state, 3, 0, code), 1)
    page = town.client.get("/operations").text
    assert "prets at ckan" in page
    assert "status_409" in page
    assert "trafic at ckan" not in page


def test_operations_are_shown_on_the_machine_or_by_a_token(town: Town, tmp_path: Path) -> None:
    """A proxy in front makes everybody look local: then it is the token that counts."""
    (tmp_path / "public").mkdir()
    public = Town(tmp_path / "public", "https://ville.example")
    (public.folder / "tokens.toml").write_text(
        f'[ops]\nsha256 = "{hash_of("ops")}"\nscopes = ["operations:read"]\n[a]\nsha256 = "{hash_of("good")}"\n',
        "utf-8",
    )
    for client in (
        town.comes_from("192.0.2.7"),
        town.comes_from("127.0.0.1", headers={"X-Forwarded-For": "127.0.0.1"}),
        public.client,
    ):
        refused = client.get("/operations")
        assert (refused.status_code, refused.json()["code"]) == (401, "no_token")
        assert refused.headers["www-authenticate"].startswith("Basic")
    assert public.client.get("/operations", headers={"Authorization": "Bearer good"}).status_code == 403
    assert public.client.get("/operations", headers={"Authorization": "Bearer ops"}).status_code == 200
    assert public.client.get("/operations", auth=("anybody", "ops")).status_code == 200
    assert public.client.get("/operations", headers={"Authorization": "Basic Zg=x"}).status_code == 401
    public.store.close()


def test_a_clerk_decides_once_and_by_the_page_alone(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decision is a record of the portal's topic; another site's form and a second press change nothing."""
    monkeypatch.setattr("hub.web.orders.SHOWN_SECONDS", 0.0)
    clerk = waits(town)
    page = clerk.get("/liens").text
    assert "•••••D" in page
    assert "•••••T" in page
    assert "aujourd" in page
    assert "(bibliothèque)" in page
    forged = {"proposal": PROPOSAL, "reason": "proven", "seal": "0" * 64}
    assert clerk.post("/liens", data=forged).status_code == 403
    assert clerk.post("/liens", data={**forged, "reason": "why not"}).status_code == 422
    assert town.written == []
    form = {**forged, "seal": seal_of(page)}
    assert [clerk.post("/liens", data=form).status_code for _ in range(2)] == [303, 303]
    assert len({wish.raw_id for _, wish in town.written}) == 1
    product, wish = town.written[0]
    assert (product, wish.feed, wish.key) == ("publik", "decision", f"publik:{ANNE}")
    told = json.loads(wish.value)
    assert (told["clerk"], told["accepted"], told["link"]["scope"]) == ("mediatheque", True, ["library"])
    record = Record(
        product, wish.feed, wish.key.encode(), wish.value, wish.raw_id or "", 1, Origin("raw.publik", 1, 0, 1)
    )
    decisions = process(record, catalogue.connectors()["publik"], catalogue.schemas()).decisions
    assert [d.event.type.rpartition(".")[2] for d in decisions if isinstance(d, Deliver)] == [
        "LinkDecided",
        "LinkRequested",
    ]
    refused = LinkDecided(citizen=ANNE, subject=CARD, proposal=PROPOSAL, accepted=False, clerk="other")
    town.happens(refused, f"publik:{ANNE}", "publik")
    assert clerk.post("/liens", data=form).status_code == 409
    assert "Aucun lien" in clerk.get("/liens").text


def test_the_resident_sees_which_desk_was_shown_a_link_that_waits(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a day, however often the list is opened; and while that cannot be written, the list is not shown."""

    def away(*_: Any) -> None:
        raise Transient("database: disk full")

    clerk = waits(town)
    for _ in range(2):
        assert clerk.get("/liens").status_code == 200
    town.login()
    page = town.client.get("/compte/acces").text
    assert page.count("<strong>mediatheque</strong><span>Consultation de vos liens au guichet</span>") == 1
    town.now += timedelta(days=1)
    with monkeypatch.context() as full:
        full.setattr("hub.store.disclosures.insert_new", away)
        refused = clerk.get("/liens")
        assert (refused.status_code, "•••••D" in refused.text) == (503, False)
    clerk.get("/liens")
    assert [told.recipient for told in Disclosures(town.store).of(ANNE)] == ["mediatheque"] * 2


def test_links_are_decided_with_a_token_of_that_scope_also_on_the_machine(town: Town) -> None:
    """The page shows what is personal."""
    waits(town)
    for password, status in (("nobody", 401), ("good", 403)):
        client = town.comes_from("127.0.0.1")
        client.auth = ("anybody", password)
        assert client.get("/liens").status_code == status
        assert client.post("/liens", data={"proposal": PROPOSAL, "reason": "proven", "seal": "0"}).status_code == status


def test_what_nobody_has_linked_is_shown_with_its_age(town: Town) -> None:
    """By source; a subject's own number is not needed for that."""
    clerk = waits(town)
    town.happens(LoanStarted(item_id="i"), "ils_di:98765", "ils_di")
    page = clerk.get("/liens").text
    assert "Ce que personne n'a relié" in page
    assert "98765" not in page


def test_behind_tls_the_cookie_stays_there(tmp_path: Path) -> None:
    """Secure, and the browser is told to come back by TLS only."""
    public = Town(tmp_path, "https://ville.example")
    public.client = public.comes_from("127.0.0.1", base_url="https://ville.example")
    response = public.uses(public.store.make_login(ANNE, NOW))
    assert "Secure" in response.headers["set-cookie"]
    assert "max-age" in response.headers["strict-transport-security"]
    public.store.close()


def test_a_block_says_up_to_when_its_source_is_known(town: Town) -> None:
    """A linked card without a loan has a moment too; a source that nothing is linked to has none."""
    town.happens(LinkRequested(citizen=ANNE, subject="ils_di:7", role=Role.SELF), f"publik:{ANNE}", "publik")
    at = int(NOW.timestamp() * 1000) - 60_000
    for product in ("ils_di", "chrono", "metromobilite"):
        town.store.polled(product, at)
    answer = town.client.get(f"/api/v1/accounts/{ANNE}", headers={"Authorization": "Bearer good"}).json()
    assert {block["name"]: block["as_of"] for block in answer["blocks"]} == {
        "canteen": None,
        "library": "2026-03-10T08:39:00+01:00",
        "requests": None,
        "disruptions": "2026-03-10T08:39:00+01:00",
    }


def test_an_empty_account_says_how_to_link(town: Town) -> None:
    """Nobody meets an empty page."""
    town.login()
    assert "Rien n&#39;est encore relié" in town.client.get("/compte").text.replace("'", "&#39;")


def test_a_person_is_answered_with_a_page(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """In French, where a program gets a problem."""
    browser = {"Accept": "text/html,application/xhtml+xml"}
    missing = town.client.get("/nulle-part", headers=browser)
    assert (missing.status_code, "Cette page n'existe pas" in missing.text) == (404, True)
    assert town.client.get("/nulle-part").json()["code"] == "not_found"
    assert town.client.post("/connexion", headers=browser).status_code == 422

    def away(*_: Any) -> None:
        raise Transient("database: away")

    monkeypatch.setattr(town.store, "session", away)
    shown = town.client.get("/compte", headers=browser)
    assert (shown.status_code, shown.headers["retry-after"]) == (503, "5")
    assert "réessayez" in shown.text

    def broken(*_: Any) -> None:
        raise ValueError("anne@example.org")

    monkeypatch.setattr(town.store, "session", broken)
    defect = town.comes_from("127.0.0.1", raise_server_exceptions=False).get("/compte")
    assert (defect.status_code, defect.json()["code"]) == (500, "bug")
    assert "anne" not in defect.text


def test_no_body_is_read_beyond_its_bound(town: Town) -> None:
    """On any route, whatever its length claims."""

    def endless() -> Iterator[bytes]:
        for _ in range(1000):
            yield b"x" * 65536

    for path in ("/connexion", "/subjects/hub.library.LoanStarted", "/hooks/publik/request"):
        answer = town.client.post(
            path, content=endless(), headers={"Content-Type": "application/x-www-form-urlencoded"}
        )
        assert (path, answer.status_code, answer.json()["code"]) == (path, 413, "too_large")


def test_a_call_that_kafka_does_not_take_is_refused_for_good(town: Town) -> None:
    """413: the vendor would repeat a 503 for ever."""
    town.takes = 10
    answer = call(town, json.dumps({"id": ANNE, "citizen": ANNE, "type": "link_requested"}).encode())
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert town.calls[-1] == ("publik", "refused")


def test_without_a_secret_nobody_can_sign(town: Town) -> None:
    """An empty or missing file is no key; the vendor is asked to come back."""
    (town.folder / "hook").write_bytes(b"\n")
    assert call(town, b"{}", secret=b"").status_code == 503
    (town.folder / "hook").unlink()
    assert call(town, b"{}", secret=b"").json()["code"] == "no_secret"
    assert town.written == []


def test_a_polled_feed_takes_no_calls(town: Town) -> None:
    """Only webhooks do."""
    assert call(town, b"{}", path="/hooks/chrono/bookings").status_code == 404


@settings(max_examples=examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    unit=st.binary(max_size=200) | st.sampled_from([b"[", b'{"a":', b'{"id":1e999}', b"\xff\xfe"]), deep=st.booleans()
)
def test_any_bytes_of_a_call_get_a_clear_answer(town: Town, unit: bytes, deep: bool) -> None:
    """Never a defect, and nothing is written of what names nobody."""
    body = (unit * (200_000 // max(len(unit), 1))) if deep else unit
    assert call(town, body).status_code in (400, 413, 422)
    assert town.client.post("/subjects/hub.library.LoanStarted", content=body).status_code == 422
    assert town.client.post("/connexion", content=body).status_code in (400, 410, 422)


@settings(max_examples=examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(part=st.text(min_size=1, max_size=30))
def test_any_address_gets_a_clear_answer(town: Town, part: str) -> None:
    """No address is a defect."""
    name = quote(part, safe="")
    for path in ("/api/v1/accounts/", "/connexion/", "/subjects/", "/schemas/ids/", "/hooks/publik/", "/static/", "/"):
        assert town.client.get(path + name, headers={"Authorization": "Bearer good"}).status_code < 500


def test_a_broken_token_file_lets_nobody_new_in(town: Town) -> None:
    """What was known stays while somebody edits the file."""
    live(town)

    def status() -> int:
        return town.client.get(f"/api/v1/accounts/{ANNE}", headers={"Authorization": "Bearer good"}).status_code

    assert status() == 200
    for text in ("[", "x = 1", "[a]\nscopes = []", "[a]\nsha256 = 1\nscopes = 3"):
        (town.folder / "tokens.toml").write_text(text, "utf-8")
        assert status() == 200
    (town.folder / "tokens.toml").write_text("", "utf-8")
    assert status() == 401


def test_the_api_describes_itself(town: Town) -> None:
    """Bearer tokens, and every error as a problem."""
    document = town.client.get("/api/v1/openapi.json").json()
    account = document["paths"]["/api/v1/accounts/{citizen}"]["get"]
    assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    assert account["security"] == [{"HTTPBearer": []}]
    assert {"200", "304", "401", "403", "404", "422", "503"} == set(account["responses"])
    for path in document["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                assert int(status) < 400 or list(response["content"]) == ["application/problem+json"]


def test_open_data_is_served_as_it_lies_there_to_everybody(tmp_path: Path) -> None:
    """Pages and files below the folder, with the headers of every page; nothing above it."""
    town = Town(tmp_path)
    folder = tmp_path / "opendata"
    (folder / "38185-GRE").mkdir(parents=True)
    (folder / "index.html").write_text("<h1>Données</h1>", "utf-8")
    (folder / "38185-GRE" / "a.csv").write_text("a\n1\n", "utf-8")
    (folder.parent / "secret.txt").write_text("no", "utf-8")
    page = town.client.get("/donnees/")
    assert (page.status_code, "script" in page.headers["Content-Security-Policy"]) == (200, False)
    assert town.client.get("/donnees/38185-GRE/a.csv").text == "a\n1\n"
    assert town.client.get("/donnees/%2e%2e/secret.txt").status_code == 404
    town.store.close()

"""A resident sees what a link lets through, why, how late it is, and who received it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from web_town import ANNE, NOW, SECRET, Town, live, seal_of

from hub.config import Settings
from hub.model.disclosure import Disclosure
from hub.model.errors import Transient
from hub.roles.policy import CityPolicy
from hub.store.disclosures import Disclosures
from hub.web.operations import Flow, Pauses
from hub.web.tokens import SCOPES, hash_of
from schemas.models.citizen_portal import Channel, LinkRequested, PreferencesChanged, Role
from schemas.models.library import HoldReady
from schemas.models.school_catering import AccountBalanceChanged, Activity, BillIssued, MealBooked
from streams.account import CITY, PERSONAL, SHOWS, Pace, blocks, next_word, prefixes, visible

MARC = "9c2a6d10-7b1e-4f6c-8a0e-2d5b7c9e1f22"


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """Make a town."""
    made = Town(tmp_path)
    yield made
    made.store.close()


def link(town: Town, citizen: str, subject: str, *scope: str) -> None:
    """Let a parent be linked."""
    wish = LinkRequested(citizen=citizen, subject=subject, role=Role.PARENT, scope=scope)
    town.happens(wish, f"publik:{citizen}", "publik")


def family(town: Town) -> None:
    """Let one parent pay, and the other see the meals only."""
    link(town, ANNE, "horanet:F1")
    link(town, MARC, "horanet:F1", "canteen")
    meal = MealBooked(booking_id="b", meal_date=date(2026, 3, 12), activity=Activity.LUNCH, label="Cantine")
    bill = BillIssued(bill_id="1", label="Mars", amount_cents=4605, due_on=date(2026, 3, 31))
    balance = AccountBalanceChanged(account_id="a", label="Famille", balance_cents=-4605)
    for payload in (meal, bill, balance):
        town.happens(payload, "horanet:F1", "horanet")


def ask(town: Town, path: str = "", citizen: str = ANNE, token: str = "good", **headers: str) -> Any:
    """Ask the API."""
    return town.client.get(f"/api/v1/accounts/{citizen}{path}", headers={"Authorization": f"Bearer {token}", **headers})


def grant(town: Town, name: str, *scopes: str) -> None:
    """Give a service a token that is its name."""
    with (town.folder / "tokens.toml").open("a", encoding="utf-8") as tokens:
        tokens.write(f'[{name}]\nsha256 = "{hash_of(name)}"\nscopes = {json.dumps(scopes)}\n')


def test_a_scope_keeps_one_parent_s_bills_from_the_other(town: Town) -> None:
    """On the page, in the API and in the pages of entries, with the same link to the same subject."""
    family(town)
    mine = {block["name"]: block["lines"] for block in ask(town).json()["blocks"]}
    theirs = {block["name"]: block["lines"] for block in ask(town, citizen=MARC).json()["blocks"]}
    assert [line["detail"] for line in mine["bills"]] == ["46,05 €", "-46,05 €"]
    assert "bills" not in theirs
    assert [line["what"] for line in theirs["canteen"]] == ["Jeudi 12 mars"]
    assert [one["type"].rpartition(".")[2] for one in ask(town, "/entries", MARC).json()["entries"]] == ["MealBooked"]


@given(
    scope=st.lists(st.sampled_from([*PERSONAL, "money", ""]), max_size=3),
    kinds=st.lists(st.sampled_from([prefix for name in PERSONAL for prefix in SHOWS[name]]), max_size=6),
)
def test_a_link_shows_what_its_scope_names_and_nothing_else(scope: list[str], kinds: list[str]) -> None:
    """Without a scope everything; with a word that is no block's, nothing for that word."""

    class One:
        subject = "s:1"

    one = One()
    one.scope = scope  # type: ignore[attr-defined]
    entries: list[Any] = []
    for kind in kinds:
        entry = One()
        entry.type = kind  # type: ignore[attr-defined]
        entries.append(entry)
    shown = visible(entries, [one])  # type: ignore[list-item]
    wanted = [entry for entry in entries if not scope or any(entry.type in SHOWS.get(name, ()) for name in scope)]
    assert shown == wanted
    assert visible(entries, []) == []


def test_a_narrow_link_narrows_the_mails_too(town: Town) -> None:
    """Whoever may not see the canteen is not told about it."""
    for citizen in (ANNE, MARC):
        wish = PreferencesChanged(citizen=citizen, email=f"{citizen[0]}@example.org", topics=("canteen",))
        town.happens(wish, f"publik:{citizen}", "publik")
    link(town, ANNE, "chrono:E1")
    link(town, MARC, "chrono:E1", "bills")
    town.happens(MealBooked(booking_id="b", meal_date=date(2026, 3, 12)), "chrono:E1", "chrono")
    assert [row.payload["address"] for row in town.store.due("mail", 2**53, 9)] == ["3@example.org"]


@pytest.mark.parametrize(
    ("day", "told"),
    [
        (10, "Ne peut plus être modifié"),
        (13, "Modifiable jusqu'à aujourd'hui, 10:00"),
        (14, "Modifiable jusqu'au jeudi 12 mars, 10:00"),
        (9, ""),
    ],
)
def test_the_page_says_until_when_a_meal_can_be_changed(tmp_path: Path, day: int, told: str) -> None:
    """By the city's rule; what is over needs no such word."""
    town = Town(tmp_path, canteen={"cut_off_days": 2, "cut_off_time": "10:00"})
    link(town, ANNE, "chrono:E1")
    town.happens(MealBooked(booking_id="b", meal_date=date(2026, 3, day)), "chrono:E1", "chrono")
    canteen = ask(town).json()["blocks"][0]
    assert [line["until"] for line in canteen["lines"]] == [told]
    town.store.close()


def test_without_a_rule_nothing_is_promised(town: Town) -> None:
    """A city that has not said it does not get ours."""
    live(town)
    assert {line["until"] for line in ask(town).json()["blocks"][0]["lines"]} == {""}


def test_a_silent_source_is_named_with_the_moment_of_its_last_word() -> None:
    """After three polls and ten minutes, not before; a source that only calls is never late."""
    library = {"ils_di": ["hub.library.LoanStarted"]}

    def trouble(minutes: float, pace: Pace) -> str:
        known = int((NOW - timedelta(minutes=minutes)).timestamp() * 1000)
        found = {part.name: part for part in blocks([], [], [], NOW, {"ils_di": known}, library, {}, None, pace)}
        return found["library"].trouble

    often = Pace({"ils_di": 60.0})
    assert trouble(90, often) == "La bibliothèque n'a pas répondu depuis 07:10."
    assert trouble(11, often) == "La bibliothèque n'a pas répondu depuis 08:29."
    assert trouble(9, often) == ""
    assert trouble(11, Pace({"ils_di": 600.0})) == ""
    assert trouble(600, Pace()) == ""
    assert trouble(60 * 24, often) == "La bibliothèque n'a pas répondu depuis le lundi 9 mars à 08:40."
    assert trouble(1, Pace({}, {"ils_di"})).startswith("Les nouvelles informations de la bibliothèque sont suspendues")


def test_a_source_is_expected_a_poll_after_its_last_word() -> None:
    """One that calls by itself is not expected at any moment."""
    at = int(NOW.timestamp() * 1000)
    assert next_word("a", {"a": at}, Pace({"a": 60.0})) == (NOW + timedelta(minutes=1)).astimezone(CITY)
    assert next_word("a", {"a": at}, Pace()) is None
    assert next_word("a", {}, Pace({"a": 60.0})) is None


def test_every_line_says_why_it_is_there(town: Town) -> None:
    """Source, moments, revision and link, without script; what is public says so."""
    live(town)
    town.login()
    page = town.client.get("/compte").text
    assert page.count("<summary") == page.count('class="what"')
    for words in (
        "la restauration scolaire (chrono)",
        "« Inscription scolaire n° E1 » est relié à votre compte, comme parent",
        "information publique, sur une ligne que vous suivez",
        "version 1",
    ):
        assert words in page
    assert "<script" not in page
    for block in ask(town).json()["blocks"]:
        for line in block["lines"]:
            assert line["why"]["read_at"] == "2026-03-10T08:40:00+01:00"
            assert line["why"]["mapping_revision"] == 1


def test_a_read_by_a_service_is_shown_to_the_citizen_alone(town: Town) -> None:
    """With who, what for, and which blocks; nothing of it tells about a relative."""
    family(town)
    assert ask(town, citizen=MARC).status_code == 200
    town.login()
    assert "Aucune consultation" in town.client.get("/compte/acces").text
    assert ask(town).status_code == 200
    page = town.client.get("/compte/acces").text
    assert "portal" in page
    assert "Consultation par un service de la ville : factures, cantine" in page
    assert MARC not in page
    assert [told.citizen for told in Disclosures(town.store).of(ANNE)] == [ANNE]


def test_what_is_not_delivered_is_not_told_and_what_cannot_be_told_is_not_delivered(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 304 and a refusal deliver nothing; a database that cannot write gives 503 and no data."""
    family(town)
    tag = ask(town).headers["etag"]
    same = ask(town, **{"If-None-Match": f'"other", W/{tag}'})
    assert (same.status_code, same.content, same.headers["cache-control"]) == (304, b"", "private, no-cache")
    assert ask(town, token="poor").status_code == 403
    assert len(Disclosures(town.store).of(ANNE)) == 1

    def away(*_: Any, **__: Any) -> None:
        raise Transient("database: disk full")

    monkeypatch.setattr("hub.store.disclosures.insert", away)
    answer = ask(town)
    assert (answer.status_code, "blocks" in answer.text) == (503, False)


def test_calls_that_come_at_once_share_a_commit_and_each_is_written(town: Town) -> None:
    """Whoever returns from telling is in the database."""
    disclosures = Disclosures(town.store)

    def tell(number: int) -> None:
        disclosures.tell(Disclosure(ANNE, number, f"s{number}", "api", ("canteen",)))
        assert f"s{number}" in {told.recipient for told in disclosures.of(ANNE)}

    threads = [threading.Thread(target=tell, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [told.at for told in disclosures.of(ANNE)] == list(range(19, -1, -1))


def test_a_mail_that_was_taken_is_a_delivery_once(town: Town) -> None:
    """A repeated mark tells nothing twice; what waits or was refused was not delivered."""
    live(town)
    at = int(NOW.timestamp() * 1000)
    first, second = (row.id for row in town.store.due("mail", 2**53, 2))
    town.store.refused(second, at, "smtp_550")
    assert Disclosures(town.store).of(ANNE) == []
    town.store.sent(first, at)
    town.store.sent(first, at)
    assert [told[1:] for told in Disclosures(town.store).of(ANNE)] == [(at, "mail", "notice", ("canteen",))]
    assert town.store.erase(ANNE, NOW)
    assert Disclosures(town.store).of(ANNE) == []


def wishes(town: Town, **ways: Any) -> None:
    """Let the resident be told about meals and the library in some way, and be linked to both."""
    for subject in ("chrono:E1", "ils_di:7"):
        link(town, ANNE, subject)
    wish = PreferencesChanged(citizen=ANNE, email="anne@example.org", topics=("canteen", "library"), **ways)
    town.happens(wish, f"publik:{ANNE}", "publik")


def received(town: Town) -> list[tuple[int, str, str, tuple[str, ...]]]:
    """Return when, by which way, what for and about what the resident received something, the newest first."""
    return [(told.at, told.recipient, told.purpose, tuple(told.what)) for told in Disclosures(town.store).of(ANNE)]


@pytest.mark.parametrize(
    ("channel", "ways", "words"),
    [
        ("mail", {}, "Votre adresse électronique"),
        ("sms", {"channel": Channel.SMS, "phone": "+33639980001"}, "Votre téléphone"),
        ("app", {"channel": Channel.APP}, "Votre application"),
    ],
)
def test_a_delivery_names_the_way_that_it_went(town: Town, channel: str, ways: dict[str, Any], words: str) -> None:
    """A short message is no mail."""
    wishes(town, **ways)
    town.happens(HoldReady(hold_id="h"), "ils_di:7", "ils_di")
    (row,) = town.store.due(channel, 2**53, 2)
    town.store.sent(row.id, 5)
    assert received(town) == [(5, channel, "notice", ("library",))]
    town.login()
    assert f"<strong>{words}</strong>" in town.client.get("/compte/acces").text


def test_a_digest_is_a_delivery_of_all_that_is_in_it(town: Town) -> None:
    """And of nothing that went into another one."""
    wishes(town, digest=True)
    town.happens(HoldReady(hold_id="h"), "ils_di:7", "ils_di")
    town.happens(MealBooked(booking_id="b", meal_date=date(2026, 3, 26)), "chrono:E1", "chrono")
    evening = NOW + timedelta(hours=10)
    assert town.store.decide_again(CityPolicy(Settings()).again(evening), evening) == {"pending": 1, "folded": 1}
    (digest,) = town.store.due("mail", 2**53, 2)
    town.happens(HoldReady(hold_id="i"), "ils_di:7", "ils_di")
    (later,) = {row_id for row_id, state in town.store.outbox_rows("mail") if state == "waiting"}
    town.store.sent(digest.id, 5)
    town.store.sent(later, 6)
    assert received(town) == [(6, "mail", "notice", ("library",)), (5, "mail", "notice", ("canteen", "library"))]


def test_what_may_have_arrived_is_a_delivery_and_what_expired_is_none(town: Town) -> None:
    """Nobody can say that it did not."""
    wishes(town)
    for number in ("h", "i"):
        town.happens(HoldReady(hold_id=number), "ils_di:7", "ils_di")
    unsure, late = town.store.due("mail", 2**53, 2)
    town.store.ended(late.id, 5, "expired", "too_late")
    assert received(town) == []
    town.store.ended(unsure.id, 5, "unsure", "lost")
    assert received(town) == [(5, "mail", "notice", ("library",))]


def test_what_only_a_receipt_calls_arrived_is_a_delivery_once(town: Town) -> None:
    """Whatever was known of it before; what did not arrive is none."""
    wishes(town)
    for number in ("h", "i"):
        town.happens(HoldReady(hold_id=number), "ils_di:7", "ils_di")
    arrived, lost = town.store.due("mail", 2**53, 2)
    town.store.receipt(lost.id, 5, arrived=False, code="permanent_failure")
    assert received(town) == []
    town.store.receipt(arrived.id, 5, arrived=True, code="delivered")
    town.store.receipt(arrived.id, 6, arrived=True, code="delivered")
    town.store.sent(arrived.id, 7)
    assert received(town) == [(5, "mail", "notice", ("library",))]


def test_who_received_what_is_forgotten_after_a_year(town: Town) -> None:
    """As the page promises."""
    live(town)
    assert ask(town).status_code == 200
    town.store.purge(NOW + timedelta(days=364))
    assert len(Disclosures(town.store).of(ANNE)) == 1
    town.store.purge(NOW + timedelta(days=366))
    assert Disclosures(town.store).of(ANNE) == []


def test_a_form_of_another_site_changes_nothing(town: Town) -> None:
    """Each has a seal that only this browser's page knows."""
    live(town)
    town.login()
    assert town.client.post("/deconnexion", data={"seal": "0" * 64}).json()["code"] == "no_seal"
    stranger = town.comes_from("127.0.0.1")
    seal = seal_of(stranger.get(f"/connexion/{town.store.make_login(ANNE, NOW)}").text)
    assert town.client.post("/deconnexion", data={"seal": seal}).status_code == 403
    assert town.client.get("/compte").status_code == 200
    assert SECRET not in town.client.get("/compte").content


def test_an_address_may_try_to_sign_in_so_often(town: Town) -> None:
    """Then it waits; another address does not."""
    seal = seal_of(town.client.get("/connexion/x").text)
    answers = [town.client.post("/connexion", data={"token": "x", "seal": seal}) for _ in range(31)]
    assert [answer.status_code for answer in answers] == [410] * 30 + [429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 61
    other = town.comes_from("192.0.2.7")
    assert other.post("/connexion", data={"token": "x", "seal": seal}).status_code == 403
    # Another process of the web role has the same database.
    beside = town.again()
    beside.cookies.update(town.client.cookies)
    assert beside.post("/connexion", data={"token": "x", "seal": seal}).status_code == 429


def test_a_token_may_be_good_for_one_block(town: Town) -> None:
    """It gets that block, the links that feed it, and no more of the entries."""
    live(town)
    grant(town, "cantine", "account:canteen")
    account = ask(town, token="cantine").json()
    assert [block["name"] for block in account["blocks"]] == ["canteen"]
    assert [one["subject"] for one in account["links"]] == ["chrono:E1"]
    entries = ask(town, "/entries", token="cantine").json()["entries"]
    assert {one["subject"] for one in entries} == {"chrono:E1"}
    assert [set(told.what) for told in Disclosures(town.store).of(ANNE)] == [{"canteen"}] * 2


def test_pages_of_entries_give_each_once_in_order(town: Town) -> None:
    """Whatever the size of the page; a place that is lost says so."""
    live(town)
    whole = ask(town, "/entries").json()
    assert whole["next"] is None
    ids = [one["id"] for one in whole["entries"]]
    assert len(ids) == 7
    for limit in (1, 2, 3, 7):
        found: list[str] = []
        after = ""
        while True:
            part = ask(town, f"/entries?limit={limit}{after}").json()
            found += [one["id"] for one in part["entries"]]
            if part["next"] is None:
                break
            after = f"&after={part['next']}"
        assert found == ids
    for lost in ("nothing", "e1"):
        assert ask(town, f"/entries?after={lost}").json()["code"] == "lost_place"
    link(town, MARC, "ils_di:7")
    assert ask(town, f"/entries?after={ids[0]}", MARC).json()["code"] == "lost_place"


def test_the_page_of_accesses_says_that_subscribers_are_not_on_it(town: Town) -> None:
    """Whether anything was received otherwise or not: nobody takes the list for all of it."""
    town.login()
    says = "ils les reçoivent au fil de l'eau et ne figurent pas dans cette liste"
    empty = town.client.get("/compte/acces").text
    assert "Aucune consultation" in empty
    assert says in empty
    Disclosures(town.store).tell(Disclosure(ANNE, 1, "portal", "api", ("canteen",)))
    listed = town.client.get("/compte/acces").text
    assert "Aucune consultation" not in listed
    assert says in listed


def test_a_pause_is_known_without_waiting_for_the_roles() -> None:
    """Whoever asks gets what is known; the roles are asked beside."""
    looked, may = threading.Event(), threading.Event()

    class Slow(Flow):
        def __init__(self) -> None:
            """Know no list."""

        def read(self) -> dict[str, Any]:
            """Answer when it is let."""
            may.wait(5)
            looked.set()
            return {"paused": ["chrono"]}

    pauses = Pauses(Slow(), seconds=0.0)
    assert pauses() == frozenset()
    may.set()
    assert looked.wait(5)
    for _ in range(1000):
        if pauses() == {"chrono"}:
            break
        threading.Event().wait(0.001)
    assert pauses() == {"chrono"}


def test_the_blocks_of_a_scope_are_those_of_the_account() -> None:
    """A token's scope and a link's scope are the same words."""
    assert {f"account:{name}" for name in SHOWS} < set(SCOPES)
    assert prefixes(()) == tuple(prefix for name in PERSONAL for prefix in SHOWS[name])
    assert prefixes(["money"]) == ()

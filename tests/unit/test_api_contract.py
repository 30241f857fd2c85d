"""The API keeps the contract that it describes, whatever is asked of it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS
from strength import examples
from web_town import ANNE, SECRET, Town, live

from hub.config import Sink
from hub.store.disclosures import Disclosures
from hub.web.api import ACCOUNT_EXAMPLE, ENTRIES_EXAMPLE, AccountBody, EntriesBody, follow
from streams.account import Block, Line

pytestmark = pytest.mark.slow

OPERATIONS = [
    "/api/v1/accounts/{citizen}",
    "/api/v1/accounts/{citizen}/entries",
    "/api/v1/accounts/{citizen}/changes",
    "/hooks/{product}/{feed}",
    "/receipts/{product}",
]
KNOWN = {"citizen": [ANNE], "product": ["publik", "sms"], "feed": ["request"]}
"""What a place of an address may be for something to be there."""


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Make a town in which a family lives."""
    folder = tmp_path_factory.mktemp("contract")
    (folder / "receipts").write_text("good\n", "utf-8")
    made = Town(folder, sinks={"sms": Sink(base_url="https://sms.invalid", receipts_secret_file=folder / "receipts")})
    live(made)
    yield made
    made.store.close()


@pytest.mark.parametrize("path", OPERATIONS)
def test_no_question_gets_an_answer_that_is_not_described(
    town: Town, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status, media type, headers and body of each answer are in the OpenAPI document; none is a defect."""
    monkeypatch.setattr("hub.web.api.LIFE_SECONDS", 0.0)
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", town.app)
    (operation,) = (found.ok() for found in schema.get_all_operations() if found.ok().path == path)

    @settings(
        max_examples=examples(25),
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(
        case=operation.as_strategy(),
        known=st.booleans(),
        known_as=st.fixed_dictionaries({name: st.sampled_from(values) for name, values in KNOWN.items()}),
        token=st.sampled_from(["good", "poor", "none"]),
    )
    def ask(case: Any, known: bool, known_as: dict[str, str], token: str) -> None:
        if known:
            case.path_parameters.update({name: known_as[name] for name in case.path_parameters})
        answer = case.call(headers={"Authorization": f"Bearer {token}"})
        case.validate_response(answer, excluded_checks=[CHECKS.get_one("ignored_auth")])

    ask()


def test_the_examples_are_of_their_schemas(town: Town) -> None:
    """What the document shows is what would be answered, and every operation has an example."""
    assert AccountBody.model_validate(ACCOUNT_EXAMPLE)
    assert EntriesBody.model_validate(ENTRIES_EXAMPLE)
    document = town.client.get("/api/v1/openapi.json").json()
    assert set(document["paths"]) == set(OPERATIONS)
    for path, operations in document["paths"].items():
        if path.startswith("/api/"):
            (content,) = operations["get"]["responses"]["200"]["content"].values()
            assert content["example"], path


def test_the_examples_of_calls_are_taken_and_answered_as_described(town: Town) -> None:
    """A call that is signed, and a receipt with its token; both documents say what a body may be."""
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", town.app)
    sent = {
        "/hooks/{product}/{feed}": ("/hooks/publik/request", 202),
        "/receipts/{product}": ("/receipts/sms", 204),
    }
    for path, (address, status) in sent.items():
        described = schema[path]["POST"].definition.raw
        body = json.dumps(described["requestBody"]["content"]["application/json"]["example"]).encode()
        signature = f"sha256={hmac.new(SECRET, body, hashlib.sha256).hexdigest()}"
        headers = {"Authorization": "Bearer good", "X-Hub-Signature": signature, "Content-Type": "application/json"}
        answer = town.client.post(address, content=body, headers=headers)
        assert answer.status_code == status
        schema[path]["POST"].validate_response(answer)
        shown = described["responses"][str(status)].get("content", {}).get("application/json", {}).get("example")
        assert (answer.json() if answer.content else None) == shown


def test_a_stream_says_which_blocks_changed_and_nothing_else(town: Town) -> None:
    """One event per change; a reader who comes back is told at once if anything changed meanwhile."""
    before = [Block("canteen", "", "", [Line("Mardi", "Déjeuner", "Réservé")]), Block("library", "", "")]
    after = [Block("canteen", "", "", [Line("Mardi", "Déjeuner", "Annulé")]), Block("library", "", "")]
    # The same account read later is no change.
    seen = iter([before, before, after, after, after])
    turns = iter([False, False, False, True])

    async def look() -> list[Block]:
        return next(seen)

    async def gone() -> bool:
        return next(turns)

    async def sleep(_: float) -> None:
        return None

    async def read(last: str | None) -> list[str]:
        return [event async for event in follow(look, gone, last, sleep)]

    first, changed = asyncio.run(read(None))
    assert first.startswith(":")
    assert changed.splitlines()[1:3] == ["event: changed", 'data: {"blocks": ["canteen"]}']
    assert "Annulé" not in changed
    name = changed.splitlines()[0].removeprefix("id: ")

    def come_back(stands: list[Block]) -> list[str]:
        nonlocal seen, turns
        seen, turns = iter([stands]), iter([True])
        return asyncio.run(read(name))

    assert come_back(after)[0].startswith(":")
    assert come_back(before)[0].splitlines()[2] == 'data: {"blocks": ["canteen", "library"]}'


def test_a_stream_needs_a_token_and_tells_nobody_anything_personal(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no delivery: nothing is written of it."""
    monkeypatch.setattr("hub.web.api.LIFE_SECONDS", 0.0)
    before = len(Disclosures(town.store).of(ANNE))
    path = f"/api/v1/accounts/{ANNE}/changes"
    assert town.client.get(path).status_code == 401
    answer = town.client.get(path, headers={"Authorization": "Bearer good", "Last-Event-ID": "long ago"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "Réservé" not in answer.text
    assert "canteen" in answer.text
    assert len(Disclosures(town.store).of(ANNE)) == before


def test_streams_are_bounded_and_give_their_places_back(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one too many is asked to come later."""
    monkeypatch.setattr("hub.web.api.LIFE_SECONDS", 0.0)
    monkeypatch.setattr("hub.web.api.MOST_STREAMS", 1)
    small = Town(town.folder)
    path, good = f"/api/v1/accounts/{ANNE}/changes", {"Authorization": "Bearer good"}
    assert [small.client.get(path, headers=good).status_code for _ in range(3)] == [200] * 3
    monkeypatch.setattr("hub.web.api.MOST_STREAMS", 0)
    none = Town(town.folder)
    answer = none.client.get(path, headers=good)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "too_many_streams", "60")
    small.store.close()
    none.store.close()

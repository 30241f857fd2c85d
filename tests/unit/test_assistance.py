"""An agent opens an account under a mandate that the citizen sees, until it ends."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from web_town import ANNE, NOW, Town, live, seal_of

from hub.store.disclosures import Disclosures
from hub.store.mandates import Mandates
from hub.web.tokens import hash_of


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """Make a town with two places where agents help."""
    made = Town(tmp_path)
    live(made)
    with (made.folder / "tokens.toml").open("a", encoding="utf-8") as tokens:
        for name in ("france-services", "ccas"):
            tokens.write(f'[{name}]\nsha256 = "{hash_of(name)}"\nscopes = ["accounts:assist"]\n')
    yield made
    made.store.close()


def agent_of(town: Town, name: str = "france-services") -> TestClient:
    """Return an agent's browser."""
    agent = town.comes_from("127.0.0.1")
    agent.auth = ("anybody", name)
    return agent


def record(town: Town, agent: TestClient, **more: str) -> Any:
    """Fill the form in."""
    seal = seal_of(agent.get("/mandats").text)
    form = {"citizen": ANNE, "reason": "DIGITAL_HELP", "until": "2026-03-20", "signed": "yes", "seal": seal}
    return agent.post("/mandats", data={**form, **more})


def test_an_agent_sees_the_account_and_the_citizen_sees_the_agent(town: Town) -> None:
    """Who, why, until when, and each time; and the citizen ends it by a button."""
    agent = agent_of(town)
    assert record(town, agent).status_code == 303
    (mandate,) = Mandates(town.store).of(ANNE)
    page = agent.get(f"/mandats/{mandate.id}").text
    assert "Déjeuner" in page
    assert "Elle voit chacune de vos consultations" in page
    town.login()
    assert "« france-services » peut consulter votre compte" in town.client.get("/compte").text
    access = town.client.get("/compte/acces").text
    for words in ("Aide à l&#39;usage du numérique", "du mardi 10 mars au vendredi 20 mars", "Aide d&#39;un agent"):
        assert words in access
    assert [(told.recipient, told.purpose) for told in Disclosures(town.store).of(ANNE)] == [
        ("france-services", "assistance")
    ]
    end = {"mandate": mandate.id, "seal": seal_of(access)}
    assert town.client.post("/compte/mandats/fin", data={**end, "seal": "0"}).status_code == 403
    assert town.client.post("/compte/mandats/fin", data=end).status_code == 303
    assert agent.get(f"/mandats/{mandate.id}").json()["code"] == "no_mandate"
    assert "Terminé le mardi 10 mars, par vous" in town.client.get("/compte/acces").text
    assert "peut consulter" not in town.client.get("/compte").text


def test_a_mandate_is_of_one_agent_and_ends_by_its_day(town: Town) -> None:
    """Another agent has no part in it, and after its last day nobody has."""
    record(town, agent_of(town))
    (mandate,) = Mandates(town.store).of(ANNE)
    other = agent_of(town, "ccas")
    assert other.get(f"/mandats/{mandate.id}").status_code == 403
    end = {"mandate": mandate.id, "seal": seal_of(other.get("/mandats").text)}
    other.post("/mandats/fin", data=end)
    assert Mandates(town.store).of(ANNE)[0].ended_at is None
    assert mandate.open_on((NOW + timedelta(days=10)).date())
    assert not mandate.open_on((NOW + timedelta(days=11)).date())
    assert Mandates(town.store).open_of(ANNE, (NOW + timedelta(days=11)).date()) == []
    agent = agent_of(town)
    agent.post("/mandats/fin", data={**end, "seal": seal_of(agent.get("/mandats").text)})
    assert Mandates(town.store).of(ANNE)[0].ended_by == "agent"


def test_a_mandate_needs_a_signature_a_reason_and_an_end(town: Town) -> None:
    """Within a year, for somebody who is there, by an agent with the scope, and on the page's own form."""
    agent = agent_of(town)
    for more in ({"signed": ""}, {"reason": "CURIOSITY"}, {"until": "2026-03-09"}, {"until": "2027-03-11"}):
        assert record(town, agent, **more).status_code == 422
    assert record(town, agent, citizen=ANNE.replace("3", "4")).status_code == 404
    assert record(town, agent, seal="0" * 64).status_code == 403
    assert agent_of(town, "good").get("/mandats").status_code == 403
    assert Mandates(town.store).of(ANNE) == []


def test_a_mandate_is_forgotten_a_year_after_its_end_and_with_its_citizen(town: Town) -> None:
    """Not before: it can be asked who acted for whom."""
    record(town, agent_of(town))
    town.store.purge(NOW + timedelta(days=374))
    assert len(Mandates(town.store).of(ANNE)) == 1
    town.store.purge(NOW + timedelta(days=376))
    assert Mandates(town.store).of(ANNE) == []
    record(town, agent_of(town))
    town.store.erase(ANNE, NOW)
    assert Mandates(town.store).of(ANNE) == []

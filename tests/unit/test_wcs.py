"""w.c.s.: where a form stands, pushed or asked for by a signed query; whoever filed it is linked to it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from connectors.sources.citizen_portal.wcs import source
from connectors.sources.citizen_portal.wcs.model import name_of
from connectors.sources.citizen_portal.wcs.simulator import _signed
from hub import catalogue
from hub.intake.credentials import SignedQuery
from hub.intake.driver import Vendor
from hub.model.decision import Deliver
from hub.model.errors import Transient
from hub.model.intake import Answer, Call, Emit, Get, Refusal, Subjects
from hub.pipeline.process import process
from hub.testing.samples import record

CONNECTOR = catalogue.connectors()["wcs"]
FORM = "inscription-activites/17"


def ask(names: list[str], answers: list[Answer]) -> tuple[list[str], list[str]]:
    """Poll; return what was asked, and what was written."""
    asked: list[str] = []
    written: list[str] = []
    work = source.poll({}, {})
    answer: Any = None
    try:
        while True:
            wish = work.send(answer)
            answer = None
            if isinstance(wish, Subjects):
                answer = names
            elif isinstance(wish, Get):
                asked.append(wish.path)
                answer = answers.pop(0)
            elif isinstance(wish, Emit):
                written.append(wish.key)
    except StopIteration:
        return asked, written


def test_forms_that_somebody_is_linked_to_are_asked_for() -> None:
    """One that was deleted says nothing of the others; what is no form's name is no part of an address."""
    good, gone, failed = (Answer(status, {}, b"{}", 1) for status in (200, 404, 400))
    asked, written = ask([FORM, "../users/1", "piscine/3"], [gone, good])
    assert asked == [f"api/forms/{FORM}/", "api/forms/piscine/3/"]
    assert written == ["wcs:piscine/3"]
    assert ask([], []) == ([], [])
    assert ask([FORM], [gone]) == ([f"api/forms/{FORM}/"], [])
    with pytest.raises(Transient, match="every form"):
        ask([FORM], [failed])
    with pytest.raises(Transient, match="login"):
        ask([FORM], [Answer(302, {}, b"", 1)])


@pytest.mark.parametrize(
    ("document", "name"),
    [
        ({"id": FORM}, FORM),
        ({"id": "17", "url": "https://demarches.example/inscription-activites/17/"}, FORM),
        ({"id": 17, "url": "https://demarches.example/backoffice/inscription-activites/17"}, FORM),
        ({"id": "17"}, None),
        ({"id": "17", "url": "http://[/17"}, None),
        ({"id": "../17"}, None),
        ([], None),
    ],
)
def test_a_form_is_known_by_its_name_and_number(document: Any, name: str | None) -> None:
    """By the id, or by the address where the id is a number alone."""
    assert name_of(document) == name


def test_a_push_is_taken_by_its_form() -> None:
    """What names none is refused at once: its workflow's log tells."""
    taken = source.receive(Call("pushed", json.dumps({"id": FORM}).encode(), {"x-request-id": "r1"}, 1))
    assert isinstance(taken, Emit)
    assert (taken.key, taken.answer, taken.feed) == (f"wcs:{FORM}", "r1", "pushed")
    for body, status in ((b"{", 400), (b"{}", 422), (b"[]", 422)):
        refused = source.receive(Call("pushed", body, {}, 1))
        assert isinstance(refused, Refusal)
        assert refused.status == status
    other = source.receive(Call("form", b"{}", {}, 1))
    assert isinstance(other, Refusal)
    assert other.status == 404


def test_pushes_and_answers_tell_each_step_once() -> None:
    """Whichever comes first; who filed the form is linked the first time, and not again."""
    schemas = catalogue.schemas()
    memory: bytes | None = None
    told: list[str] = []
    steps = [("form", "new", "08:12:30"), ("pushed", "new", "08:12:30"), ("pushed", "1", "08:20:01")]
    for feed, step, at in [*steps, ("form", "1", "08:20:01"), ("form", "new", "08:12:30"), ("form", "2", "08:30:00")]:
        body = {
            "id": FORM,
            "receipt_time": "2026-03-10T08:12:30",
            "last_update_time": f"2026-03-10T{at}",
            "user": {"NameID": ["5b0c2f1e8d574a399c7e1f6a2d4b8e03"]},
            "workflow": {"status": {"id": step, "name": step}},
        }
        sample = record(CONNECTOR, feed, json.dumps(body).encode(), key=f"wcs:{FORM}")
        outcome = process(sample, CONNECTOR, schemas, memory)
        memory = outcome.state
        told += [d.event.type.rpartition(".")[2] for d in outcome.decisions if isinstance(d, Deliver)]
    assert told == ["FormFiled", "LinkRequested", "FormStatusChanged", "FormStatusChanged"]


def test_the_query_is_signed_as_it_is_sent(tmp_path: Path) -> None:
    """The other side computes the signature from the text before it; each query has a nonce of its own."""
    key = tmp_path / "key"
    key.write_text("clé partagée de l'essai\n", "utf-8")
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.query.decode())
        return httpx.Response(200)

    auth = {"default": SignedQuery("hub.essai", key)}
    vendor = Vendor("http://vendor/", "hub", 1e9, auth, transport=httpx.MockTransport(answer))
    vendor.ask(Get("/a", params={"NameID": "é &=+", "full": "on"}))
    vendor.ask(Get("/a"))
    assert seen[0].startswith("NameID=")
    assert seen[1].startswith("orig=hub.essai&algo=sha256&timestamp=20")
    for query in seen:
        text, _, signature = query.partition("&signature=")
        digest = hmac.new("clé partagée de l'essai".encode(), text.encode(), hashlib.sha256).digest()
        assert parse_qs("s=" + signature)["s"] == [base64.b64encode(digest).decode()]
        assert _signed(query)
        assert not _signed(query.replace("orig=hub", "orig=hob"))
    assert len({parse_qs(query)["nonce"][0] for query in seen}) == 2


def told(step: str, read_at: int, previous: bytes | None) -> tuple[bytes | None, list[str]]:
    """Decide what a form says that was written in one and the same second."""
    document = {
        "id": FORM,
        "receipt_time": "2026-03-10T08:12:30",
        "last_update_time": "2026-03-10T08:20:01",
        "workflow": {"status": {"id": step, "name": step}},
    }
    said = record(CONNECTOR, "form", json.dumps(document).encode(), key=f"wcs:{FORM}")._replace(read_at=read_at)
    outcome = process(said, CONNECTOR, catalogue.schemas(), previous)
    return outcome.state, [d.event.type for d in outcome.decisions if isinstance(d, Deliver)]


def test_two_steps_of_one_second_do_not_go_back_and_forth() -> None:
    """A question asked before the last push was received, and answered after it, is no news."""
    begun, _ = told("new", 1_773_127_201_100, None)
    pushed, steps = told("accepted", 1_773_127_201_300, begun)
    assert steps == ["hub.citizen_portal.FormStatusChanged"]
    assert told("new", 1_773_127_201_200, pushed)[1] == []
    assert told("accepted", 1_773_127_201_400, pushed)[1] == []

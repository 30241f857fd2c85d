"""HubEE's source, driven by hand: which wish follows which answer, and what is never deleted."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from connectors.sources.civil_registry.hubee.source import AT_ONCE, DOWNLOADED, INLINE, INLINE_ALL, poll
from hub import catalogue
from hub.model.decision import Deliver, Quarantine
from hub.model.errors import Code, Transient
from hub.model.intake import Answer, Delete, Emit, Get, Keep, Patch, Post, Request
from hub.pipeline.process import process
from hub.testing.samples import record

SETTINGS = {
    "procedures": "EtatCivil",
    "editor_name": "Ville",
    "application_name": "hub",
    "software_version": "1",
}
PAGE = b"<!DOCTYPE html><html><body>Maintenance</body></html>"
MOMENT = "2026-03-10T07:40:00+01:00"


class Vendor:
    """A queue in memory; `spoil` replaces the answers of (method, path)."""

    def __init__(self) -> None:
        self.queue: list[dict[str, Any]] = []
        self.cases: dict[str, dict[str, Any]] = {}
        self.files: dict[str, bytes] = {}
        self.spoil: dict[tuple[type[Request], str], Answer] = {}
        self.raw: list[Emit] = []
        self.wishes: list[str] = []

    def add(self, case: str, *files: bytes, status: str = "HUBEE_NOTIFIED", **more: Any) -> None:
        attachments = []
        for index, data in enumerate(files):
            self.files[f"{case}-{index}"] = data
            attachments.append({"id": f"{case}-{index}", "fileName": "a.xml", "size": len(data), "status": "PENDING"})
        self.cases[case] = {"id": case, "status": status, "attachments": attachments, "events": [], **more}
        self.notify(case)

    def notify(self, case: str | None) -> None:
        self.queue.append({"id": f"n{len(self.queue)}-{case}", "processCode": "EtatCivil", "caseId": case})

    def answer(self, wish: Request) -> Answer:
        parts = wish.path.strip("/").split("/")
        spoilt = self.spoil.get((type(wish), wish.path))
        if spoilt is not None:
            return spoilt
        match wish:
            case Get(path="/notifications"):
                waiting = [item for item in self.queue if item["processCode"] == wish.params["processCode"]]
                return said(waiting[: int(wish.params["maxResult"])])
            case Get() if "attachments" in parts:
                data = self.files[parts[3]]
                return Answer(200, {"digest": digest(data)}, data, 2)
            case Get():
                return said(self.cases[parts[1]])
            case Patch():
                self.cases[parts[1]]["status"] = wish.body["status"]
            case Post():
                self.cases[parts[1]]["events"].append(wish.body)
            case Delete():
                self.queue = [item for item in self.queue if item["id"] != parts[1]]
        return Answer(204, {}, b"", 1)

    def poll(self, steps: int = 10**6, **settings: str) -> bool:
        """Poll once, or up to a crash after a number of steps; tell whether it came to its end."""
        source = poll({}, {**SETTINGS, **settings})
        try:
            wish = next(source)
            for _ in range(steps):
                self.wishes.append(f"{type(wish).__name__} {getattr(wish, 'path', '')}".strip())
                if isinstance(wish, Emit):
                    self.raw.append(wish)
                    wish = source.send(None)
                elif isinstance(wish, Keep):
                    wish = source.send(hashlib.sha256(wish.data).hexdigest())
                else:
                    assert isinstance(wish, Request)
                    wish = source.send(self.answer(wish))
        except StopIteration:
            return True
        source.close()
        return False

    def envelope(self, index: int = 0) -> Any:
        return json.loads(self.raw[index].value)


def said(document: Any, status: int = 200) -> Answer:
    return Answer(status, {"x-request-id": "r"}, json.dumps(document).encode(), 1)


def digest(data: bytes) -> str:
    return "SHA-256=" + base64.b64encode(hashlib.sha256(data).digest()).decode()


@pytest.fixture
def vendor() -> Vendor:
    """Start with an empty queue."""
    return Vendor()


def test_each_thing_is_safe_before_the_next_is_changed(vendor: Vendor) -> None:
    """Record, status, event, and only then the deletion."""
    vendor.add("c1", b"<a/>")
    assert vendor.poll()
    assert vendor.wishes == [
        "Get /notifications",
        "Get /cases/c1",
        "Get /cases/c1/attachments/c1-0",
        "Emit",
        "Patch /cases/c1",
        "Post /cases/c1/events",
        "Delete /notifications/n0-c1",
    ]
    assert vendor.raw[0].key == "hubee:c1"
    assert vendor.raw[0].raw_id == "n0-c1"


@pytest.mark.parametrize("steps", range(14))
def test_a_crash_at_any_wish_is_made_good(vendor: Vendor, steps: int) -> None:
    """What was begun is begun again: nothing is missing, and the receipt is told once."""
    vendor.add("c1", b"<a/>")
    vendor.add("c2", b"<b/>")
    vendor.poll(steps)
    assert vendor.poll()
    assert vendor.queue == []
    assert {wish.key for wish in vendor.raw} == {"hubee:c1", "hubee:c2"}
    assert [len(case["events"]) for case in vendor.cases.values()] == [1, 1]


@pytest.mark.parametrize("status", ["IN_PROGRESS", "DONE", "REFUSED", "CLOSED"])
def test_a_case_that_somebody_moved_on_is_not_put_back(vendor: Vendor, status: str) -> None:
    """No receipt is told of a case that a clerk took up elsewhere."""
    vendor.add("c1", status=status)
    assert vendor.poll()
    assert vendor.cases["c1"]["status"] == status
    assert vendor.cases["c1"]["events"] == []
    assert vendor.queue == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (Get, "/notifications"),
        (Get, "/cases/c1"),
        (Get, "/cases/c1/attachments/c1-0"),
        (Patch, "/cases/c1"),
        (Post, "/cases/c1/events"),
        (Delete, "/notifications/n0-c1"),
    ],
)
@pytest.mark.parametrize("status", [200, 404])
def test_a_page_in_between_is_no_answer(vendor: Vendor, method: type[Request], path: str, status: int) -> None:
    """An HTML page never leads to a deletion, not even with status 404."""
    vendor.add("c1", b"<a/>")
    vendor.spoil[method, path] = Answer(status, {}, PAGE, 1)
    with pytest.raises(Transient):
        vendor.poll()
    assert len(vendor.queue) == 1
    vendor.spoil.clear()
    assert vendor.poll()
    assert vendor.queue == []
    assert len(vendor.cases["c1"]["events"]) == 1


def test_nested_too_deeply_is_no_answer(vendor: Vendor) -> None:
    """A document that cannot be read is waited for, and ends no process."""
    vendor.spoil[Get, "/notifications"] = Answer(200, {}, b"[" * 100_000, 1)
    with pytest.raises(Transient):
        vendor.poll()


def test_a_head_of_queue_that_is_stuck_blocks_nobody(vendor: Vendor) -> None:
    """More stuck notifications than a page holds: those behind are taken, and the trouble is told."""
    for number in range(AT_ONCE + 1):
        vendor.add(f"bad{number}", b"<a/>")
        vendor.spoil[Get, f"/cases/bad{number}/attachments/bad{number}-0"] = Answer(200, {"digest": "no"}, b"<a", 1)
    vendor.notify("bad0")
    vendor.notify(None)
    vendor.add("good", b"<a/>")
    with pytest.raises(Transient, match="digest"):
        vendor.poll()
    assert [wish.key.partition("-")[0] for wish in vendor.raw] == ["hubee:notification:n27", "hubee:good"]
    assert len(vendor.queue) == AT_ONCE + 2
    vendor.spoil.clear()
    while vendor.queue:
        assert vendor.poll()
    assert len({wish.key for wish in vendor.raw}) == AT_ONCE + 3


def test_one_procedure_that_is_stuck_leaves_the_others(vendor: Vendor) -> None:
    """The second procedure is polled although the first has trouble."""
    vendor.add("bad", b"<a/>")
    vendor.spoil[Get, "/cases/bad"] = said({"errors": [{"code": 400, "message": "no"}]}, 400)
    vendor.add("death", b"<a/>")
    vendor.queue[1]["processCode"] = "CERTDC"
    with pytest.raises(Transient, match="400"):
        vendor.poll(procedures="EtatCivil, CERTDC")
    assert [wish.key for wish in vendor.raw] == ["hubee:death"]


def test_a_refused_receipt_does_not_hold_the_queue(vendor: Vendor) -> None:
    """The record is safe; a status that HubEE refuses is not asked for for ever."""
    vendor.add("c1", b"<a/>")
    refused = said({"errors": [{"code": 400, "message": "no"}]}, 400)
    vendor.spoil[Patch, "/cases/c1"] = vendor.spoil[Post, "/cases/c1/events"] = refused
    assert vendor.poll()
    assert (len(vendor.raw), vendor.queue) == (1, [])


def test_the_record_stays_below_the_limit_of_kafka(vendor: Vendor) -> None:
    """The small document keeps its place, large ones are kept beside, the largest is not even asked for."""
    vendor.add("c1", b"x" * INLINE, b"y" * INLINE, b"<a/>", b"z" * (INLINE + 1), b"w")
    vendor.cases["c1"]["attachments"][4]["size"] = DOWNLOADED + 1
    assert vendor.poll()
    entries = vendor.envelope()["attachments"]
    assert [entry["content"] is not None for entry in entries] == [True, False, True, False, False]
    assert [entry["omitted"] for entry in entries] == [None, None, None, None, "larger than 16 MB"]
    assert [entry["sha256"] is not None for entry in entries] == [True, True, True, True, False]
    assert [entry["blob"] for entry in entries] == [None, entries[1]["sha256"], None, entries[3]["sha256"], None]
    assert vendor.wishes.count("Keep") == 2
    assert vendor.wishes.index("Emit") > max(index for index, wish in enumerate(vendor.wishes) if wish == "Keep")
    assert "Get /cases/c1/attachments/c1-4" not in vendor.wishes
    assert len(vendor.raw[0].value) < 900_000
    assert INLINE_ALL * 4 / 3 < 900_000


def test_what_is_not_documented_is_recorded_as_it_came(vendor: Vendor) -> None:
    """Parts of another type, and half of a surrogate pair, reach the record; the record is then set aside."""
    vendor.add("c1", externalId="\ud800", createDateTime=MOMENT)
    vendor.cases["c1"].update(attachments=["?"], events=7)
    vendor.spoil[Post, "/cases/c1/events"] = Answer(201, {}, b"{}", 1)
    assert vendor.poll()
    connector = catalogue.connectors()["hubee"]
    outcome = process(record(connector, "case", vendor.raw[0].value), connector, catalogue.schemas())
    assert [d.code for d in outcome.decisions if isinstance(d, Quarantine)] == [Code.INVALID]


def test_the_same_case_told_twice_gives_the_same_ids() -> None:
    """A later state of a case repeats its earlier steps under their old ids."""
    connector = catalogue.connectors()["hubee"]
    folder = catalogue.folder(connector) / "samples" / "case"
    ids = []
    for name in ("birth_record_corsica", "reopened_with_late_attachment"):
        outcome = process(
            record(connector, "case", (folder / f"{name}.json").read_bytes(), offset=len(ids)),
            connector,
            catalogue.schemas(),
        )
        ids.append([d.event.id for d in outcome.decisions if isinstance(d, Deliver)])
    assert ids[1][:1] == ids[0]
    assert len(set(ids[1])) == 3


def test_an_id_of_the_vendor_is_one_part_of_a_path() -> None:
    """Whatever an id holds, it leads to nothing else."""
    source = poll({}, SETTINGS)
    next(source)
    wish = source.send(said([{"id": "n", "processCode": "EtatCivil", "caseId": "../x?é"}]))
    assert wish.path == "/cases/%2E%2E%2Fx%3F%C3%A9"


@pytest.mark.parametrize("name", ["", "\ud800", "x" * 200, 7, None])
def test_what_is_no_id_is_part_of_no_address_and_of_no_key(name: Any) -> None:
    """Neither a notification nor a case nor an attachment is asked for by what nothing could write down."""
    vendor = Vendor()
    vendor.add("c1", b"<a/>")
    vendor.cases["c1"]["attachments"][0]["id"] = name
    vendor.notify(None)
    vendor.queue[-1]["caseId"] = name
    vendor.queue.append({"id": name, "processCode": "EtatCivil", "caseId": None})
    assert vendor.poll()
    assert [emit.key for emit in vendor.raw] == ["hubee:c1", "hubee:notification:n1-None"]
    assert json.loads(vendor.raw[0].value)["attachments"][0]["omitted"] == "its id is none"
    assert [item["id"] for item in vendor.queue] == [name]


def garbled(change: Callable[[dict[str, Any]], None]) -> Quarantine:
    """Set a changed sample aside."""
    connector = catalogue.connectors()["hubee"]
    path = catalogue.folder(connector) / "samples" / "case" / "reopened_with_late_attachment.json"
    envelope = json.loads(path.read_bytes())
    change(envelope["case"])
    said = record(connector, "case", json.dumps(envelope).encode())
    (decision,) = process(said, connector, catalogue.schemas()).decisions
    assert isinstance(decision, Quarantine)
    return decision


def test_half_a_character_in_an_id_is_invalid() -> None:
    """The ids of events are made of it, and nothing could write it down."""
    said = garbled(lambda case: case.update(id="\ud800"))
    assert (said.code, said.fields) == (Code.INVALID, ("case.id",))
    said = garbled(lambda case: case["events"][0].update(id="\udfff"))
    assert (said.code, said.fields) == (Code.INVALID, ("case.events.0.id",))


def test_two_steps_with_one_id_are_unmappable() -> None:
    """One would hide the other."""
    said = garbled(lambda case: [step.update(id="e") for step in case["events"]])
    assert (said.code, said.fields) == (Code.UNMAPPABLE, ("case.events.id",))


@pytest.mark.parametrize("status", [{}, [], 7, None])
def test_a_case_with_no_status_that_we_know_does_not_block_the_queue(status: Any) -> None:
    """It is written and its notification deleted; nothing is told of a state that nobody can read."""
    vendor = Vendor()
    vendor.add("c1")
    vendor.cases["c1"]["status"] = status
    assert vendor.poll()
    assert [emit.key for emit in vendor.raw] == ["hubee:c1"]
    assert not vendor.queue
    assert vendor.cases["c1"]["status"] == status


def decided(name: str) -> Any:
    """Decide a sample."""
    connector = catalogue.connectors()["hubee"]
    path = catalogue.folder(connector) / "samples" / "case" / f"{name}.json"
    (decision,) = process(record(connector, "case", path.read_bytes()), connector, catalogue.schemas()).decisions
    return decision


def test_a_signed_document_is_kept_byte_by_byte(vendor: Vendor) -> None:
    """A re-serialised certificate would lose its XAdES signature: CR, LF, Latin-1 and order stay as they came."""
    signed = '<?xml version="1.0" encoding="ISO-8859-1"?>\r\n<a  b="1"\tc=\'é\'><ds:Signature/></a >\n\r'.encode(
        "latin-1"
    )
    vendor.add("c1", signed)
    assert vendor.poll()
    entry = vendor.envelope()["attachments"][0]
    assert base64.b64decode(entry["content"]) == signed
    assert entry["sha256"] == hashlib.sha256(signed).hexdigest()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("change_of_address_with_a_demand_inside", "RecordRequested"),
        ("lodging_announced_and_a_census_inside", "CensusDeclared"),
    ],
)
def test_the_process_code_does_not_prove_the_payload(name: str, kind: str) -> None:
    """What is inside is told, whatever was announced."""
    assert decided(name).event.type == f"hub.civil_registry.{kind}"


@pytest.mark.parametrize("name", ["lodging_of_unknown_shape", "change_of_address_of_unknown_shape"])
def test_what_nobody_has_shown_us_is_named_and_not_guessed(name: str) -> None:
    """The procedure is told, and no event is made of a shape that is not known."""
    found = decided(name)
    assert found.code is Code.UNSUPPORTED
    assert "announced as " in found.detail


def test_two_kinds_of_dates_in_one_census_are_not_mixed_up() -> None:
    """`DD/MM/YYYY` stands beside ISO: 4 February is no 2 April, for it is not read at all."""
    found = decided("census_dates_of_two_kinds").event.payload
    assert found.declared_at.isoformat() == "2026-03-09T11:42:48+01:00"
    assert decided("census_moment_in_french").fields == ("RecensementCitoyen.Formalite.DateSoumission",)


def test_when_a_home_is_empty_is_told_to_nobody() -> None:
    """Neither the period nor the address of a holiday watch is in the event."""
    fields = decided("holiday_watch_without_coordinates").event.payload.as_dict()
    assert set(fields) == {"case_id", "external_id"}


def test_a_post_code_that_is_an_insee_code_is_not_told_as_one() -> None:
    """The certificate's `CodePostal` is not read; the commune is told by its name, beside the declaration or alone."""
    alone, beside = decided("signed_certificate"), decided("certificate_listed_before_the_declaration")
    assert "38185" not in str(alone.event.payload)
    assert alone.event.id == beside.event.id
    assert beside.event.payload.declared_at.isoformat() == "2026-03-09T16:30:00+01:00"

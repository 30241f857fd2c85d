"""Show that the ledger balances when nothing is lost, and only then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import BaseModel

from hub.kafka.ledger import EventSeen, Topics
from hub.model.connector import Connector, Context, Feed, Manifest
from hub.model.decision import Deliver, Quarantine
from hub.model.event import Fact, Payload
from hub.model.record import Header, Origin, Record
from hub.pipeline.process import process
from hub.testing.ledger import Ledger, Sent, Stored, excused, reckon
from hub.testing.town.journal import Journal


@dataclass(frozen=True, slots=True)
class Happened:
    TYPE: ClassVar[str] = "hub.toy.Happened"
    DOMAIN: ClassVar[str] = "toy"
    AUDIENCE: ClassVar[str] = "person"


class Thing(BaseModel):
    what: str


class Encode:
    def encode(self, payload: Payload) -> bytes:
        return b"\0\0\0\0\1"


def thing(document: Thing, context: Context) -> Iterable[Fact] | str:
    if document.what == "nothing":
        return "nothing"
    return [Fact(Happened(), context.key, context.read_at, document.what)]


def toy() -> Connector:
    manifest = Manifest.model_validate(
        {
            "summary": "s",
            "vendor": "v",
            "owner": "o",
            "stability": "stable",
            "revision": 1,
            "feeds": {
                "thing": {
                    "summary": "s",
                    "style": "poll",
                    "content_type": "application/json",
                    "model": "Thing",
                    "key": "k",
                    "on_reject": "skip",
                    "emits": ["Happened"],
                }
            },
        }
    )
    return Connector("toy", "toy", manifest, {"thing": Feed("thing", manifest.feeds["thing"], Thing, thing)})


class Hub:
    """Does by hand what the real one does, and can be made to do it wrong."""

    def __init__(self, path: Path) -> None:
        self.journal = Journal(path / "journal.jsonl")
        self.topics = Topics(raw={"toy": []})
        self.rows: list[Stored] = []
        self.notices: list[Sent] = []

    def serve(self, answer: str, instance: str = "one") -> None:
        self.journal.write(
            "served", product="toy", feed="thing", key="toy:1", answer=answer, instance=instance, facts=[]
        )

    def say(self, name: str) -> None:
        self.journal.write(
            "said", fact=name, product="toy", type="Happened", subject="toy:1", entity="e", feed="thing", key="toy:1"
        )

    def read(self, answer: str | None, body: bytes = b'{"what": "x"}') -> Record:
        records = self.topics.raw["toy"]
        headers = () if answer is None else ((Header.ANSWER, answer.encode()),)
        origin = Origin("raw.toy", 1, 0, len(records))
        record = Record("toy", "thing", b"toy:1", body, f"raw{len(records)}", 0, origin, "application/json", headers)
        records.append(record)
        return record

    def decide(self, record: Record) -> None:
        for decision in process(record, toy(), Encode()).decisions:
            if isinstance(decision, Deliver):
                event = decision.event
                self.topics.events[event.id] = EventSeen(event.id, event.type, event.subject, "toy", str(event.seq))
                self.rows.append(Stored(event.id, event.type, event.subject, "toy"))
            elif isinstance(decision, Quarantine):
                self.topics.quarantined[record.origin] = decision.code

    def ledger(self, connectors: Mapping[str, Connector] | None = None) -> Ledger:
        entries = self.journal.entries()
        return reckon(
            early=entries,
            topics=self.topics,
            stored=self.rows,
            notices=self.notices,
            late=entries,
            connectors=connectors or {"toy": toy()},
            schemas=Encode(),
        )


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return Hub(tmp_path)


def test_balances_when_everything_arrived(hub: Hub) -> None:
    hub.say("f")
    hub.serve("a1")
    hub.decide(hub.read("a1"))
    hub.serve("a2")
    hub.decide(hub.read("a2", b"garbage"))
    hub.serve("a3")
    hub.decide(hub.read("a3", b'{"what": "nothing"}'))
    ledger = hub.ledger()
    (source,) = ledger.sources
    assert (source.served, source.raw, source.delivered) == (3, 3, 1)
    assert source.quarantined == {"undecodable": 1}
    assert source.skipped == {"nothing": 1}
    assert (source.facts, source.events, source.entries) == (1, 1, 1)
    assert ledger.balanced
    assert ledger.json()["difference"] == 0


def test_a_lost_answer_is_a_difference(hub: Hub) -> None:
    hub.serve("a1")
    hub.serve("a2")
    hub.serve("a3")
    hub.decide(hub.read("a1", b'{"what": "nothing"}'))
    hub.decide(hub.read("a3", b'{"what": "nothing"}'))
    ledger = hub.ledger()
    assert ledger.sources[0].lost == ["a2"]
    assert not ledger.balanced


def test_a_raw_record_that_nobody_served_is_a_difference(hub: Hub) -> None:
    hub.decide(hub.read("made-up", b'{"what": "nothing"}'))
    assert hub.ledger().sources[0].unserved == 1


def test_a_raw_record_put_there_by_hand_is_not_the_vendors(hub: Hub) -> None:
    hub.decide(hub.read(None, b"garbage"))
    ledger = hub.ledger()
    assert ledger.sources[0].foreign == 1
    assert ledger.balanced


def test_one_answer_twice_in_raw_is_a_difference(hub: Hub) -> None:
    hub.serve("a1")
    for _ in range(2):
        hub.decide(hub.read("a1", b'{"what": "nothing"}'))
    assert hub.ledger().sources[0].doubled == 1


def test_a_callback_that_was_sent_twice_may_be_twice_in_raw(hub: Hub) -> None:
    hub.serve("c1", instance="")
    for _ in range(2):
        hub.journal.write("callback", product="toy", feed="thing", answer="c1", status=202)
        hub.decide(hub.read("c1", b'{"what": "nothing"}'))
    assert hub.ledger().balanced


def test_a_taken_callback_must_be_raw(hub: Hub) -> None:
    hub.serve("c1", instance="")
    assert hub.ledger().balanced
    hub.journal.write("callback", product="toy", feed="thing", answer="c1", status=202)
    assert hub.ledger().sources[0].lost == ["c1"]


def test_an_outcome_that_stands_nowhere_is_a_difference(hub: Hub) -> None:
    for answer, body in (("a1", b'{"what": "x"}'), ("a2", b"garbage")):
        hub.serve(answer)
        hub.read(answer, body)
    assert hub.ledger().sources[0].adrift == 2


def test_an_event_that_no_record_gives_is_a_difference(hub: Hub) -> None:
    hub.topics.events["e"] = EventSeen("e", "hub.toy.Happened", "toy:1", "toy", "1:0:0")
    hub.rows.append(Stored("e", "hub.toy.Happened", "toy:1", "toy"))
    source = hub.ledger().sources[0]
    assert source.unfounded == 1
    assert source.mismatched == {"Happened toy:1": (0, 1)}


def test_a_fact_that_was_shown_and_is_not_known_is_a_difference(hub: Hub) -> None:
    hub.say("f")
    hub.serve("a1")
    hub.decide(hub.read("a1", b'{"what": "nothing"}'))
    ledger = hub.ledger()
    assert ledger.sources[0].mismatched == {"Happened toy:1": (1, 0)}
    assert ledger.difference == 1


def test_an_event_without_an_entry_is_a_difference(hub: Hub) -> None:
    hub.say("f")
    hub.serve("a1")
    hub.decide(hub.read("a1"))
    hub.rows.clear()
    assert hub.ledger().sources[0].misfiled == 1


def test_last_answer_of_a_process_that_ended_needs_no_record(hub: Hub) -> None:
    hub.serve("a1")
    hub.serve("a2")
    hub.serve("b1", instance="two")
    assert excused(hub.journal.entries(), "toy") == {
        "a2": "in hand when its process ended",
        "b1": "in hand when its process ended",
    }


def test_spoiled_answers_and_polls_that_were_cut_off_need_no_record(hub: Hub) -> None:
    hub.serve("a1")
    hub.journal.write("fault", product="toy", fault="503", path="/", answer=None)
    hub.serve("a2")
    hub.journal.write("fault", product="toy", fault="truncate", path="/", answer="a2")
    hub.serve("a3")
    assert excused(hub.journal.entries(), "toy") == {
        "a1": "poll cut off: 503",
        "a2": "spoiled: truncate",
        "a3": "in hand when its process ended",
    }


def test_answers_while_kafka_is_away_need_no_record(hub: Hub) -> None:
    hub.serve("a1")
    hub.serve("a2")
    hub.journal.write("note", what="broker_away")
    hub.serve("a3")
    hub.serve("a4")
    hub.journal.write("note", what="broker_back")
    hub.serve("a5")
    found = excused(hub.journal.entries(), "toy")
    assert [found.get(answer) for answer in ("a1", "a2", "a3", "a4")] == [None, *["Kafka was away"] * 3]


@pytest.mark.parametrize(
    ("notices", "mails", "difference"),
    [
        ([("n1", "sent")], ["n1"], 0),
        ([("n1", "sent")], [], 1),
        ([("n1", "sent")], ["n1", "n1"], 1),
        ([], ["n1"], 1),
        ([("n1", "pending")], [], 1),
        ([("n1", "refused")], [], 0),
    ],
)
def test_mails(hub: Hub, notices: list[tuple[str, str]], mails: list[str], difference: int) -> None:
    hub.notices = [Sent(*notice) for notice in notices]
    for mail in mails:
        hub.journal.write("mail", message_id=f"<{mail}@ville.invalid>", recipient="r")
    assert hub.ledger().difference == difference


def test_mail_sent_again_because_the_answer_was_lost_is_explained(hub: Hub) -> None:
    hub.notices = [Sent("n1", "sent")]
    hub.journal.write("fault", product="mail", fault="lost_answer", path="", answer=None)
    for _ in range(2):
        hub.journal.write("mail", message_id="<n1@ville.invalid>", recipient="r")
    assert hub.ledger().balanced

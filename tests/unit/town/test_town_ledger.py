"""Show that the ledger balances when nothing is lost, and only then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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
from hub.testing.town.mailbox import recipient


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


def toy(style: str = "poll") -> Connector:
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
                    "style": style,
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

    def read(self, answer: str | None, body: bytes = b'{"what": "x"}', at: int = 0) -> Record:
        records = self.topics.raw["toy"]
        headers = () if answer is None else ((Header.ANSWER, answer.encode()),)
        origin = Origin("raw.toy", 1, 0, len(records))
        record = Record("toy", "thing", b"toy:1", body, f"raw{len(records)}", at, origin, "application/json", headers)
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

    def ledger(self, connectors: Mapping[str, Connector] | None = None, overlap_ms: int = 0) -> Ledger:
        entries = self.journal.entries()
        return reckon(
            early=entries,
            topics=self.topics,
            stored=self.rows,
            notices=self.notices,
            late=entries,
            connectors=connectors or {"toy": toy()},
            schemas=Encode(),
            overlap_ms=overlap_ms,
        )


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return Hub(tmp_path)


def test_an_answer_behind_what_was_read_later_shows_nothing(hub: Hub) -> None:
    """The broker was away: a callback came in before the answer of a poll that had been asked for earlier."""
    hub.say("f")
    hub.serve("poll")
    hub.journal.write("served", product="toy", feed="call", key="toy:1", answer="call", instance="", facts=[])
    hub.decide(hub.read("call", b'{"what": "nothing"}', at=20))
    stale = hub.read("poll", b'{"what": "nothing"}', at=10)
    hub.decide(stale)
    assert [source.hidden.total() for source in hub.ledger().sources] == [1]
    hub.topics.raw["toy"].remove(stale)
    hub.read("poll", b'{"what": "nothing"}', at=20)
    assert [source.hidden.total() for source in hub.ledger().sources] == [0]


def test_a_callback_that_comes_again_does_not_overtake_a_poll(hub: Hub) -> None:
    """Its answer got lost, and it is sent again: a poll that was asked for in between knew what it says."""
    hub.say("f")
    hub.serve("poll")
    hub.journal.write("served", product="toy", feed="call", key="toy:1", answer="call", instance="", facts=[])
    hub.read("call", b'{"what": "nothing"}', at=5)
    hub.read("call", b'{"what": "nothing"}', at=20)
    hub.read("poll", b'{"what": "nothing"}', at=10)
    assert [source.hidden.total() for source in hub.ledger().sources] == [0]


@pytest.mark.parametrize("acked", [False, True])
def test_what_a_queue_was_asked_for_again_need_not_be_raw_until_it_is_acknowledged(hub: Hub, *, acked: bool) -> None:
    """A lease changed hands in the middle of an item: the queue has it still, and shows it again."""
    hub.journal.write("acked", product="toy", feed="thing", key="toy:0")
    hub.serve("first")
    if acked:
        hub.journal.write("acked", product="toy", feed="thing", key="toy:1")
    hub.serve("again")
    hub.decide(hub.read("again", b'{"what": "nothing"}'))
    assert hub.ledger().balanced is not acked


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
    hub.decide(hub.read(None))
    ledger = hub.ledger()
    assert (ledger.sources[0].foreign, ledger.sources[0].events) == (2, 1)
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


@pytest.mark.parametrize(("style", "instance"), [("file", "one"), ("file", ""), ("snapshot", "")])
def test_what_is_named_by_what_it_holds_comes_again_only_if_something_broke_the_reading_off(
    hub: Hub, style: str, instance: str
) -> None:
    hub.serve("f:1", instance=instance)
    for _ in range(2):
        hub.decide(hub.read("f:1", b'{"what": "nothing"}'))
    connectors = {"toy": toy(style)}
    assert hub.ledger(connectors).sources[0].doubled == 1
    hub.journal.write("note", what="killed", role="web")
    assert hub.ledger(connectors).sources[0].doubled == 1
    hub.journal.write("note", what="killed", role="intake")
    source = hub.ledger(connectors).sources[0]
    assert (source.doubled, source.again) == (0, 1)


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


def wish(hub: Hub, kind: str, at: int, entity: str = "toy:1", **about: object) -> None:
    """Let a citizen ask for something, which the hub has recorded at a moment."""
    hub.journal.write(
        "said", fact=f"{kind}{at}", product="publik", type=kind, subject="publik:c", entity=entity, about=about
    )
    hub.rows.append(Stored(f"{kind}{at}", f"hub.citizen_portal.{kind}", "publik:c", "publik", at, at))


def prefer(hub: Hub, at: int, topics: Iterable[str] = ("library",), lines: Iterable[str] = ()) -> None:
    wish(hub, "PreferencesChanged", at, email="c@exemple.invalid", topics=list(topics), lines=list(lines))


def happen(hub: Hub, kind: str, at: int, subject: str = "toy:1", read_at: int | None = None, since: int = 0) -> None:
    """Let the hub have recorded a fact that the city tells, and that happened `since` ms before it was read."""
    read = at if read_at is None else read_at
    hub.rows.append(Stored(f"{kind}{at}", f"hub.x.{kind}", subject, "other", read, at, read - since))


def mail(hub: Hub, name: str, kind: str = "HoldReady", taken: str = "mail", facts: int = 1) -> None:
    hub.notices.append(Sent(name, "sent" if taken == "mail" else "refused"))
    hub.journal.write(
        taken,
        message_id=f"<{name}@ville.invalid>",
        recipient=recipient(["c@exemple.invalid"]),
        type=kind,
        facts=facts,
    )


def test_who_is_linked_and_asked_for_it_is_owed_a_mail(hub: Hub) -> None:
    prefer(hub, 1)
    wish(hub, "LinkRequested", 2)
    happen(hub, "HoldReady", 5)
    ledger = hub.ledger()
    assert (ledger.mails.owed, ledger.mails.untold, ledger.difference) == (1, 1, 1)
    mail(hub, "n1")
    assert hub.ledger().difference == 0
    mail(hub, "n2")
    assert hub.ledger().mails.uncalled == 1


def test_one_mail_may_tell_several_facts_and_no_more_than_there_are(hub: Hub) -> None:
    prefer(hub, 1)
    wish(hub, "LinkRequested", 2)
    happen(hub, "HoldReady", 5)
    happen(hub, "HoldReady", 6)
    mail(hub, "n1", facts=2)
    assert hub.ledger().balanced
    mail(hub, "n2", facts=3)
    assert hub.ledger().mails.uncalled == 3


def test_a_mail_that_tells_something_else_is_both_missing_and_uncalled_for(hub: Hub) -> None:
    prefer(hub, 1, ("library", "canteen"))
    wish(hub, "LinkRequested", 2)
    happen(hub, "HoldReady", 5)
    mail(hub, "n1", "MealBooked")
    assert (hub.ledger().mails.untold, hub.ledger().mails.uncalled) == (1, 1)


def test_history_is_owed_to_nobody(hub: Hub) -> None:
    """A loan that was overdue for weeks when the card was linked; what became of a request is told all the same."""
    wish(hub, "LinkRequested", 1)
    prefer(hub, 2, topics=("library", "requests"))
    week = 7 * 24 * 60 * 60 * 1000
    happen(hub, "LoanOverdue", 5, since=week + 1)
    assert hub.ledger().mails.owed == 0
    happen(hub, "LoanOverdue", 6, since=week)
    happen(hub, "RequestStatusChanged", 7, since=week + 1)
    assert hub.ledger().mails.owed == 2


def test_a_mail_that_the_server_refused_is_told(hub: Hub) -> None:
    prefer(hub, 1)
    wish(hub, "LinkRequested", 2)
    happen(hub, "HoldReady", 5)
    mail(hub, "n1", taken="bounced")
    assert hub.ledger().balanced


@pytest.mark.parametrize(
    "spoil",
    [
        lambda hub: prefer(hub, 3, ("canteen",)),
        lambda hub: wish(hub, "UnlinkRequested", 3),
        lambda hub: wish(hub, "LinkRequested", 3, until="1970-01-01", entity="toy:1"),
    ],
)
def test_who_changed_a_wish_before_is_owed_nothing(hub: Hub, spoil: Callable[[Hub], None]) -> None:
    prefer(hub, 1)
    wish(hub, "LinkRequested", 2)
    spoil(hub)
    happen(hub, "HoldReady", 86_400_000 * 2)
    happen(hub, "LoanReturned", 86_400_000 * 2)
    assert hub.ledger().mails.owed + hub.ledger().mails.either == 0


def test_what_was_read_long_before_it_was_recorded_is_no_news(hub: Hub) -> None:
    prefer(hub, 1)
    wish(hub, "LinkRequested", 2)
    happen(hub, "HoldReady", 86_400_010, read_at=5)
    assert hub.ledger().mails.owed == 0


def test_a_wish_and_a_fact_of_one_millisecond_may_have_come_in_either_order(hub: Hub) -> None:
    prefer(hub, 1)
    wish(hub, "LinkRequested", 5)
    happen(hub, "HoldReady", 5)
    assert hub.ledger().mails.either == 1
    assert hub.ledger().balanced
    mail(hub, "n1")
    assert hub.ledger().balanced


def test_transactions_that_overlapped_may_have_seen_one_another_or_not(hub: Hub) -> None:
    """Two workers: a wish that was written 3 ms before a fact may have been committed after it."""
    prefer(hub, 1)
    wish(hub, "LinkRequested", 5)
    happen(hub, "HoldReady", 8)
    assert (hub.ledger().mails.owed, hub.ledger().mails.either) == (1, 0)
    assert (hub.ledger(overlap_ms=4).mails.owed, hub.ledger(overlap_ms=4).mails.either) == (0, 1)
    assert hub.ledger(overlap_ms=2).mails.owed == 1


def test_a_wish_that_came_and_went_about_then_may_have_held(hub: Hub) -> None:
    """Neither before nor after the fact, as both are written; between them it did."""
    prefer(hub, 1)
    wish(hub, "LinkRequested", 6)
    happen(hub, "HoldReady", 8)
    wish(hub, "UnlinkRequested", 9)
    assert hub.ledger(overlap_ms=4).mails.either == 1
    assert hub.ledger(overlap_ms=4).balanced
    mail(hub, "n1")
    assert hub.ledger(overlap_ms=4).balanced


def test_a_disruption_is_owed_to_who_follows_a_line_that_its_first_answer_named(hub: Hub) -> None:
    prefer(hub, 1, ("disruptions",), ("SEM:C5",))
    for fact, kind, lines in (("p", "DisruptionPublished", ["SEM:A"]), ("u", "DisruptionUpdated", ["SEM:C5"])):
        more = {"feed": "thing", "key": "toy:1", "about": {"lines": lines}}
        hub.journal.write("said", fact=fact, product="toy", type=kind, subject="toy:7", entity="7", **more)
    hub.serve("a1")
    hub.read("a1")
    happen(hub, "DisruptionPublished", 5, "toy:7")
    assert hub.ledger().mails.owed == 1


@pytest.mark.parametrize(
    ("state", "taken", "difference"),
    [("sent", 1, 0), ("sent", 0, 2), ("sent", 2, 1), ("pending", 0, 2)],
)
def test_the_outbox_and_the_mail_server_agree(hub: Hub, state: str, taken: int, difference: int) -> None:
    prefer(hub, 1)
    wish(hub, "LinkRequested", 2)
    happen(hub, "HoldReady", 5)
    for _ in range(taken):
        mail(hub, "n1")
    hub.notices = [Sent("n1", state)]
    assert hub.ledger().difference == difference


def test_mail_sent_again_because_the_answer_was_lost_is_explained(hub: Hub) -> None:
    prefer(hub, 1)
    wish(hub, "LinkRequested", 2)
    happen(hub, "HoldReady", 5)
    hub.journal.write("fault", product="mail", fault="lost_answer", path="", answer=None)
    for _ in range(2):
        mail(hub, "n1")
    assert hub.ledger().balanced

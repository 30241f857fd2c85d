"""What is written once stays once, links show and hide at once, and a login works one time."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, func, select, update
from strength import examples

from hub.config import Canteen, Notifications, Settings
from hub.model.disclosure import Disclosure
from hub.model.errors import Transient
from hub.model.event import Replay, StoredEvent
from hub.model.notice import Again, Concerned, Notice, Recipient, Urgency, Waiting
from hub.model.record import Seq
from hub.roles.policy import CityPolicy
from hub.store import Store
from hub.store.disclosures import Disclosures
from hub.store.households import Households
from hub.store.mandates import Mandates
from hub.store.paging import entries_after
from hub.store.sign_ins import SignIn, SignIns
from hub.store.tables import metadata, outbox, proposals
from hub.store.tries import TriesMade
from schemas.models.citizen_portal import (
    Agreement,
    Claim,
    Compared,
    DecisionReason,
    LinkDecided,
    LinkProposed,
    LinkRequested,
    MoveRequested,
    PreferencesChanged,
    Role,
    UndoRequested,
    UnlinkRequested,
)
from schemas.models.civil_registry import DeathDeclared, DeathPublished
from schemas.models.library import HoldReady, LoanReturned, LoanStarted
from schemas.models.school_catering import MealCancelled
from schemas.models.transport import DisruptionEnded, DisruptionPublished, DisruptionUpdated

NOW = datetime(2026, 3, 10, 7, 40, tzinfo=UTC)
ANNE, MARC = "0" * 8 + "-0000-4000-8000-" + "0" * 12, "1" * 8 + "-0000-4000-8000-" + "0" * 12


class Policy:
    """Tells every recipient of everything, and counts loans."""

    due_at: int | None = None
    deaths: Collection[str] = ()

    def notices(self, concerned: Concerned, now: datetime) -> Iterable[Notice]:
        """Return one row per event and recipient."""
        for event, recipients in concerned:
            for person in recipients:
                yield Notice(
                    f"{event.id}-{person.citizen[0]}",
                    "mail",
                    "library",
                    person.citizen,
                    event.id,
                    event.subject,
                    {"address": person.email},
                    Urgency.NORMAL,
                    2**53,
                    self.due_at,
                )

    def fact(self, event: StoredEvent) -> tuple[str, str, str, str] | None:
        """Count loans."""
        return ("loan", "2026-03", "BMA", "LIVRE") if isinstance(event.payload, LoanStarted) else None


class Branches(Policy):
    """Counts loans by their branch."""

    def fact(self, event: StoredEvent) -> tuple[str, str, str, str] | None:
        """Count loans."""
        payload = event.payload
        return ("loan", "2026-03", payload.branch, "LIVRE") if isinstance(payload, LoanStarted) else None


def event(number: int, payload: Any, subject: str, *, rev: int = 1, product: str = "ils_di") -> StoredEvent:
    """Make an event."""
    return StoredEvent(
        id=f"event-{number}",
        type=payload.TYPE,
        subject=subject,
        product=product,
        audience=payload.AUDIENCE,
        time=number,
        read_at=int(NOW.timestamp() * 1000),
        seq=Seq(1, number, 0),
        rev=rev,
        payload=payload,
        data=json.dumps({"item_id": getattr(payload, "item_id", "")}),
    )


def link(number: int, citizen: str, subject: str, until: date | None = None) -> StoredEvent:
    """Make a request for a link."""
    payload = LinkRequested(citizen=citizen, subject=subject, role=Role.SELF, until=until)
    return event(number, payload, f"publik:{citizen}", product="publik")


def unlink(number: int, citizen: str, subject: str) -> StoredEvent:
    """Make a request to end a link."""
    return event(number, UnlinkRequested(citizen=citizen, subject=subject), f"publik:{citizen}", product="publik")


def test_a_second_account_of_the_same_person_sees_nothing_of_the_first(store: Store) -> None:
    """The portal made it for another `sub` of FranceConnect: links move by a request, never by themselves."""
    store.project([event(1, LoanStarted(item_id="i"), "ils_di:7"), link(2, ANNE, "ils_di:7")], Policy(), NOW)
    first = store.account(ANNE)
    store.project([link(3, MARC, "ils_di:8")], Policy(), NOW)
    assert store.account(MARC) == []
    store.project([link(4, MARC, "ils_di:7"), unlink(5, ANNE, "ils_di:7")], Policy(), NOW)
    assert first
    assert store.account(MARC) == first
    assert store.account(ANNE) == []


def test_a_link_shows_history_at_once_and_its_end_hides_it(store: Store) -> None:
    """Entries are joined when they are read."""
    store.project([event(1, LoanStarted(item_id="i"), "ils_di:7")], Policy(), NOW)
    assert store.account(ANNE) == []
    store.project([link(2, ANNE, "ils_di:7")], Policy(), NOW)
    assert [shown.event_id for shown in store.account(ANNE)] == ["event-1"]
    assert store.linked_subjects("ils_di") == ["7"]
    store.project([unlink(3, ANNE, "ils_di:7")], Policy(), NOW)
    assert store.account(ANNE) == []
    assert store.linked_subjects("ils_di") == []


def proposed(number: int, citizen: str, subject: str, name: str = "p1") -> StoredEvent:
    """Make a proposal of a link."""
    compared = Compared(what=Claim.SEX, agreement=Agreement.UNKNOWN, account="", record="F")
    payload = LinkProposed(citizen=citizen, subject=subject, role=Role.SELF, proposal=name, evidence=(compared,))
    return event(number, payload, f"publik:{citizen}", product="publik")


def decided(number: int, citizen: str, *, accepted: bool, name: str = "p1") -> StoredEvent:
    """Make a clerk's decision."""
    reason = DecisionReason.PROVEN if accepted else DecisionReason.SOMEBODY_ELSE
    payload = LinkDecided(
        citizen=citizen, subject="ils_di:7", proposal=name, accepted=accepted, reason=reason, clerk="desk"
    )
    return event(number, payload, f"publik:{citizen}", product="publik")


def test_a_proposed_link_shows_nothing_until_it_is_decided(store: Store) -> None:
    """It waits with its evidence; accepted, its request makes the link as any other does."""
    store.project([event(1, LoanStarted(item_id="i"), "ils_di:7"), proposed(2, ANNE, "ils_di:7")], Policy(), NOW)
    (waiting,) = store.proposals()
    assert store.undecided() == (1, waiting.asked_at)
    assert (waiting.id, waiting.subject, waiting.citizen, waiting.role) == ("p1", "ils_di:7", ANNE, "SELF")
    assert [one["what"] for one in waiting.evidence] == ["SEX"]
    assert store.account(ANNE) == store.links_of(ANNE) == []
    assert store.linked_subjects("ils_di") == []
    store.project([decided(3, ANNE, accepted=True), link(4, ANNE, "ils_di:7")], Policy(), NOW)
    assert store.proposals() == []
    assert store.undecided() == (0, None)
    assert [shown.event_id for shown in store.account(ANNE)] == ["event-1"]


def test_a_refused_link_is_never_made_by_what_comes_again(store: Store) -> None:
    """Neither the proposal told again nor a second decision changes what was decided."""
    refused = [proposed(1, ANNE, "ils_di:7"), decided(2, ANNE, accepted=False)]
    store.project(refused, Policy(), NOW)
    store.project([*refused, decided(3, ANNE, accepted=True)], Policy(), NOW)
    assert store.proposals() == store.links_of(ANNE) == []


def test_what_is_proven_meanwhile_waits_for_nobody(store: Store) -> None:
    """And what is linked already is not proposed."""
    store.project([proposed(1, ANNE, "ils_di:7"), proposed(2, MARC, "ils_di:7", "p2")], Policy(), NOW)
    store.project([link(3, ANNE, "ils_di:7"), proposed(4, ANNE, "ils_di:7", "p3")], Policy(), NOW)
    assert [waiting.id for waiting in store.proposals()] == ["p2"]


def test_what_a_decision_was_made_by_is_forgotten_and_an_erased_citizen_s_is_gone(store: Store) -> None:
    """Evidence is personal: it stays as long as somebody has to decide, and the term after."""
    batch = [proposed(1, ANNE, "ils_di:7"), decided(2, ANNE, accepted=False), proposed(3, MARC, "ils_di:8", "p2")]
    store.project(batch, Policy(), NOW)
    store.purge(NOW + timedelta(days=91))

    def kept() -> list[tuple[str, bool]]:
        with store._read() as connection:
            return [(name, text != "[]") for name, text in connection.execute(text_of_proposals)]

    text_of_proposals = select(proposals.c.id, proposals.c.evidence).order_by(proposals.c.id)
    assert kept() == [("p1", False), ("p2", True)]
    store.erase(MARC, NOW)
    assert kept() == [("p1", False)]


def test_what_nobody_is_linked_to_is_counted_with_its_age(store: Store) -> None:
    """By product, oldest first; what is linked, public or for clerks is not of it."""
    early = NOW - timedelta(days=3)
    store.project([event(1, LoanStarted(item_id="i"), "koha:1", product="koha")], Policy(), early)
    batch = [event(number, LoanStarted(item_id=str(number)), f"ils_di:{number % 3}") for number in range(2, 8)]
    disruption = event(9, DisruptionPublished(disruption_id="d"), "m:d", product="metromobilite")
    store.project([*batch, disruption, link(10, ANNE, "ils_di:0")], Policy(), NOW)
    found = [(one.product, one.subjects, one.oldest) for one in store.unmatched()]
    assert found == [("koha", 1, int(early.timestamp() * 1000)), ("ils_di", 2, int(NOW.timestamp() * 1000))]


def test_a_product_is_known_up_to_its_last_poll_or_its_newest_event(store: Store) -> None:
    """Neither an older event nor an older poll takes that back."""
    at = int(NOW.timestamp() * 1000)
    loan = event(1, LoanStarted(item_id="i"), "ils_di:7")
    store.project([loan, event(2, LoanStarted(item_id="j"), "ils_di:7")._replace(read_at=at - 5000)], Policy(), NOW)
    assert store.freshness() == {"ils_di": at}
    store.polled("ils_di", at + 5000)
    store.project([event(3, LoanStarted(item_id="k"), "ils_di:7")], Policy(), NOW)
    store.polled("ils_di", at)
    assert store.freshness() == {"ils_di": at + 5000}


def test_a_link_ends_with_its_last_day(store: Store) -> None:
    """The last day still counts, the next does not."""
    store.project([link(1, ANNE, "ils_di:7", until=date(2026, 3, 10))], Policy(), NOW)
    assert store.linked_subjects("ils_di", date(2026, 3, 10)) == ["7"]
    assert store.linked_subjects("ils_di", date(2026, 3, 11)) == []
    assert store.account(ANNE, date(2026, 3, 11)) == []


def test_each_command_raises_the_version_and_tells_the_whole_set(store: Store) -> None:
    """Two parents, then one: every row holds all links that are open."""
    store.project([link(1, ANNE, "chrono:E1"), link(2, MARC, "chrono:E1"), unlink(3, ANNE, "chrono:E1")], Policy(), NOW)
    rows = store.due("identity", int(NOW.timestamp() * 1000), 10)
    assert [row.payload["version"] for row in rows] == [1, 2, 3]
    assert [[item["citizen"] for item in row.payload["links"]] for row in rows] == [[ANNE], [ANNE, MARC], [MARC]]


def test_a_correction_replaces_and_a_straggler_does_not(store: Store) -> None:
    """The higher revision stays, in the first place of the order."""
    store.project([link(0, ANNE, "ils_di:7"), event(1, LoanStarted(item_id="wrong"), "ils_di:7")], Policy(), NOW)
    store.project([event(1, LoanStarted(item_id="right"), "ils_di:7", rev=2)], Policy(), NOW)
    store.project([event(1, LoanStarted(item_id="wrong"), "ils_di:7")], Policy(), NOW)
    (shown,) = store.account(ANNE)
    assert (shown.payload, shown.rev) == ({"item_id": "right"}, 2)


def test_a_notice_is_written_once(store: Store) -> None:
    """A repeated batch posts nothing again, and what was sent stays sent."""
    wish = event(1, PreferencesChanged(citizen=ANNE, email="a@b.example", topics=("library",)), f"publik:{ANNE}")
    batch = [wish, link(2, ANNE, "ils_di:7"), event(3, LoanStarted(item_id="i"), "ils_di:7")]
    assert store.project(batch, Policy(), NOW).notices == 1
    (row,) = store.parcels("mail", Urgency.NORMAL, int(NOW.timestamp() * 1000), 10)
    store.sent(row.id, 1)
    assert store.project(batch, Policy(), NOW).notices == 0
    assert [(row.id, "sent")] == store.outbox_rows("mail")


def test_those_interested_in_a_line_are_told(store: Store) -> None:
    """Public facts have no link: the lines of interest decide."""
    wish = PreferencesChanged(citizen=ANNE, email="a@b.example", topics=("disruptions",), lines=("SEM:48",))
    store.project([event(1, wish, f"publik:{ANNE}")], Policy(), NOW)
    said = DisruptionPublished(disruption_id="d", lines=("SEM:48", "SEM:C1"))
    other = DisruptionPublished(disruption_id="e", lines=("SEM:A",))
    assert store.project([event(2, said, "m:d"), event(3, other, "m:e")], Policy(), NOW).notices == 1


def test_older_preferences_change_nothing(store: Store) -> None:
    """The last word of the portal stands, whatever the order of arrival."""
    later = event(5, PreferencesChanged(citizen=ANNE, lines=("SEM:B",)), f"publik:{ANNE}")
    earlier = event(4, PreferencesChanged(citizen=ANNE, lines=("SEM:A",)), f"publik:{ANNE}")
    store.project([later], Policy(), NOW)
    store.project([earlier], Policy(), NOW)
    assert store.lines_of(ANNE) == ["SEM:B"]


def test_a_correction_keeps_the_first_place_also_within_a_batch(store: Store) -> None:
    """An intake that crashed says the same fact twice, at two offsets: the first is its place."""
    first = event(1, LoanStarted(item_id="wrong"), "ils_di:7")
    again = first._replace(seq=Seq(1, 9, 0), rev=2, data='{"item_id": "right"}')
    other = event(5, LoanReturned(), "ils_di:7")
    store.project([link(0, ANNE, "ils_di:7"), first, other, again], Policy(), NOW)
    assert [(shown.event_id, shown.seq.offset, shown.payload) for shown in store.account(ANNE)] == [
        ("event-1", 1, {"item_id": "right"}),
        ("event-5", 5, {"item_id": ""}),
    ]


def test_a_corrected_mapping_moves_the_entry_and_its_fact(store: Store) -> None:
    """A better mapping may find another subject, another place to count, or nothing to count."""
    store.project(
        [event(1, LoanStarted(branch="BMA"), "ils_di:7"), event(2, LoanStarted(), "ils_di:7")], Branches(), NOW
    )
    better = [event(1, LoanStarted(branch="CEN"), "ils_di:8", rev=2), event(2, LoanReturned(), "ils_di:7", rev=2)]
    store.project([link(3, ANNE, "ils_di:8"), *better], Branches(), NOW)
    assert store.facts("loan") == [("2026-03", "CEN", "LIVRE", 1)]
    assert [shown.event_id for shown in store.account(ANNE)] == ["event-1"]


def test_erasure_leaves_nothing_that_names_the_citizen(store: Store) -> None:
    """Rows go, the other parent keeps theirs, the new set of links is told, and no redelivery links again."""
    asked = [
        event(
            1, PreferencesChanged(citizen=ANNE, email="a@b.example", topics=("library",), lines=("SEM:A",)), "publik:a"
        ),
        link(2, ANNE, "ils_di:7"),
        link(3, ANNE, "chrono:E1"),
        link(4, MARC, "chrono:E1"),
    ]
    said = [event(5, LoanStarted(), "ils_di:7"), event(6, LoanStarted(), "chrono:E1")]
    store.project([*asked, *said], Policy(), NOW)
    store.use_login(store.make_login(ANNE, NOW), NOW)
    assert store.erase(ANNE, NOW) == (2, 1, 2)
    store.project(asked, Policy(), NOW)
    assert not store.knows(ANNE)
    assert [shown.event_id for shown in store.account(MARC)] == ["event-6"]
    told = {row.subject: row.payload for row in store.due("identity", 2**53, 10)}
    assert {name: [one["citizen"] for one in row["links"]] for name, row in told.items()} == {
        "ils_di:7": [],
        "chrono:E1": [MARC],
    }
    assert told["chrono:E1"]["version"] == 3
    with create_engine(store.url).connect() as connection:
        dump = [str(row) for table in metadata.tables.values() for row in connection.execute(table.select())]
    assert not [row for row in dump if ANNE in row or "a@b.example" in row]


def test_mails_are_forgotten_and_not_sent_again(store: Store) -> None:
    """After their time the words are gone; the row stays."""
    wish = event(1, PreferencesChanged(citizen=ANNE, email="a@b.example", topics=("library",)), f"publik:{ANNE}")
    store.project([wish, link(2, ANNE, "ils_di:7"), event(3, LoanStarted(), "ils_di:7")], Policy(), NOW)
    (row,) = store.parcels("mail", Urgency.NORMAL, 2**53, 10)
    store.sent(row.id, int(NOW.timestamp() * 1000))
    store.purge(NOW + timedelta(days=91))
    assert store.outbox_rows("mail") == [(row.id, "sent")]
    assert store.erase(ANNE, NOW).mails == 0


HISTORY = [
    event(1, LoanStarted(item_id="i"), "ils_di:7"),
    link(2, ANNE, "ils_di:7"),
    event(3, LoanReturned(item_id="i"), "ils_di:7"),
    link(4, MARC, "ils_di:7"),
    unlink(5, ANNE, "ils_di:7"),
    event(1, LoanStarted(item_id="better"), "ils_di:7", rev=2),
    event(6, LoanStarted(item_id="j"), "ils_di:8"),
]


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cuts=st.lists(st.integers(1, 7), max_size=4), back=st.lists(st.integers(0, 3), max_size=4))
def test_redeliveries_change_nothing(database: Callable[[], str], cuts: list[int], back: list[int]) -> None:
    """However a log is cut into batches and repeated from before a kill, the same stands in SQL."""

    def run(batches: Iterable[Sequence[StoredEvent]]) -> tuple[Any, ...]:
        made = Store(database())
        made.migrate()
        for batch in batches:
            made.project(batch, Policy(), NOW)
        found = (
            sorted(made.stored()),
            made.account(MARC),
            made.account(ANNE),
            [(row.id, row.payload) for row in made.due("identity", 2**53, 99)],
            made.facts("loan"),
        )
        made.close()
        return found

    batches, at = [], 0
    for index, cut in enumerate(cuts):
        start = max(at - (back[index] if index < len(back) else 0), 0)
        batches.append(HISTORY[start : at + cut])
        at = min(at + cut, len(HISTORY))
    batches.append(HISTORY[at:])
    assert run([HISTORY]) == run(batches)


def test_a_login_works_once_and_for_a_while(store: Store) -> None:
    """A token is a session once, and a session ends."""
    token = store.make_login(ANNE, NOW)
    session = store.use_login(token, NOW)
    assert session is not None
    assert store.session(session, NOW) == ANNE
    assert store.use_login(token, NOW) is None
    assert store.use_login(store.make_login(ANNE, NOW), NOW + timedelta(hours=1)) is None
    assert store.session(session, NOW + timedelta(hours=9)) is None
    store.end_session(session)
    assert store.session(session, NOW) is None


def test_unlinked_entries_are_forgotten(store: Store) -> None:
    """What nobody was ever linked to goes after its time; what somebody was linked to stays."""
    store.project(
        [event(1, LoanStarted(), "ils_di:7"), event(2, LoanStarted(), "ils_di:8"), link(3, ANNE, "ils_di:8")],
        Policy(),
        NOW,
    )
    assert store.purge(NOW + timedelta(days=89)) == 0
    assert store.purge(NOW + timedelta(days=91)) == 1
    assert {"event-2", "event-3"} == {row.id for row in store.stored()}


def test_what_is_for_clerks_is_kept_for_a_while_and_shown_to_nobody_else(store: Store) -> None:
    """It is in no account and no mail, not even of a citizen who is linked to its subject, and is then forgotten."""
    death = "insee_deaths:20260301:38185:1"
    wish = PreferencesChanged(citizen=ANNE, email="anne@exemple.invalid", topics=("library",), lines=(), language="fr")
    store.project([event(1, wish, ANNE), link(2, ANNE, death)], Policy(), NOW)
    store.project([event(3, DeathPublished(family_name="ESSAI"), death)], Policy(), NOW)
    assert "event-3" in {row.id for row in store.stored()}
    assert store.account(ANNE) == []
    assert store.outbox_rows("mail") == []
    assert store.purge(NOW + timedelta(days=89)) == 0
    assert store.purge(NOW + timedelta(days=91)) == 1


TRAFFIC = [payload.TYPE for payload in (DisruptionPublished, DisruptionUpdated, DisruptionEnded)]
DAY = timedelta(days=1)


def test_only_what_stands_of_public_things_is_read(store: Store) -> None:
    """One row for each that goes on, however often it was told; none for what ended, until it begins again."""
    going, over = "metromobilite:1", "metromobilite:2"
    store.project([event(1, DisruptionPublished(), going), event(2, DisruptionPublished(), over)], Policy(), NOW)
    store.project([event(4, DisruptionUpdated(), going), event(3, DisruptionEnded(), over)], Policy(), NOW)
    # One that came late is still not the last.
    store.project([event(5, DisruptionUpdated(), going)._replace(seq=Seq(1, 3, 9))], Policy(), NOW)
    assert [shown.event_id for shown in store.public_entries(TRAFFIC)] == ["event-4"]
    assert store.public_entries(TRAFFIC[:1]) == []
    store.project([event(6, DisruptionPublished(), over)._replace(seq=Seq(2, 0, 0))], Policy(), NOW)
    assert [shown.event_id for shown in store.public_entries(TRAFFIC)] == ["event-4", "event-6"]


def test_public_things_that_ended_are_forgotten(store: Store) -> None:
    """All that was told of them goes after the time, of the others what is outdone; what stands stays however old."""
    going, over, again = "metromobilite:1", "metromobilite:2", "metromobilite:3"
    store.project(
        [event(number, DisruptionPublished(), subject) for number, subject in enumerate((going, over, again), 1)],
        Policy(),
        NOW,
    )
    store.project([event(4, DisruptionEnded(), over), event(5, DisruptionEnded(), again)], Policy(), NOW + DAY)
    store.project([event(6, DisruptionPublished(), again)], Policy(), NOW + DAY)
    assert store.purge(NOW + 91 * DAY) == 2
    assert store.purge(NOW + 92 * DAY) == 2
    assert {row.id for row in store.stored()} == {"event-1", "event-6"}


def test_a_second_start_migrates_nothing(store: Store) -> None:
    """Migrations run at every start."""
    store.migrate()
    assert store.counts()["entries"] == 0


def test_the_migrations_make_the_tables_that_the_code_knows(store: Store) -> None:
    """A change of `tables.py` needs a revision of its own."""
    with create_engine(store.url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


@pytest.mark.slow
def test_several_processes_may_start_at_once(database: Callable[[], str], tmp_path: Path) -> None:
    """One brings the tables, the others wait for it."""
    url = database()
    if url.startswith("sqlite"):
        url = f"sqlite:///{tmp_path}/empty.sqlite"
    program = f"from hub.store import Store; Store({url!r}).migrate()"
    started = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) for _ in range(3)]
    assert [(one.communicate(timeout=60)[1], one.returncode) for one in started] == [(b"", 0)] * 3


def test_tries_are_counted_over_processes_and_forgotten(store: Store) -> None:
    """Each process has a connection of its own; no more pass than one would let, and what is old counts no more."""
    others = [Store(store.url) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        waits = list(pool.map(lambda number: TriesMade(others[number % 3]).make("a", NOW, 5, 60.0), range(12)))
    assert sorted(waits) == [0.0] * 5 + [60.0] * 7
    tries = TriesMade(store)
    assert tries.make("b", NOW, 5, 60.0) == 0.0
    assert tries.make("a", NOW + timedelta(seconds=59), 5, 60.0) == 1.0
    assert tries.make("a", NOW + timedelta(seconds=60), 5, 60.0) == 0.0
    store.purge(NOW + timedelta(days=1))
    with store.transaction(write=False) as connection:
        assert connection.execute(select(func.count()).select_from(metadata.tables["tries"])).scalar() == 0
    for other in others:
        other.close()


def replay(first: int, end: int, rev: int, product: str = "ils_di") -> Replay:
    """Make the mark of a replay that covers the subjects whose names end in an even digit."""
    return Replay(product, 1, 0, first, end, rev, "library", lambda subject: int(subject[-1]) % 2 == 0, 0)


def test_a_replay_sweeps_what_was_not_told_again_and_keeps_it_away(store: Store) -> None:
    """What the corrected mapping does not give goes, with what was counted of it; a straggler cannot bring it back."""
    made = [event(n, LoanStarted(item_id=str(n)), f"ils_di:{n}")._replace(partition=0) for n in range(6)]
    store.project(made, Policy(), NOW)
    again = made[2]._replace(rev=2, replay=True)
    applied = store.project([again], Policy(), NOW, [replay(2, 5, 2)])
    assert applied.results == {"replaced": 1, "swept": 1}
    left = {row.subject for row in store.stored()}
    assert left == {f"ils_di:{n}" for n in (0, 1, 2, 3, 5)}
    assert sum(count for *_, count in store.facts("loan")) == 5
    assert store.project([made[4]], Policy(), NOW).results == {"ignored": 1}
    assert {row.subject for row in store.stored()} == left
    assert store.project([made[4]._replace(rev=2)], Policy(), NOW).results == {"inserted": 1}
    assert store.project([], Policy(), NOW, [replay(2, 5, 2)]).results == {"swept": 0}


def test_two_workers_at_once_lose_nothing_and_double_nothing(store: Store) -> None:
    """The same subjects from two sides, some of it twice: every row once, and each subject's versions in a row."""
    citizens = [f"{n:08d}-0000-4000-8000-000000000000" for n in range(6)]
    links = [link(n, citizens[n % 6], f"ils_di:{n % 4}") for n in range(48)]
    loans = [event(100 + n, LoanStarted(item_id=str(n)), f"ils_di:{n % 4}") for n in range(48)]
    failures: list[BaseException] = []

    def work(batches: Sequence[Sequence[StoredEvent]]) -> None:
        try:
            for batch in batches:
                for _ in range(20):
                    try:
                        store.project(batch, Policy(), NOW)
                    except Transient:
                        continue
                    break
                else:
                    raise AssertionError("twenty times in vain")
        except BaseException as error:
            failures.append(error)

    one = [links[n : n + 6] + loans[n : n + 6] for n in range(0, 30, 6)]
    two = [[*reversed(loans[n : n + 6]), *reversed(links[n : n + 6])] for n in range(18, 48, 6)]
    threads = [threading.Thread(target=work, args=(batches,)) for batches in (one, two, list(reversed(two)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    stored = [row.id for row in store.stored()]
    assert sorted(stored) == sorted({item.id for item in (*links, *loans)})
    told = [(row.subject, row.payload) for row in store.due("identity", 2**53, 999)]
    for subject in {subject for subject, _ in told}:
        versions = [payload["version"] for about, payload in told if about == subject]
        assert versions == list(range(1, len(versions) + 1))
        (last,) = [payload for about, payload in told if about == subject and payload["version"] == len(versions)]
        asked = {item.payload.citizen for item in links if item.payload.subject == subject}  # type: ignore[attr-defined]
        assert {one["citizen"] for one in last["links"]} == asked


class OneMessage(Policy):
    """Tells a recipient all that is known at once in one message; may wait within the transaction."""

    def __init__(self, wait: Callable[[], object] = lambda: None) -> None:
        self.wait = wait

    def notices(self, concerned: Concerned, now: datetime) -> Iterable[Notice]:
        """Return one row per recipient, named after the first event."""
        told = [event.id for event, recipients in concerned if recipients]
        for found in list(super().notices(concerned, now))[:1]:
            self.wait()
            yield found._replace(payload={**found.payload, "facts": told})


def test_what_another_worker_is_about_to_commit_is_told_by_it_alone(store: Store) -> None:
    """A worker that was killed may still commit; who takes over has looked before that, and knows more by then."""
    wish = PreferencesChanged(citizen=ANNE, email="a@b.example", topics=("library",))
    store.project([event(1, wish, f"publik:{ANNE}"), link(2, ANNE, "ils_di:7")], Policy(), NOW)
    loans = [event(number, LoanStarted(item_id=str(number)), "ils_di:7") for number in (3, 4)]
    written, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        written.set()
        assert go_on.wait(20)

    with ThreadPoolExecutor(2) as pool:
        before = pool.submit(store.project, loans[1:], OneMessage(wait), NOW)
        assert written.wait(20)
        after = pool.submit(store.project, loans, OneMessage(), NOW)
        # Long enough to look, and then to wait for the other's rows.
        time.sleep(0.5)
        go_on.set()
        assert (before.result(20).results["inserted"], after.result(20).results["inserted"]) == (1, 1)
    told = sorted(row.payload["facts"] for row in store.due("mail", 2**53, 99))
    assert told == [["event-3"], ["event-4"]]


def moment(of: datetime) -> int:
    return int(of.timestamp() * 1000)


def waits(store: Store, **wishes: Any) -> str:
    """Let one notice wait, and return its id."""
    policy = Policy()
    policy.due_at = moment(NOW)
    wish = PreferencesChanged(citizen=ANNE, email="a@b.example", topics=("library",), **wishes)
    told = [event(1, wish, f"publik:{ANNE}"), link(2, ANNE, "ils_di:7"), event(3, LoanStarted(), "ils_di:7")]
    store.project(told, policy, NOW)
    ((row_id, state),) = store.outbox_rows("mail")
    assert state == "waiting"
    return row_id


def decides(found: list[Any], *decisions: Again) -> Callable[..., Iterable[Again]]:
    """Return a policy that notes what it is asked and says what it is told to."""

    def policy(waiting: Sequence[Waiting], recipients: Mapping[str, Recipient]) -> Iterable[Again]:
        found.append((waiting, recipients))
        return decisions

    return policy


def test_what_waits_is_decided_again_once_when_it_is_due(store: Store) -> None:
    """By the wishes of then; what is decided goes out, to the channel and the address that it says."""
    row_id = waits(store, phone="+33639980001")
    found: list[Any] = []
    goes = Again(row_id, "pending", None, "sms", {"address": "+33639980001"})
    assert store.decide_again(decides(found, goes), NOW - timedelta(minutes=1)) == {}
    assert store.decide_again(decides(found, goes), NOW) == {"pending": 1}
    assert store.decide_again(decides(found, goes), NOW) == {}
    (((row,), recipients),) = found
    assert (row.id, row.concerned, recipients[ANNE].phone) == (row_id, True, "+33639980001")
    (parcel,) = store.parcels("sms", Urgency.NORMAL, moment(NOW), 10)
    assert (parcel.id, parcel.payload, parcel.begun) == (row_id, {"address": "+33639980001"}, False)


def test_who_is_not_linked_any_more_is_known_when_a_notice_is_due(store: Store) -> None:
    """A link that ended meanwhile shows."""
    waits(store)
    store.project([unlink(4, ANNE, "ils_di:7")], Policy(), NOW)
    found: list[Any] = []
    store.decide_again(decides(found), NOW)
    assert [row.concerned for row in found[0][0]] == [False]


def test_who_is_shown_less_meanwhile_is_told_less(store: Store) -> None:
    """A link whose scope leaves the topic out concerns nobody by it any more."""
    waits(store)
    narrow = LinkRequested(citizen=ANNE, subject="ils_di:7", role=Role.SELF, scope=("bills",))
    store.project([event(4, narrow, f"publik:{ANNE}", product="publik")], Policy(), NOW)
    found: list[Any] = []
    store.decide_again(decides(found), NOW)
    assert [row.concerned for row in found[0][0]] == [False]


def test_what_begun_is_remembered_until_it_certainly_did_not_arrive(store: Store) -> None:
    """After a crash a sink hears that somebody may have the message."""
    row_id = waits(store)
    store.decide_again(decides([], Again(row_id, "pending")), NOW)

    def begun() -> bool:
        (row,) = store.parcels("mail", Urgency.NORMAL, 2**53, 10)
        return row.begun

    assert not begun()
    store.begin(row_id, moment(NOW))
    store.later(row_id, moment(NOW), "away")
    assert begun()
    store.postponed(row_id, moment(NOW), "status_503")
    assert not begun()


def test_what_went_out_today_and_what_is_on_its_way_count_towards_the_cap(store: Store) -> None:
    """Not what waits, expired or went out yesterday; one that may have arrived counts."""
    city = CityPolicy(Settings(notifications=Notifications(cap=3)))
    morning = datetime(2026, 3, 10, 6, 0, tzinfo=UTC)

    def known(number: int, now: datetime) -> str:
        said = event(number, HoldReady(hold_id=str(number)), "ils_di:7")
        store.project([said._replace(read_at=moment(now), time=moment(now))], city, now)
        return dict(store.outbox_rows("mail"))[row_of(number)]

    def row_of(number: int) -> str:
        with store._read() as connection:
            found = connection.execute(select(outbox.c.id).where(outbox.c.event_id == f"event-{number}"))
            return str(found.scalar_one())

    wish = PreferencesChanged(citizen=ANNE, email="a@b.example", topics=("library",))
    store.project([event(1, wish, f"publik:{ANNE}"), link(2, ANNE, "ils_di:7")], city, morning)
    # In the night before, one by one.
    assert {known(number, morning - timedelta(hours=1)) for number in range(3, 10)} == {"waiting"}
    assert store.decide_again(city.again(morning), morning) == {"pending": 3, "waiting": 4}
    sent, unsure, late = (row.id for row in store.parcels("mail", Urgency.NORMAL, moment(morning), 10))
    assert known(10, morning) == "waiting"
    store.sent(sent, moment(morning))
    store.ended(unsure, moment(morning), "unsure", "lost")
    assert known(11, morning) == "waiting"
    store.ended(late, moment(morning), "expired", "too_late")
    assert [known(number, morning) for number in (12, 13)] == ["pending", "waiting"]
    evening = morning + timedelta(hours=11)
    assert store.decide_again(city.again(evening), evening) == {"pending": 1, "folded": 6}
    for row in store.parcels("mail", Urgency.NORMAL, moment(evening), 10):
        store.sent(row.id, moment(evening))
    assert known(14, evening) == "waiting"
    assert known(15, morning + timedelta(days=1)) == "pending"


def test_stopping_takes_back_what_has_not_gone_out(store: Store) -> None:
    """Nothing of a topic reaches who unsubscribed from it, until they ask for it again."""
    row_id = waits(store)
    store.decide_again(decides([], Again(row_id, "pending")), NOW)
    assert store.unsubscribe(row_id, moment(NOW))
    assert store.outbox_rows("mail") == [(row_id, "unwanted")]
    assert store.stops() == {"unsubscribed": 1}
    again = event(4, PreferencesChanged(citizen=ANNE, email="a@b.example", topics=("library",)), f"publik:{ANNE}")
    store.project([again._replace(time=moment(NOW) + 1)], Policy(), NOW)
    assert store.stops() == {}


def test_a_dead_address_is_forgotten_with_another_one_and_a_death_is_not(store: Store) -> None:
    """Naming the same address again brings nothing back; no word of the portal ends a death."""
    waits(store)
    store.stop(ANNE, "bounced", 0, channel="mail", address="a@b.example")
    store.stop(ANNE, "death", 0)

    def prefer(n: int, email: str) -> dict[str, int]:
        wish = PreferencesChanged(citizen=ANNE, email=email, topics=("library",))
        store.project([event(n, wish, f"publik:{ANNE}")], Policy(), NOW)
        return store.stops()

    assert prefer(5, "a@b.example") == {"bounced": 1, "death": 1}
    assert prefer(6, "other@b.example") == {"death": 1}


DEATH = (DeathDeclared(case_id="c9"), "hubee:c9", "hubee")
PUBLISHED = (DeathPublished(record_key="k"), "insee_deaths:k", "insee_deaths")


@pytest.mark.parametrize("death", [DEATH, PUBLISHED])
@pytest.mark.parametrize("order", ["death first", "link first", "at once"])
def test_nothing_goes_to_the_dead(store: Store, death: tuple[Any, str, str], order: str) -> None:
    """Neither what is on its way, nor what waits, nor what becomes known later; a relative hears on."""
    payload, subject, product = death
    city = CityPolicy(Settings())
    noon = datetime(2026, 3, 10, 11, 0, tzinfo=UTC)

    def linked(number: int, citizen: str, about: str, role: Role) -> StoredEvent:
        return event(number, LinkRequested(citizen=citizen, subject=about, role=role), f"publik:{citizen}")

    def known(number: int, now: datetime) -> None:
        said = event(number, HoldReady(hold_id=str(number)), "ils_di:7")
        store.project([said._replace(read_at=moment(now), time=moment(now))], city, now)

    for number, citizen in ((1, ANNE), (2, MARC)):
        wish = PreferencesChanged(citizen=citizen, email=f"{number}@b.example", topics=("library",))
        store.project([event(number, wish, f"publik:{citizen}")], city, noon)
        store.project([linked(number + 2, citizen, "ils_di:7", Role.SELF)], city, noon)
    store.project([linked(5, MARC, subject, Role.MANDATE)], city, noon)
    known(6, noon)
    night = noon + timedelta(hours=10)
    known(7, night)
    died = event(8, payload, subject, product=product)
    is_anne = linked(9, ANNE, subject, Role.SELF)
    batches = {"death first": [[died], [is_anne]], "link first": [[is_anne], [died]], "at once": [[died, is_anne]]}
    for batch in batches[order]:
        assert store.stops() == {}
        store.project(batch, city, night)
    assert store.stops() == {"death": 1}
    morning = noon + timedelta(hours=20)
    known(10, morning)
    store.decide_again(city.again(morning), morning)
    with store._read() as connection:
        rows = connection.execute(select(outbox.c.citizen, outbox.c.state).where(outbox.c.channel == "mail"))
        states = sorted((citizen == ANNE, state) for citizen, state in rows)
    assert states == [(False, "pending")] * 3 + [(True, "unwanted")] * 2


def test_an_end_of_a_link_does_not_let_the_dead_hear_again(store: Store) -> None:
    """Nor does the same said twice; and a link that had ended when the death came to be known says nothing."""
    city = CityPolicy(Settings())
    payload, subject, product = DEATH
    died = event(1, payload, subject, product=product)
    store.project([link(2, MARC, subject), unlink(3, MARC, subject), link(4, ANNE, subject)], city, NOW)
    store.project([died], city, NOW)
    store.project([unlink(5, ANNE, subject), died], city, NOW)
    assert store.stops() == {"death": 1}
    assert not store.hear_again(MARC)
    assert store.hear_again(ANNE)
    store.project([died], city, NOW)
    assert store.stops() == {}, "whoever put a mistake right is not silenced by what is told again"


def test_a_receipt_is_noted_once(store: Store) -> None:
    """What a provider says later changes the row; a second time, or of a row that is none, it changes nothing."""
    row_id = waits(store)
    store.decide_again(decides([], Again(row_id, "pending")), NOW)
    store.sent(row_id, moment(NOW))
    noted = store.receipt(row_id, moment(NOW), arrived=False, code="permanent_failure")
    assert noted is not None
    assert (noted.citizen, store.outbox_rows("mail")) == (ANNE, [(row_id, "refused")])
    assert store.receipt(row_id, moment(NOW), arrived=True, code="delivered") is None
    assert store.receipt("nobody", moment(NOW), arrived=True, code="delivered") is None


def test_what_has_not_gone_out_is_told_with_its_place_and_its_lane(store: Store) -> None:
    """Until it has; a lane's pace is what went out lately, and what waited for its moment waits since then."""
    row_id = waits(store)
    with store._write() as connection:
        connection.execute(update(outbox).where(outbox.c.id == row_id).values(created_at=0))
    assert store.queued(0, 2**53) == [("mail", "normal", "library", 2**53, moment(NOW), 1)]
    assert store.queued(0, 2**53 - 1) == []
    assert store.lanes(moment(NOW), 1000) == {}
    store.decide_again(decides([], Again(row_id, "pending")), NOW + timedelta(minutes=1))
    assert store.lanes(moment(NOW), 1000) == {("mail", "normal"): (moment(NOW), 0)}
    store.sent(row_id, moment(NOW))
    assert store.lanes(moment(NOW), 1000) == {("mail", "normal"): (None, 1)}
    assert store.lanes(moment(NOW) + 2000, 1000) == {}


def test_what_the_city_lets_wait_for_too_long_is_no_failure(store: Store) -> None:
    """Quiet hours that outlast the use of a notice are the city's own decision: it expires, and nobody is woken."""
    row_id = waits(store)
    with store._write() as connection:
        connection.execute(update(outbox).where(outbox.c.id == row_id).values(until=moment(NOW)))
    assert store.queued(0, 2**53) == []


def test_a_notice_is_watched_until_its_cut_off_and_then_until_it_is_of_no_use(store: Store) -> None:
    """What nine o'clock is too late for is told before nine; afterwards it is still worth sending."""
    city = CityPolicy(Settings(canteen=Canteen(cut_off_days=0, cut_off_time=time_of_day(9))))
    wish = PreferencesChanged(citizen=ANNE, email="a@b.example", topics=("canteen",))
    cancelled = event(3, MealCancelled(meal_date=date(2026, 3, 10)), "chrono:E1", product="chrono")
    told = [event(1, wish, f"publik:{ANNE}"), link(2, ANNE, "chrono:E1"), cancelled._replace(time=moment(NOW))]
    store.project(told, city, NOW)
    nine = moment(datetime(2026, 3, 10, 8, 0, tzinfo=UTC))
    assert [row[3] for row in store.queued(nine - 1, nine)] == [nine]
    assert store.queued(nine, nine) == []
    assert [row[3] for row in store.queued(nine, 2**53)] == [moment(NOW + timedelta(days=3))]


def test_ending_a_digest_ends_all_that_was_in_it(store: Store) -> None:
    """One click is about every topic that the message told of."""
    row_id = waits(store)
    store.decide_again(decides([], Again(row_id, "folded", code="digest")), NOW)
    assert not store.unsubscribe("nobody", moment(NOW))
    assert store.unsubscribe("digest", moment(NOW))
    assert store.stops() == {"unsubscribed": 1}


def test_what_is_public_needs_no_link_to_be_told_later(store: Store) -> None:
    """Who asked about a line in the night hears of it in the morning."""
    policy = Policy()
    policy.due_at = moment(NOW)
    wish = PreferencesChanged(citizen=ANNE, email="a@b.example", topics=("disruptions",), lines=("SEM:48",))
    store.project([event(1, wish, f"publik:{ANNE}")], policy, NOW)
    store.project([event(2, DisruptionPublished(lines=("SEM:48",)), "m:d")], policy, NOW)
    found: list[Any] = []
    store.decide_again(decides(found), NOW)
    assert [row.concerned for row in found[0][0]] == [True]


def test_what_the_account_keeps_beside_entries_is_the_same_on_both_servers(store: Store) -> None:
    """Moves and their undo, pages, deliveries, mandates and sign-ins."""
    store.project([link(1, ANNE, "ils_di:7"), event(2, LoanStarted(item_id="i"), "ils_di:7")], Policy(), NOW)
    store.project([event(3, LoanReturned(item_id="i"), "ils_di:7")], Policy(), NOW)
    move = event(4, MoveRequested(citizen=ANNE, to=MARC, clerk="c"), f"publik:{ANNE}", product="publik")
    undo = event(5, UndoRequested(citizen=ANNE, command="event-4", clerk="c"), f"publik:{ANNE}", product="publik")
    store.project([move], Policy(), NOW)
    assert [(len(store.links_of(one, NOW.date())), store.knows(one)) for one in (ANNE, MARC)] == [(0, True), (1, True)]
    store.project([undo, move], Policy(), NOW)
    assert [len(store.links_of(one, NOW.date())) for one in (ANNE, MARC)] == [1, 0]
    assert {one.kind for one in Households(store).history(MARC)} == {"MoveRequested", "UndoRequested"}
    shown = {"ils_di:7": ("hub.library.Loan",), "chrono:E1": ()}
    first, more = entries_after(store, shown, None, 1)
    rest, end = entries_after(store, shown, first[0].event_id, 5)
    assert ([one.event_id for one in (*first, *rest)], more, end) == (["event-2", "event-3"], True, False)
    told = Disclosure(ANNE, 1, "portal", "api", ("library",))
    Disclosures(store).tell(told)
    looks = [Disclosure(citizen, 2, "centre", "desk", ()) for citizen in (ANNE, MARC, ANNE)]
    for day in (NOW.date(), NOW.date(), NOW.date() + timedelta(days=1)):
        Disclosures(store).tell_daily(day, looks)
    assert Disclosures(store).of(ANNE) == [looks[0], looks[0], told]
    assert Disclosures(store).of(MARC) == [looks[1], looks[1]]
    assert store.decide_request("ils_di", "ils_di:7", {"clerk": "mairie"}, NOW)
    assert Disclosures(store).of(ANNE)[0][2:] == ("mairie", "decision", ("requests",))
    mandates = Mandates(store)
    name = mandates.make(ANNE, "desk", "PROXY", NOW.date(), NOW)
    assert [one.id for one in mandates.open_of(ANNE, NOW.date())] == [name]
    assert [mandates.end(name, "desk", "agent", NOW) for _ in range(2)] == [True, False]
    sign_ins = SignIns(store)
    sign_ins.begin("state", SignIn("portal", "n", "v", None), NOW)
    assert sign_ins.take("state", NOW) is not None
    sign_ins.attach("portal", "sub", ANNE, NOW)
    assert sign_ins.citizen_of("portal", "sub") == ANNE
    assert store.session(sign_ins.open(ANNE, NOW), NOW) == ANNE
    store.purge(NOW + timedelta(days=400))
    assert (Disclosures(store).of(ANNE), mandates.of(ANNE)) == ([], [])

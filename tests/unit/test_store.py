"""What is written once stays once, links show and hide at once, and a login works one time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from hub.model.event import StoredEvent
from hub.model.record import Seq
from hub.store import Store
from hub.store.tables import metadata
from schemas.models.citizen_portal import LinkRequested, PreferencesChanged, Role, UnlinkRequested
from schemas.models.library import LoanReturned, LoanStarted
from schemas.models.transport import DisruptionPublished

NOW = datetime(2026, 3, 10, 7, 40, tzinfo=UTC)
ANNE, MARC = "0" * 8 + "-0000-4000-8000-" + "0" * 12, "1" * 8 + "-0000-4000-8000-" + "0" * 12


class Policy:
    """Tells every recipient of everything, and counts loans."""

    def notices(
        self, event: StoredEvent, recipients: Sequence[tuple[str, str | None, frozenset[str]]], now: datetime
    ) -> Iterable[tuple[str, str, str, Mapping[str, Any]]]:
        """Return one row per recipient."""
        for citizen, email, _ in recipients:
            yield f"{event.id}-{citizen[0]}", "library", citizen, {"address": email}

    def fact(self, event: StoredEvent) -> tuple[str, str, str, str] | None:
        """Count loans."""
        return ("loan", "2026-03", "BMA", "LIVRE") if isinstance(event.payload, LoanStarted) else None


class Branches(Policy):
    """Counts loans by their branch."""

    def fact(self, event: StoredEvent) -> tuple[str, str, str, str] | None:
        """Count loans."""
        payload = event.payload
        return ("loan", "2026-03", payload.branch, "LIVRE") if isinstance(payload, LoanStarted) else None


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Make an empty database."""
    made = Store(f"sqlite:///{tmp_path}/hub.sqlite")
    made.migrate()
    yield made
    made.close()


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
    (row,) = store.due("mail", int(NOW.timestamp() * 1000), 10)
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
    again = replace(first, seq=Seq(1, 9, 0), rev=2, data='{"item_id": "right"}')
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


def test_erasure_leaves_nothing_that_names_the_citizen(store: Store, tmp_path: Path) -> None:
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
    with create_engine(f"sqlite:///{tmp_path}/hub.sqlite").connect() as connection:
        dump = [str(row) for table in metadata.tables.values() for row in connection.execute(table.select())]
    assert not [row for row in dump if ANNE in row or "a@b.example" in row]


def test_mails_are_forgotten_and_not_sent_again(store: Store) -> None:
    """After their time the words are gone; the row stays."""
    wish = event(1, PreferencesChanged(citizen=ANNE, email="a@b.example", topics=("library",)), f"publik:{ANNE}")
    store.project([wish, link(2, ANNE, "ils_di:7"), event(3, LoanStarted(), "ils_di:7")], Policy(), NOW)
    (row,) = store.due("mail", 2**53, 10)
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


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cuts=st.lists(st.integers(1, 7), max_size=4), back=st.lists(st.integers(0, 3), max_size=4))
def test_redeliveries_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], back: list[int]
) -> None:
    """However a log is cut into batches and repeated from before a kill, the same stands in SQL."""

    def run(batches: Iterable[Sequence[StoredEvent]]) -> tuple[Any, ...]:
        made = Store(f"sqlite:///{tmp_path_factory.mktemp('s')}/hub.sqlite")
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


def test_a_second_start_migrates_nothing(store: Store) -> None:
    """Migrations run at every start."""
    store.migrate()
    assert store.counts()["entries"] == 0


def test_the_migrations_make_the_tables_that_the_code_knows(store: Store, tmp_path: Path) -> None:
    """A change of `tables.py` needs a revision of its own."""
    with create_engine(f"sqlite:///{tmp_path}/hub.sqlite").connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_several_processes_may_start_at_once(tmp_path: Path) -> None:
    """One brings the tables, the others wait for it."""
    program = f"from hub.store import Store; Store('sqlite:///{tmp_path}/hub.sqlite').migrate()"
    started = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) for _ in range(3)]
    assert [(one.communicate(timeout=60)[1], one.returncode) for one in started] == [(b"", 0)] * 3

"""SIP2: sums, lists that are believed or not, and a library that hangs up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import examples

from connectors.sources.library.sip2 import source
from connectors.sources.library.sip2.protocol import read, written
from connectors.sources.library.sip2.simulator import Simulator
from hub import catalogue
from hub.intake.credentials import Basic
from hub.intake.driver import Vendor, drive
from hub.model.decision import Deliver, Quarantine
from hub.model.errors import Denied, Invalid, Transient
from hub.model.intake import Emit, Exchange, Line, Subjects
from hub.pipeline.process import process
from hub.testing.lines import Talk
from hub.testing.samples import record
from hub.testing.town.clock import TownClock
from hub.testing.town.journal import Journal
from hub.testing.town.people import Town

CONNECTOR = catalogue.connectors()["sip2"]
SAMPLES = catalogue.folder(CONNECTOR) / "samples" / "patron"
CARD, OTHER = "38421000000007", "38421000000008"
STATUS = written("98YYYYNN03000320260310    0839582.00AOBIBESSAI|", 1)
TOWN = Town.build(38185, 2)


def answers(ready: Sequence[str], overdue: Sequence[str], lent: Sequence[str], patron: str = CARD) -> bytes:
    """Write the three answers of a library, without its help."""
    lists = {"AS": ready, "AT": overdue, "AU": lent}
    counts = "".join(f"{len(items):04}" for items in lists.values())
    return b"".join(
        written(
            f"64{'':14}00320260310    083958{counts}000000000000AOBIBESSAI|AA{patron}|AEEssai, Zoé|"
            + "".join(f"{code}{item}|" for item in items),
            number,
        )
        for number, (code, items) in enumerate(lists.items(), 1)
    )


def decided(value: bytes, previous: bytes | None = None) -> tuple[list[tuple[str, str]], bytes | None]:
    """Decide one record; return what is delivered, as kind and item, and the memory."""
    outcome = process(record(CONNECTOR, "patron", value, key=f"sip2:{CARD}"), CONNECTOR, catalogue.schemas(), previous)
    found = []
    for decision in outcome.decisions:
        assert not isinstance(decision, Quarantine), decision.detail
        if isinstance(decision, Deliver):
            payload: Any = decision.event.payload
            kind = decision.event.type.rpartition(".")[2]
            found.append((kind, payload.hold_id if kind.startswith("Hold") else payload.item_id))
    return found, outcome.state


def test_the_sum_is_the_two_s_complement_of_all_bytes() -> None:
    """As the published example has it."""
    assert written("9300CNuser_id|COpassw0rd|", 1) == b"9300CNuser_id|COpassw0rd|AY1AZF594\r"


@given(st.text(st.characters(codec="cp850", exclude_characters="\r|"), min_size=1, max_size=40), st.integers(0, 400))
def test_a_message_that_was_changed_on_its_way_is_known(value: str, at: int) -> None:
    """Whatever characters are in it."""
    line = written(f"99AF{value}|", 3)[:-1]
    assert read(line).one("AF") == value.strip()
    broken = bytearray(line)
    broken[at % (len(line) - 9)] ^= 0x01
    with pytest.raises(Invalid, match="wrong checksum"):
        read(bytes(broken))


def test_requests_of_another_implementation_are_read() -> None:
    """Without sums: the delimiter is what stands last."""
    login, status, *others = (read(line) for line in (SAMPLES / "invalid_requests.txt").read_bytes().split(b"\r")[:-1])
    assert (login.number, login.fields) == ("93", (("00", "CNuser_id"), ("CO", "passw0rd"), ("CP", "circ_desk")))
    assert status.number == "99"
    assert [message.number for message in others] == ["23", "11", "09", "17"]
    assert {message.one("AO") for message in others if message.number != "23"} == {"university_id"}


ITEMS = st.sets(st.sampled_from([f"3842100000{n:04}" for n in range(6)]))


@settings(max_examples=examples(40))
@given(st.lists(st.tuples(ITEMS, ITEMS, st.booleans()), min_size=1, max_size=6))
def test_what_started_less_what_was_returned_is_what_the_patron_has(
    polls: list[tuple[set[str], set[str], bool]],
) -> None:
    """Whatever came, in whatever order, and though some answers are spoiled."""
    memory: bytes | None = None
    has: set[str] = set()
    believed: set[str] = set()
    for lent, ready, spoiled in polls:
        value = answers(sorted(ready - lent), sorted(lent)[:2], sorted(lent))
        if spoiled:
            value = value.replace(b"AA384", b"AA385", 1)
            outcome = process(
                record(CONNECTOR, "patron", value, key=f"sip2:{CARD}"), CONNECTOR, catalogue.schemas(), memory
            )
            assert outcome.state is None
            assert [type(decision) for decision in outcome.decisions] == [Quarantine]
            continue
        facts, memory = decided(value, memory)
        has |= {item for kind, item in facts if kind == "LoanStarted"}
        has -= {item for kind, item in facts if kind == "LoanReturned"}
        believed = lent
        assert has == believed


def test_no_name_and_no_title_is_in_what_is_remembered_or_told() -> None:
    """The name of the answer ends at the edge."""
    value = answers(["38421000000001"], [], ["38421000000002"])
    assert "Zoé".encode("cp850") in value
    outcome = process(record(CONNECTOR, "patron", value, key=f"sip2:{CARD}"), CONNECTOR, catalogue.schemas())
    told = repr([d.event for d in outcome.decisions if isinstance(d, Deliver)]) + str(outcome.state)
    assert "Zo" not in told
    assert "Essai" not in told


@pytest.mark.parametrize("title", ["1984", "Germinal", "2001 : l'odyssée", "Fahrenheit451", "Le grand Meaulnes"])
def test_a_title_in_place_of_a_number_never_stands_beside_a_person(title: str) -> None:
    """It is set aside, with what the library must do."""
    value = answers([], [], [title.replace("œ", "oe")])
    (decision,) = process(
        record(CONNECTOR, "patron", value, key=f"sip2:{CARD}"), CONNECTOR, catalogue.schemas()
    ).decisions
    assert isinstance(decision, Quarantine)
    assert (decision.code, decision.fields) == ("unmappable", ("AU",))
    assert "bar codes" in decision.detail


class Library:
    """Drives a poll without a network."""

    def __init__(self, *said: tuple[bytes, ...], patrons: Sequence[str] = (CARD, OTHER)) -> None:
        self.said: Iterator[tuple[bytes, ...]] = iter(said)
        self.patrons = list(patrons)
        self.asked: list[Exchange] = []
        self.written: list[Emit] = []

    def poll(self, **more: str) -> None:
        work = source.poll({}, {"institution": "BIBESSAI", **more})
        answer: Any = None
        while True:
            try:
                wish = work.send(answer)
            except StopIteration:
                return
            answer = None
            if isinstance(wish, Subjects):
                answer = self.patrons
            elif isinstance(wish, Exchange):
                self.asked.append(wish)
                answer = tuple(Line(text, 7) for text in next(self.said))
            elif isinstance(wish, Emit):
                self.written.append(wish)


def split(value: bytes) -> tuple[bytes, ...]:
    return tuple(line + b"\r" for line in value.split(b"\r") if line)


def test_the_library_s_clock_dates_the_questions_and_linked_patrons_alone_are_asked_about() -> None:
    """Three lists each, on a connection of their own; what could break out of a field is asked about by nobody."""
    here, there = answers([], [], []), answers([], [], [], OTHER)
    library = Library((STATUS,), split(here), split(there), patrons=[CARD, OTHER, "1|AOelsewhere"])
    library.poll()
    first = library.asked[1]
    assert [line[:33] for line in first.lines] == [
        b"6300320260310    083958" + flags for flags in (b"Y         ", b" Y        ", b"  Y       ")
    ]
    assert read(first.lines[0][:-1]).number == "63"
    assert b"AOBIBESSAI|" in first.lines[0]
    assert [(emit.key, emit.value, emit.read_at) for emit in library.written] == [
        (f"sip2:{CARD}", here, 7),
        (f"sip2:{OTHER}", there, 7),
    ]
    assert library.written[0].answer != library.written[1].answer
    nobody = Library(patrons=[])
    nobody.poll()
    assert nobody.asked == []


def test_a_patron_at_whom_the_library_hangs_up_holds_up_nobody() -> None:
    """Half of what was asked says nothing; the poll counts as failed, so that it is seen."""
    library = Library((STATUS,), split(answers([], [], []))[:2], split(answers([], [], [], OTHER)))
    with pytest.raises(Transient, match="1 of 2 patrons"):
        library.poll()
    assert [emit.key for emit in library.written] == [f"sip2:{OTHER}"]


@given(
    st.lists(
        st.lists(st.binary(max_size=60).map(lambda text: text.replace(b"\r", b"") + b"\r"), max_size=3), max_size=2
    )
)
def test_whatever_is_answered_a_poll_ends(said: list[list[bytes]]) -> None:
    """A patron is written as it was answered, or not at all."""
    library = Library((STATUS,), *(tuple(lines) for lines in said), patrons=[CARD, OTHER][: len(said)])
    if any(len(lines) < 3 for lines in said):
        with pytest.raises(Transient, match="hung up at"):
            library.poll()
    else:
        library.poll()
    whole = [b"".join(lines) for lines in said if len(lines) == 3]
    assert [emit.value for emit in library.written] == whole


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ((), "hung up"),
        ((b"96\r",), "no answer to 99"),
        ((STATUS.replace(b"98YYYYNN", b"98YYYYNY"),), "wrong checksum"),
        ((written("98NYYYNN03000320260310    0839582.00AOBIBESSAI|", 1),), "off line"),
        ((b"98Y\r",), "shorter"),
    ],
)
def test_a_library_that_is_off_line_is_away(said: tuple[bytes, ...], reason: str) -> None:
    """Nobody is asked about."""
    library = Library(said)
    with pytest.raises(Transient, match=reason):
        library.poll()


def test_a_password_that_would_break_out_of_its_field_is_refused() -> None:
    """As is one that IBM850 cannot write; neither is told."""
    library = Library((STATUS,), split(answers([], [], [])), patrons=[CARD])
    library.poll(location="HUB")
    login = library.asked[0].login
    assert login is not None
    assert login.write("hub", "é").startswith(b"9300CNhub|CO\x82|CPHUB|AY0AZ")
    for secret in ("a|COb", "a\rb", "€"):
        with pytest.raises(Denied) as told:
            login.write("hub", secret)
        assert secret not in told.value.reason


def asking(url: str, credentials: Mapping[str, Basic]) -> Vendor:
    # Without a transport httpx would read every certificate there is.
    return Vendor(url + "/", "hub", 1e9, credentials, transport=httpx.MockTransport(lambda _: httpx.Response(500)))


class Box:
    """The simulator on loopback, and a driver that asks it."""

    def __init__(self, folder: Path) -> None:
        agreed = {"secrets_dir": str(folder), "hooks_url": "", "hook_secret_file": ""}
        self.vendor = Simulator(TOWN, Journal(folder / "journal"), TownClock(), agreed)
        self.vendor.listen()
        self.records: list[Emit] = []
        self.memory: bytes | None = None
        self.patrons = [CARD]

    def close(self) -> None:
        self.vendor.close()

    def emit(self, _product: str, wish: Emit) -> None:
        self.records.append(wish)

    def subjects(self, _product: str) -> list[str]:
        return self.patrons

    def poll(self) -> None:
        city = self.vendor.city_settings("")
        login = city["credentials"]["default"]
        credentials = {"default": Basic(login["client_id"], Path(login["secret_file"]))}
        ports: Any = self
        with closing(asking(city["base_url"], credentials)) as vendor:
            drive(CONNECTOR, source.poll({}, city["settings"]), vendor, ports)

    def facts(self) -> list[tuple[str, str]]:
        facts, self.memory = decided(self.records[-1].value, self.memory)
        return facts


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    with closing(Box(tmp_path)) as made:
        yield made


def test_a_day_at_a_library_is_told(box: Box) -> None:
    """Over a real connection: what is said there is what is seen here."""
    box.poll()
    assert box.facts() == []
    item, waiting = box.vendor.lend(CARD), box.vendor.ready(CARD)
    box.poll()
    assert box.facts() == [("LoanStarted", item), ("HoldReady", waiting)]
    box.vendor.late(item)
    box.vendor.fetch(waiting)
    box.poll()
    assert box.facts() == [("LoanOverdue", item), ("LoanStarted", waiting)]
    box.vendor.take_back(item)
    box.vendor.give_up(box.vendor.ready(CARD))
    box.poll()
    assert box.facts() == [("LoanReturned", item)]
    served = [(entry["key"], entry["answer"]) for entry in box.vendor.journal.entries("served")]
    assert served == [(f"sip2:{CARD}", record.answer) for record in box.records]


def test_a_connection_that_breaks_in_an_answer_is_seen_and_loses_nothing(box: Box) -> None:
    """The next poll tells it."""
    item = box.vendor.lend(CARD)
    box.vendor.faults.add("/63", "truncate")
    with pytest.raises(Transient, match="1 of 1 patrons"):
        box.poll()
    assert box.records == []
    box.poll()
    assert box.facts() == [("LoanStarted", item)]


def test_a_wrong_sum_is_set_aside_by_name(box: Box) -> None:
    """And the next answer tells what it hid."""
    item = box.vendor.lend(CARD)
    box.vendor.faults.add("/63", "checksum")
    box.poll()
    outcome = process(
        record(CONNECTOR, "patron", box.records[0].value, key=f"sip2:{CARD}"), CONNECTOR, catalogue.schemas()
    )
    (decision,) = outcome.decisions
    assert isinstance(decision, Quarantine)
    assert (decision.code, decision.detail, decision.fields) == ("invalid", "wrong checksum", ("AZ",))
    box.poll()
    assert box.facts() == [("LoanStarted", item)]


def test_a_slow_library_is_waited_for_and_a_refused_login_is_named(box: Box) -> None:
    """The first is no failure, the second is one of the credentials."""
    box.vendor.faults.add("/63", "slow", seconds=0.05)
    box.poll()
    assert len(box.records) == 1
    box.vendor.faults.add("/99", "503")
    with pytest.raises(Transient, match="hung up when asked"):
        box.poll()
    city = box.vendor.city_settings("")
    wrong = Path(box.vendor.settings["secrets_dir"]) / "wrong"
    wrong.write_text("wrong", "utf-8")
    ports: Any = box
    vendor = asking(city["base_url"], {"default": Basic("hub", wrong)})
    with closing(vendor), pytest.raises(Denied, match="check the credentials"):
        drive(CONNECTOR, source.poll({}, city["settings"]), vendor, ports)


@pytest.mark.parametrize("end", [b"AY1AZ0000", b"AY1AZ", b""])
def test_the_library_answers_96_to_a_wrong_sum(box: Box, end: bytes) -> None:
    """It reckons for itself: the hub's sums are not right by agreement with themselves alone."""
    assert box.vendor.speak(Talk(), b"9900802.00" + end) == b"96\r"
    assert box.vendor.speak(Talk(), written("9900802.00", 1)[:-1]) == b""

"""Each trouble of each source has its metric, its line, and its way back; a new folder is picked up by itself."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from starlette.testclient import TestClient
from troubled import Desk, Gate, Stepped, TlsServer, Village, certificate, served, source_of

from hub import catalogue, repeating
from hub.config import Settings, Source
from hub.model.connector import Connector
from hub.model.intake import Emit
from hub.roles import intake
from hub.store import Store
from hub.telemetry.events import CallReceived
from hub.testing import simulator
from hub.testing.town.host import Server, find_simulators
from hub.web.app import create_app

pytestmark = pytest.mark.slow

CONNECTORS = list(catalogue.connectors().values())
POLLED = [one for one in CONNECTORS if one.poll is not None]


def speaks_lines(connector: Connector) -> bool:
    return find_simulators()[connector.product].listen is not simulator.Simulator.listen


def source(connector: Connector) -> Any:
    return import_module(f"connectors.sources.{connector.domain}.{connector.product}.source")


def every(connectors: list[Connector]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("connector", connectors, ids=lambda connector: connector.product)


HTTP = [one for one in POLLED if not speaks_lines(one)]
TOKENS = [one for one in HTTP if "oauth2" in one.manifest.credentials.values()]
FILES = [one for one in HTTP if {"file"} == {feed.manifest.style for feed in one.feeds.values()}]
CALLED = [one for one in CONNECTORS if one.receive is not None]
SOAP = [one for one in HTTP if hasattr(source(one), "soap")]
REFUSALS = [
    *(pytest.param(one, "own", id=f"{one.product}-own") for one in POLLED),
    *(pytest.param(one, "403", id=f"{one.product}-403") for one in HTTP),
]


@pytest.fixture(scope="module")
def village(tmp_path_factory: pytest.TempPathFactory) -> Village:
    return Village(tmp_path_factory.mktemp("village"))


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate()


@pytest.fixture(scope="module")
def http(gate: Gate) -> Iterator[Server]:
    yield from served(gate)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("tls") / "good.pem")


@pytest.fixture(scope="module")
def tls(gate: Gate, good: Path) -> Iterator[TlsServer]:
    with TlsServer(gate, good) as server:
        yield server


class Case:
    """A connector with its vendor behind the gate."""

    def __init__(
        self, village: Village, gate: Gate, url: str, connector: Connector, folder: Path, *, morning: bool
    ) -> None:
        """`morning`: it was polled before the day went on."""
        folder.mkdir(parents=True, exist_ok=True)
        self.village, self.gate = village, gate
        gate.set("")
        gate.struck = 0
        gate.tokens, gate.ended = set(), set()
        self.vendor = village.vendor(connector.product, folder)
        gate.app = self.vendor.app
        if self.vendor.lines is not None:
            gate.before(self.vendor.lines)
        self.source, self.secrets = source_of(self.vendor, url, folder / "city")
        self.desk = Desk(connector, self.source, village.subjects(connector.product))
        self.states: list[tuple[Mapping[str, Any], Counter[str]]] = []
        if morning:
            self.desk.turns()
            assert self.desk.polls() == {"good": 1}
        self.good = int(morning)
        self.morning = (self.desk.cursor, self.desk.facts())
        self.vendor.restore(village.evening[connector.product])

    def look(self, *, then: Callable[[], None]) -> Callable[[], None]:
        """Remember what stands after a turn, then let something happen."""

        def looked() -> None:
            self.states.append((self.desk.cursor, self.desk.facts()))
            then()

        return looked

    def nothing_private_is_logged(self) -> None:
        secret = {path.read_text("utf-8").strip() for path in self.vendor_secrets()}
        private = secret | {word for word in self.village.subjects(self.desk.product) if len(word) > 3}
        assert not self.desk.words() & (private | self.village.names)
        assert all("dropped_keys" not in line for line in self.desk.lines())

    def vendor_secrets(self) -> list[Path]:
        return [path for path in Path(self.vendor.settings["secrets_dir"]).iterdir() if path.is_file()]

    def away(self, code: str, turns: int) -> None:
        """Check metric and line of turns that ended badly, and that the last one was good."""
        assert self.desk.polls() == {code: turns, "good": self.good + 2}
        said = self.desk.lines("source away")
        assert [line["code"] for line in said] == [code] * turns
        assert all(line["reason"] and line["remedy"] and line["failures"] for line in said)
        assert [line["level"] for line in said] == ["warning"] * turns
        assert self.desk.telemetry.registry.get_sample_value("hub_waiting_seconds", {"what": self.desk.product}) == 0
        self.nothing_private_is_logged()

    def close(self) -> None:
        self.vendor.close()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take turns one after the other."""
    monkeypatch.setattr(intake, "Repeating", Stepped)
    monkeypatch.setattr(repeating, "back_off", lambda *_: 0.0)


class Ordinary(NamedTuple):
    """What a product's days are like without trouble."""

    morning: bool
    """Whether there is news in the evening for who asked in the morning."""
    facts: Counter[str]
    codes: set[str]
    """Why records of it are set aside: vendors have their own troubles."""


ORDINARY: dict[str, Ordinary] = {}


@pytest.fixture
def make(village: Village, gate: Gate, http: Server, tmp_path: Path) -> Iterator[Callable[..., Case]]:
    made: list[Case] = []

    def case(connector: Connector, url: str = http.url) -> Case:
        for morning in (True, False):
            if connector.product not in ORDINARY:
                ordinary = Case(village, gate, http.url, connector, tmp_path / f"{morning}", morning=morning)
                made.append(ordinary)
                ordinary.desk.turns(nothing)
                if ordinary.morning[1] < ordinary.desk.facts():
                    known = Ordinary(morning, ordinary.desk.facts(), ordinary.desk.codes())
                    ORDINARY[connector.product] = known
        assert connector.product in ORDINARY, "it tells nothing: let something happen in its simulator's day"
        morning = ORDINARY[connector.product].morning
        made.append(Case(village, gate, url, connector, tmp_path / "case", morning=morning))
        return made[-1]

    yield case
    for one in made:
        one.close()


def everything(connector: Connector) -> Counter[str]:
    return ORDINARY[connector.product].facts


def nothing() -> None:
    """Let a turn follow: what a vendor refuses for once, it tells then."""


@every(POLLED)
def test_what_is_read_again_is_told_once(make: Callable[..., Case], connector: Connector) -> None:
    """Turn after turn, and though answers of before come once more behind those of now."""
    case = make(connector)
    case.desk.turns(nothing)
    records = list(case.desk.raw)
    case.desk.turns()
    assert case.desk.facts() == everything(connector)
    # One process after another reads a file, from its last checkpoint on: what comes again is its end.
    late = [wish for wish in records if connector.feeds[wish.feed].manifest.style != "file"] or case.desk.raw[-3:]
    for wish in (*late, *late[::-1]):
        case.desk.emit(connector.product, wish)
    assert case.desk.facts() == everything(connector)
    assert case.desk.polls() == {"good": case.good + 3}
    case.nothing_private_is_logged()


@pytest.mark.parametrize(("connector", "how"), REFUSALS)
def test_wrong_credentials(make: Callable[..., Case], connector: Connector, how: str) -> None:
    """As the vendor itself refuses them where its simulator looks at them; nothing is asked for twice."""
    case = make(connector)
    right = {path: path.read_text("utf-8") for path in case.secrets}
    gated = how == "403" or not right

    def refuse() -> None:
        if gated:
            case.gate.set("401" if how == "own" else how)
        else:
            for path in right:
                path.write_text("not-the-secret", "utf-8")

    def mend() -> None:
        case.gate.set("")
        for path, secret in right.items():
            path.write_text(secret, "utf-8")

    refuse()
    case.desk.turns(case.look(then=nothing), case.look(then=mend), nothing)
    assert case.states == [case.morning] * 2
    assert case.desk.facts() == everything(connector)
    case.away("credentials", 2)


@every(HTTP)
def test_credentials_that_end_on_the_way(make: Callable[..., Case], connector: Connector) -> None:
    """What was read before stays read; the rest is read once the vendor takes us again."""
    case = make(connector)
    case.gate.set("401", 1)
    case.desk.turns(case.look(then=lambda: case.gate.set("")), nothing)
    ((_, before),) = case.states
    assert before <= everything(connector)
    assert case.desk.facts() == everything(connector)
    if case.gate.struck:
        case.away("credentials", 1)


@every(TOKENS)
def test_a_token_that_ends_on_the_way_is_fetched_anew(make: Callable[..., Case], connector: Connector) -> None:
    """Once, and nobody is called."""
    case = make(connector)
    case.gate.set("expired", 2)
    case.desk.turns(nothing)
    assert case.gate.ended
    assert len(case.gate.tokens) > len(case.gate.ended)
    assert case.desk.facts() == everything(connector)
    assert case.desk.polls() == {"good": case.good + 2}
    assert not case.desk.lines("source away")


@every(HTTP)
def test_a_changed_certificate(
    make: Callable[..., Case],
    connector: Connector,
    tls: TlsServer,
    good: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is sent to whoever shows one that is not trusted; the old one back, everything is read."""
    monkeypatch.setenv("SSL_CERT_FILE", str(good))
    tls.shows(good)
    case = make(connector, tls.url)
    tls.shows(certificate(tmp_path / "changed.pem"))

    asked: list[int] = []

    def put_back() -> None:
        asked.append(case.gate.seen)
        tls.shows(good)

    case.gate.set("")
    case.desk.turns(case.look(then=put_back), nothing)
    assert asked == [0]
    assert case.states == [case.morning]
    assert case.desk.facts() == everything(connector)
    case.away("certificate", 1)


@pytest.mark.parametrize("after", [0, 1])
@every(POLLED)
def test_a_page_in_place_of_an_answer(make: Callable[..., Case], connector: Connector, after: int) -> None:
    """It is refused, or set aside where it can be seen; it is never data, and never ends the asking."""
    case = make(connector)
    case.gate.set("page", after)
    case.desk.turns(case.look(then=lambda: case.gate.set("")), nothing)
    ((cursor, before),) = case.states
    assert before <= everything(connector)
    if not after:
        assert (cursor, before) == case.morning
    assert case.desk.facts() == everything(connector)
    named(case, {"undecodable"})


@pytest.mark.parametrize("after", [0, 1])
@every(POLLED)
def test_an_answer_that_ends_before_its_end(make: Callable[..., Case], connector: Connector, after: int) -> None:
    """Nothing of it is taken."""
    case = make(connector)
    case.gate.set("cut", after)
    case.desk.turns(case.look(then=lambda: case.gate.set("")), nothing)
    ((cursor, before),) = case.states
    assert before <= everything(connector)
    if not after:
        assert (cursor, before) == case.morning
    assert case.desk.facts() == everything(connector)
    if case.gate.struck:
        case.away("truncated", 1)


@pytest.mark.parametrize("after", [0, 1])
@every(POLLED)
def test_half_an_answer_that_looks_whole(make: Callable[..., Case], connector: Connector, after: int) -> None:
    """Cut before it was sent: whatever cannot be read is set aside, and nothing is told that was not said."""
    case = make(connector)
    case.gate.set("short", after)
    case.desk.turns(case.look(then=lambda: case.gate.set("")), nothing)
    ((_, before),) = case.states
    assert before <= everything(connector)
    assert case.desk.facts() == everything(connector)
    named(case, {"undecodable", "invalid", "held"})


def named(case: Case, codes: set[str]) -> None:
    """Check that what was wrong was told, as a cause or as a code."""
    polls = case.desk.polls()
    assert set(polls) <= {"good", "unusable", "truncated"}
    aside = case.desk.lines("record quarantined")
    own = ORDINARY[case.desk.product].codes
    assert {line["code"] for line in aside} <= codes | own
    away = case.desk.lines("source away")
    assert all(line["code"] in polls and line["remedy"] for line in away)
    for code in case.desk.codes():
        assert case.desk.count("hub_records_decided_total", kind="quarantine", code=code) > 0
    assert away or case.desk.codes() & codes or not case.gate.struck
    case.nothing_private_is_logged()


@pytest.mark.parametrize("trouble", ["fault", "fault500"])
@every(SOAP)
def test_a_fault_about_credentials(make: Callable[..., Case], connector: Connector, trouble: str) -> None:
    """SOAP tells it with the status of a success, or of a failure: in neither is anything lost."""
    case = make(connector)
    case.gate.set(trouble)
    case.desk.turns(case.look(then=lambda: case.gate.set("")), nothing)
    assert case.states == [case.morning]
    assert case.desk.facts() == everything(connector)
    if trouble == "fault500":
        case.away("credentials", 1)
    else:
        named(case, {"vendor_error"})


# Files in a folder.


class Folder:
    """A desk whose vendor is a folder."""

    def __init__(self, village: Village, connector: Connector, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        found = Source(base_url=folder.as_uri(), rate_per_second=10_000)
        self.desk = Desk(connector, found, village.subjects(connector.product))

    def poll(self, **files: bytes) -> None:
        """Let files come, and look into the folder once."""
        for name, body in files.items():
            (self.folder / name).write_bytes(body)
        self.desk.turns()


@pytest.fixture
def files(village: Village, connector: Connector, tmp_path: Path) -> dict[str, bytes]:
    """Return what the vendor left in its folder until the evening, in the order of its names."""
    vendor = village.vendor(connector.product, tmp_path)
    vendor.restore(village.evening[connector.product])
    with TestClient(vendor.app) as client:
        return {name: client.get(f"/{name}").content for name in sorted(client.get("/").json())}


@every(FILES)
def test_a_file_that_comes_twice(
    village: Village, connector: Connector, files: dict[str, bytes], tmp_path: Path
) -> None:
    """Under its name, or another: nothing is read twice, and that is no trouble."""
    folder = Folder(village, connector, tmp_path / "folder")
    folder.poll(**files)
    read, facts = len(folder.desk.raw), folder.desk.facts()
    folder.poll(**files)
    folder.poll(**{f"{name[:-4]}-1{name[-4:]}": body for name, body in files.items()})
    assert read
    assert facts
    assert (len(folder.desk.raw), folder.desk.facts()) == (read, facts)
    assert folder.desk.polls() == {"good": 3}


@every(FILES)
def test_a_file_that_is_cut(village: Village, connector: Connector, files: dict[str, bytes], tmp_path: Path) -> None:
    """Somebody is still copying: nothing of it is read, the others are, and all of it once it is there."""
    whole, folder = (Folder(village, connector, tmp_path / name) for name in ("whole", "folder"))
    whole.poll(**files)
    last = [*files][-1]
    half = files[last][: len(files[last]) * 2 // 3].rstrip(b"\r\n")
    folder.poll(**{**files, last: half})
    assert folder.desk.facts() <= whole.desk.facts()
    assert folder.desk.polls() == {"truncated": 1}
    (said,) = folder.desk.lines("source away")
    assert (said["code"], said["level"]) == ("truncated", "warning")
    assert not folder.desk.words() & village.names
    folder.poll(**files)
    assert folder.desk.facts() == whole.desk.facts()
    assert folder.desk.polls() == {"truncated": 1, "good": 1}
    assert [wish.value for wish in folder.desk.raw] == [wish.value for wish in whole.desk.raw]


@every(FILES)
def test_files_in_another_order(
    village: Village, connector: Connector, files: dict[str, bytes], tmp_path: Path
) -> None:
    """Each is read once, whenever it comes; nothing is told that would not have been told, and nothing twice."""
    ordered, folder = (Folder(village, connector, tmp_path / name) for name in ("ordered", "folder"))
    for name, body in files.items():
        ordered.poll(**{name: body})
    for name, body in reversed(files.items()):
        folder.poll(**{name: body})
    assert folder.desk.polls() == {"good": len(files)}
    assert sorted(wish.value for wish in folder.desk.raw) == sorted(wish.value for wish in ordered.desk.raw)
    assert folder.desk.codes() == ordered.desk.codes()
    facts = folder.desk.facts()
    assert facts <= ordered.desk.facts() | Counter(dict.fromkeys(facts, 1))
    told = {fact.split()[1] for fact in ordered.desk.facts()}
    assert {fact.split()[1] for fact in facts} <= told


# Calls.


class Hooks:
    """The web role before a desk."""

    def __init__(self, village: Village, connector: Connector, folder: Path) -> None:
        self.product = connector.product
        self.desk = Desk(connector, Source(), [])
        self.secret = b"a-secret-of-ours"
        (folder / "hook").write_bytes(self.secret)
        store = Store(f"sqlite:///{folder}/hub.sqlite")
        store.migrate()
        configured = Settings.model_validate(
            {
                "web": {"tokens_file": folder / "tokens.toml"},
                "connectors": {self.product: Source(hook_secret_file=folder / "hook")},
            }
        )
        self.store = store
        self.client = TestClient(
            create_app(
                configured, store, catalogue.schemas(), catalogue.connectors(), self.publish, self.called, village.clock
            )
        )

    async def publish(self, product: str, wish: Emit) -> str:
        return self.desk.emit(product, wish)

    def called(self, product: str, result: str) -> None:
        CallReceived(product, result).emit(self.desk.telemetry)

    def call(self, feed: str, body: bytes, *, secret: bytes | None = None, answer: str = "a1") -> int:
        """Call as the vendor does; return the status."""
        digest = hmac.new(secret or self.secret, body, hashlib.sha256).hexdigest()
        headers = {simulator.SIGNATURE: f"sha256={digest}", simulator.REQUEST_ID: answer}
        return self.client.post(f"/hooks/{self.product}/{feed}", content=body, headers=headers).status_code

    def results(self) -> dict[str, int]:
        """Return how many calls ended how."""
        results = ("accepted", "refused", "unsigned", "away", "broken")
        counted = {result: int(self.desk.count("hub_webhook_calls_total", result=result)) for result in results}
        return {result: count for result, count in counted.items() if count}


@contextmanager
def another(village: Village, connector: Connector, folder: Path) -> Iterator[Hooks]:
    folder.mkdir()
    made = Hooks(village, connector, folder)
    yield made
    made.store.close()


@pytest.fixture
def hooks(village: Village, connector: Connector, tmp_path: Path) -> Iterator[Hooks]:
    with another(village, connector, tmp_path / "hooks") as made:
        yield made


@every(CALLED)
def test_a_call_that_is_not_the_vendors(hooks: Hooks, village: Village, connector: Connector) -> None:
    """401, counted and said; signed well, the same call is taken."""
    first = village.calls[connector.product][0]
    assert hooks.call(first.feed, first.body, secret=b"another") == 401
    assert hooks.client.post(f"/hooks/{connector.product}/{first.feed}", content=first.body).status_code == 401
    assert hooks.call(first.feed, first.body + b" ", secret=b"") in (202, 400)
    assert hooks.results()["unsigned"] == 2
    (said, _) = hooks.desk.lines("webhook call not accepted")
    assert (said["reason"], said["level"]) == ("unsigned", "warning")
    assert hooks.call(first.feed, first.body) == 202
    assert hooks.results()["accepted"] >= 1


@pytest.mark.parametrize("spoil", ["page", "half", "empty"])
@every(CALLED)
def test_a_call_with_something_else_in_it(
    hooks: Hooks, village: Village, connector: Connector, spoil: str, tmp_path: Path
) -> None:
    """A clear 4xx that is counted, or a record that is set aside; the whole call behind it is told as ever."""
    first = village.calls[connector.product][0]
    bodies = {"page": simulator.HTML_PAGE, "half": first.body[: len(first.body) // 2], "empty": b""}
    status = hooks.call(first.feed, bodies[spoil], answer="a0")
    if status == 202:
        assert hooks.desk.codes() <= {"undecodable", "invalid"}
        assert hooks.desk.lines("record quarantined")
    else:
        assert status in (400, 413, 422)
        assert hooks.results() == {"refused": 1}
        (said,) = hooks.desk.lines("webhook call not accepted")
        assert (said["reason"], said["level"]) == ("refused", "warning")
    assert not hooks.desk.facts()
    with another(village, connector, tmp_path / "good") as good:
        for number, call in enumerate(village.calls[connector.product]):
            assert hooks.call(call.feed, call.body, answer=f"b{number}") == 202
            assert good.call(call.feed, call.body, answer=f"b{number}") == 202
    assert hooks.desk.facts() == good.desk.facts()
    assert hooks.desk.raw[-len(good.desk.raw) :] == good.desk.raw
    assert not hooks.desk.words() & village.names


@every(CALLED)
def test_calls_twice_and_in_another_order(hooks: Hooks, village: Village, connector: Connector, tmp_path: Path) -> None:
    """Twice is once; and in another order nothing is told twice."""
    calls = village.calls[connector.product]
    with (
        another(village, connector, tmp_path / "once") as once,
        another(village, connector, tmp_path / "turned") as turned,
    ):
        for number, call in enumerate(calls):
            assert once.call(call.feed, call.body, answer=f"a{number}") == 202
            for _ in range(2):
                assert hooks.call(call.feed, call.body, answer=f"a{number}") == 202
        for number, call in enumerate(reversed(calls)):
            assert turned.call(call.feed, call.body, answer=f"a{number}") == 202
    assert hooks.desk.facts() == once.desk.facts()
    assert hooks.results() == {"accepted": 2 * len(calls)}
    assert turned.desk.codes() - {"behind"} == once.desk.codes() - {"behind"}
    facts = turned.desk.facts()
    assert facts <= once.desk.facts() | Counter(dict.fromkeys(facts, 1))

"""A record that Kafka does not take stops nothing, is asked for no second time, and none of it is lost."""

from __future__ import annotations

import hashlib
import tomllib
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from kafka.errors import MessageSizeTooLargeError

from hub import catalogue
from hub.avro import codec
from hub.catalogue import ROOT
from hub.intake import driver
from hub.intake.blobs import Blobs
from hub.intake.driver import Vendor, drive
from hub.kafka import raw
from hub.kafka.raw import RawWriter
from hub.model.connector import Connector
from hub.model.decision import Deliver, Quarantine
from hub.model.errors import Code, TooLarge, Unencodable
from hub.model.intake import Emit, Get
from hub.model.record import Header, Origin, Record
from hub.pipeline import decode, process
from hub.roles.intake import _Ports
from hub.telemetry import Telemetry
from hub.testing.samples import samples
from hub.web.app import LARGEST_CALL
from schemas.models.library import LoanStarted

ILS_DI = catalogue.connectors()["ils_di"]
LARGE = b"<GetPatronInfo>" + b" " * 3_000_000


class Producer:
    """A broker's topic that takes less than it should."""

    written: list[Any]

    def __init__(self, **_: Any) -> None:
        self.closed = False

    def send(self, topic: str, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> Any:
        size = len(key) + len(value) + sum(len(name) + len(text) for name, text in headers)

        def get(timeout: float) -> None:
            if size > 100_000:
                raise MessageSizeTooLargeError
            self.written.append((topic, key, value, tuple(headers)))

        return SimpleNamespace(get=get)

    def close(self, timeout: float) -> None:
        self.closed = True


class World:
    """A source's ports, a broker, and a folder."""

    def __init__(self, folder: Path) -> None:
        self.blobs = Blobs(folder)
        self.telemetry = Telemetry("intake", ["ils_di"], stream=StringIO())
        runtime = cast(Any, SimpleNamespace(telemetry=self.telemetry))
        self.ports = _Ports(runtime, RawWriter({}), cast(Any, None), self.blobs)

    @property
    def records(self) -> list[Record]:
        return [
            Record(
                "ils_di",
                dict(headers)[Header.FEED].decode(),
                key,
                value,
                dict(headers)[Header.RAW_ID].decode(),
                1,
                Origin(topic, 1, 0, offset),
                headers=headers,
            )
            for offset, (topic, key, value, headers) in enumerate(Producer.written)
        ]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Start with an empty topic."""
    Producer.written = []
    monkeypatch.setattr(raw, "_Producer", Producer)
    return World(tmp_path)


def delivers(record: Record) -> bool:
    return isinstance(process.process(record, ILS_DI, catalogue.schemas()).decisions[0], Deliver)


def emit(value: bytes, key: str = "ils_di:7", answer: str = "a1") -> Emit:
    return Emit("patron", key, value, 1, "application/xml", None, answer)


def test_its_bytes_are_kept_and_a_small_record_is_set_aside_in_its_place(world: World) -> None:
    """Key, feed and the answer's id are its own; the decision tells size and digest."""
    world.ports.emit("ils_di", emit(LARGE))
    world.ports.emit("ils_di", emit(b"<small/>", "ils_di:8"))
    place, small = world.records
    assert (place.key, place.feed, dict(place.headers)[Header.ANSWER]) == (b"ils_di:7", "patron", b"a1")
    (decision,) = process.process(place, ILS_DI, catalogue.schemas()).decisions
    digest = hashlib.sha256(LARGE).hexdigest()
    assert isinstance(decision, Quarantine)
    assert (decision.code, decision.detail) == (Code.TOO_LARGE, f"{len(LARGE)} bytes, in the blob folder as {digest}")
    assert world.blobs.path(digest).read_bytes() == LARGE
    assert small.value == b"<small/>"


def test_names_without_end_do_not_make_its_place_too_large(world: World) -> None:
    """What a vendor calls a thing may be what is too large."""
    world.ports.emit("ils_di", emit(b"<x/>", "ils_di:" + "é" * 100_000, "a" * 100_000))
    (place,) = world.records
    assert place.key.startswith(b"sha256:")
    assert len(place.key) < 100


def test_a_place_that_somebody_else_writes_of_is_none(world: World) -> None:
    """Only header and value together say that bytes are elsewhere; a corrected copy is a record like any other."""
    world.ports.emit("ils_di", emit(LARGE))
    (place,) = world.records
    loan = next(s for s in samples(ILS_DI) if delivers(s.record))
    corrected = place._replace(value=loan.record.value, key=loan.record.key)
    (forged,) = process.process(place._replace(headers=()), ILS_DI, catalogue.schemas()).decisions
    assert isinstance(forged, Quarantine)
    assert forged.code is Code.UNDECODABLE
    assert delivers(corrected)


def test_the_writer_goes_on_with_another_producer_only_where_the_broker_refused(world: World) -> None:
    """An idempotent one has lost count then; what is refused before it is sent disturbs nobody."""
    writer = RawWriter({})
    writer.emit("ils_di", emit(b"<x/>"))
    (first,) = writer._producers.values()
    assert isinstance(first, Producer)
    for value, closed in ((LARGE, False), (b"x" * 200_000, True)):
        with pytest.raises(TooLarge):
            writer.emit("ils_di", emit(value))
        assert first.closed is closed
    writer.emit("ils_di", emit(b"<x/>"))
    assert len(Producer.written) == 2


def test_an_answer_without_end_is_a_refusal_that_the_source_hears(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked again it would be as large: the poll goes on behind it, and its id is still told."""
    monkeypatch.setattr(driver, "LARGEST_ANSWER", 1000)
    transport = httpx.MockTransport(
        lambda request: httpx.Response(200, content=b"x" * (2000 if "7" in str(request.url) else 10))
    )
    vendor = Vendor("http://vendor/", "hub", 1e9, {}, transport=transport)
    large = vendor.ask(Get("/7"))
    assert (large.status, large.body, large.ok) == (413, b"", False)

    class Ports:
        emitted: list[str] = []  # noqa: RUF012

        def subjects(self, _product: str) -> list[str]:
            return ["7", "8"]

        def emit(self, _product: str, wish: Emit) -> None:
            self.emitted.append(wish.key)

    assert ILS_DI.poll is not None
    drive(ILS_DI, ILS_DI.poll({}, {}), vendor, cast(Any, Ports()))
    assert Ports.emitted == ["ils_di:8"]


def test_memory_and_events_fit_their_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would not fit is set aside instead of stopping the role that writes it."""
    sample = next(s for s in samples(ILS_DI) if process.process(s.record, ILS_DI, catalogue.schemas()).state)

    def code(connector: Connector = ILS_DI) -> list[Code]:
        decisions = process.process(sample.record, connector, catalogue.schemas(), sample.previous).decisions
        return [d.code for d in decisions if isinstance(d, Quarantine)]

    assert code() == []
    with monkeypatch.context() as patched:
        patched.setattr(process, "LARGEST_MEMORY", 10)
        assert code() == [Code.TOO_LARGE]
    with monkeypatch.context() as patched:
        patched.setattr(process, "LONGEST_SUBJECT", 3)
        assert code() == [Code.UNENCODABLE]
    monkeypatch.setattr(codec, "LARGEST", 10)
    with pytest.raises(Unencodable, match="larger"):
        catalogue.schemas().encode(LoanStarted(item_id="i" * 20))


def test_the_limits_agree() -> None:
    """From the edge to the quarantine, each step takes what the one before lets through."""
    kinds = tomllib.loads((ROOT / "deploy" / "topics.toml").read_text("utf-8"))["kinds"]
    limit = {name: int(kind["max.message.bytes"]) for name, kind in kinds.items() if "max.message.bytes" in kind}
    room = 64 * 1024
    assert LARGEST_CALL + room < raw.LARGEST == limit["raw"] <= decode.LARGEST
    # The headers of a raw record may be all of it, and stand twice in its copy.
    assert 2 * limit["raw"] + room < limit["quarantine"] < 4 * 1024 * 1024
    assert process.LARGEST_MEMORY + limit["raw"] + room < limit["state"] < 4 * 1024 * 1024
    assert codec.LARGEST + 2 * 4 * process.LONGEST_SUBJECT + room < limit["event"] < limit["citizen"]

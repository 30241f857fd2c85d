"""What every connector must do; a new folder under `connectors/sources` is picked up by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from hub import catalogue
from hub.config import Loaded, Settings, Source, check_connectors
from hub.model.connector import Connector
from hub.model.decision import Deliver, Outcome, Quarantine, Skip
from hub.model.errors import Code
from hub.pipeline.process import process
from hub.testing.samples import Sample, golden, record, samples
from hub.testing.town.host import Host

CONNECTORS = list(catalogue.connectors().values())
SAMPLES = {connector.product: list(samples(connector)) for connector in CONNECTORS}

every_connector = pytest.mark.parametrize("connector", CONNECTORS, ids=lambda connector: connector.product)
every_sample = pytest.mark.parametrize(
    ("connector", "sample"),
    [
        pytest.param(connector, sample, id=f"{connector.product}-{sample.feed}-{sample.name}")
        for connector in CONNECTORS
        for sample in SAMPLES[connector.product]
    ],
)


def decide(connector: Connector, sample: Sample) -> Outcome:
    """Run one sample through the pure path."""
    return process(sample.record, connector, catalogue.schemas(), sample.previous)


def outcomes(connector: Connector) -> Iterator[tuple[Sample, Outcome]]:
    """Run all samples of a connector."""
    for sample in SAMPLES[connector.product]:
        yield sample, decide(connector, sample)


@every_sample
def test_sample_gives_its_golden_decisions(connector: Connector, sample: Sample) -> None:
    """What is decided of a sample is what was reviewed and committed."""
    how = f"write it by `python -m hub.testing.samples {connector.product}`, and read the diff"
    assert sample.golden.exists(), f"no golden for {sample.path.name}: {how}"
    assert sample.golden.read_text("utf-8") == golden(connector, sample), f"if that is right, {how}"


@every_connector
def test_every_golden_has_its_sample(connector: Connector) -> None:
    """A golden without a sample proves nothing."""
    expected = {sample.golden for sample in SAMPLES[connector.product]}
    assert set((catalogue.folder(connector) / "golden").glob("*/*.json")) == expected


@every_connector
def test_samples_show_every_event_and_the_garbled(connector: Connector) -> None:
    """Each event of the manifest, and at least one undecodable record, is shown by a sample."""
    emitted: dict[str, set[str]] = {name: set() for name in connector.feeds}
    codes: set[Code] = set()
    for sample, outcome in outcomes(connector):
        for decision in outcome.decisions:
            if isinstance(decision, Deliver):
                emitted[sample.feed].add(decision.event.type.rpartition(".")[2])
            elif isinstance(decision, Quarantine):
                codes.add(decision.code)
    assert {name: set(feed.manifest.emits) for name, feed in connector.feeds.items()} == emitted
    assert {Code.UNDECODABLE, Code.INVALID} <= codes
    assert Code.BUG not in codes


@every_connector
def test_manifest_is_consistent(connector: Connector) -> None:
    """Feeds can be received, and what they emit exists in their domain."""
    styles = {feed.manifest.style for feed in connector.feeds.values()}
    assert (connector.receive is not None) == ("webhook" in styles)
    assert (connector.poll is not None) == bool(styles & {"poll", "snapshot", "file"})
    for feed in connector.feeds.values():
        for name in feed.manifest.emits:
            assert catalogue.schemas().id_of(f"hub.{connector.domain}.{name}")


@every_connector
def test_same_record_gives_same_ids_and_round_trips(connector: Connector) -> None:
    """Deciding twice changes nothing, ids are unique in a record, and an event is what its bytes say."""
    for sample, first in outcomes(connector):
        assert first == decide(connector, sample), sample.name
        events = [decision.event for decision in first.decisions if isinstance(decision, Deliver)]
        assert len({event.id for event in events}) == len(events), sample.name
        for event in events:
            assert event.payload == catalogue.schemas().decode(event.value), sample.name


def garbled(value: bytes, seed: int) -> bytes:
    """Cut, flip, put in or drop bytes in one to four places; one number tells all and is drawn faster."""
    chance, found = Random(seed), bytearray(value)
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, max(len(found) - 1, 0))
        match chance.choice(("cut", "flip", "put", "drop")):
            case "cut":
                del found[at:]
            case "flip" if found:
                found[at] = chance.randint(0, 255)
            case "put":
                found[at:at] = chance.randbytes(chance.randint(0, 8))
            case _:
                del found[at : at + chance.randint(1, 40)]
    return bytes(found)


@every_connector
@given(seed=st.integers(0, 2**64 - 1))
def test_garbled_samples_never_escape(connector: Connector, seed: int) -> None:
    """A sample with bytes cut, flipped or put in gives at least one decision, and never an exception."""
    for number, sample in enumerate(SAMPLES[connector.product]):
        note(sample.name)
        mutated = record(connector, sample.feed, garbled(sample.record.value or b"", seed + number))
        decisions = process(mutated, connector, catalogue.schemas(), sample.previous).decisions
        assert decisions
        assert all(isinstance(decision, Deliver | Quarantine | Skip) for decision in decisions)
        assert not [d for d in decisions if isinstance(d, Quarantine) and d.code is Code.BUG], "a defect of the code"


@every_connector
@given(value=st.none() | st.binary() | st.text().map(str.encode), feed=st.text() | st.just(""))
def test_any_bytes_give_a_decision(connector: Connector, value: bytes | None, feed: str) -> None:
    """Whatever lies on the raw topic, the hub decides and goes on."""
    for name in (feed, *connector.feeds):
        assert process(record(connector, name, value), connector, catalogue.schemas()).decisions


@every_connector
def test_no_value_of_a_sample_is_told(connector: Connector) -> None:
    """The detail and the fields of a quarantine hold no word of the record that is not a name of the format."""
    for sample, outcome in outcomes(connector):
        for decision in outcome.decisions:
            if isinstance(decision, Quarantine):
                assert len(decision.detail) < 200, sample.name
                assert "@" not in decision.detail.replace("@attr", ""), sample.name


def test_a_city_can_start_with_the_simulators_settings(tmp_path: Path) -> None:
    """What the simulators tell a city to write fits the manifests."""
    town = Host(tmp_path, seed=1, families=2, hooks_url="http://127.0.0.1:1")
    sources = {name: vendor.city_settings("http://127.0.0.1:2") for name, vendor in town.world.simulators.items()}
    loaded = Loaded(Settings(connectors={name: Source(**settings) for name, settings in sources.items()}), {})
    assert check_connectors(loaded, catalogue.connectors()) == []
    assert set(sources) == set(catalogue.connectors())


@every_connector
def test_folder_holds_what_it_should(connector: Connector) -> None:
    """A connector is one folder with the same files as every other."""
    base: Path = catalogue.folder(connector)
    for name in ("connector.toml", "source.py", "model.py", "mapping.py", "simulator.py"):
        assert (base / name).is_file()

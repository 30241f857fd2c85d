"""What is told of a partition or a source is told by whoever has it, from the first moment on, and by nobody else."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from databases import store_in
from faust.types import TP
from prometheus_client.parser import text_string_to_metric_families

from hub import catalogue
from hub.config import Settings
from hub.kafka.worker import Worker
from hub.model.errors import Cause
from hub.roles.deliver import _Sinks
from hub.roles.worker import Watching
from hub.telemetry import Telemetry
from hub.telemetry.events import ParkedChanged, ProductSwitched, SourceAway, SourceGivenBack, SourcePolled, SourceTaken
from hub.telemetry.server import serve

RAW = TP("raw.chrono", 3)
PUBLISHED = "hub_dataset_published_timestamp_seconds"


@pytest.fixture
def telemetry() -> Telemetry:
    """Tell it to nobody."""
    return Telemetry("normalise", ["chrono"], stream=StringIO())


def value(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    """Read one series."""
    return telemetry.registry.get_sample_value(name, labels)


class Stuck:
    """Work of which nothing is ever done."""

    group = "g"
    topics = (RAW.topic,)

    def lane(self, tp: TP) -> Any:
        return tp

    def leading(self, tp: TP) -> bool:
        return False

    def held(self, lane: Any) -> bool:
        return False

    async def fold(self, lane: Any, committed: Mapping[TP, int]) -> None:
        return

    async def carry_out(self, lane: Any, batch: Any) -> None:
        await asyncio.Event().wait()


class Ends:
    async def committed(self, group: str, tps: Any) -> dict[TP, int]:
        return {}

    async def ends(self, tps: Any) -> dict[TP, int]:
        return {}


def test_a_partition_of_which_nothing_is_done_lags_and_one_that_is_gone_does_not(telemetry: Telemetry) -> None:
    """A lane that is stuck from the start is seen; after a rebalance only the new owner tells."""
    watching = Watching(cast(Any, SimpleNamespace(telemetry=telemetry)))

    async def scenario() -> None:
        options = {"broker": "kafka://127.0.0.1:1", "datadir": "/nonexistent"}
        worker = Worker(cast(Any, Stuck()), options, watching, Ends())
        consumer = SimpleNamespace(
            highwater=lambda _: 12, pause_partitions=lambda _: None, resume_partitions=lambda _: None
        )
        worker.app = SimpleNamespace(consumer=consumer)
        await worker._assigned(None, [RAW])
        stamp = int((time.time() - 300) * 1000)
        worker._put(RAW, [cast(Any, SimpleNamespace(offset=offset, timestamp=stamp)) for offset in (5, 6)])
        await worker._commit()
        labels = {"topic": RAW.topic, "partition": "3"}
        assert value(telemetry, "hub_lag_records", **labels) == 7
        assert 299 < (value(telemetry, "hub_lag_seconds", **labels) or 0) < 310
        ParkedChanged("chrono", 3, 1, 1000.0).emit(telemetry)
        await worker._assigned(None, [])
        for name in ("hub_lag_records", "hub_lag_seconds", "hub_offset_committed"):
            assert value(telemetry, name, **labels) is None
        for name in ("hub_parked_subjects", "hub_parked_oldest_timestamp_seconds"):
            assert value(telemetry, name, product="chrono", partition="3") is None
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    asyncio.run(scenario())


def test_a_source_that_is_never_read_well_is_silent_since_it_was_taken(telemetry: Telemetry) -> None:
    """The alert needs a moment to count from; one that is another's is nobody's silence here."""
    name = "hub_source_last_good_poll_timestamp_seconds"
    assert value(telemetry, name, product="chrono") is None
    SourceTaken("chrono", 5_000).emit(telemetry)
    SourceAway("chrono", Cause.CREDENTIALS, "status 401", 3.0, 1).emit(telemetry)
    assert value(telemetry, name, product="chrono") == 5
    SourcePolled("chrono", 1, 9_000).emit(telemetry)
    assert value(telemetry, name, product="chrono") == 9
    SourceGivenBack("chrono").emit(telemetry)
    SourceGivenBack("chrono").emit(telemetry)
    assert value(telemetry, name, product="chrono") is None
    assert value(telemetry, "hub_waiting_seconds", what="chrono") is None


def test_a_scrape_may_ask_for_some_metrics_only(telemetry: Telemetry) -> None:
    """By the parameter that Prometheus clients have for it; what does not exist is not there."""
    SourceTaken("chrono", 1_000_000).emit(telemetry)
    served = serve(telemetry, "127.0.0.1", 0, lambda: (True, ""), lambda: (True, ""))
    try:

        def names(query: str) -> set[str]:
            text = httpx.get(f"http://127.0.0.1:{served.port}/metrics{query}").text
            return {family.name for family in text_string_to_metric_families(text)}

        gauge = "hub_source_last_good_poll_timestamp_seconds"
        assert names(f"?name[]={gauge}&name[]=hub_nothing") == {gauge}
        assert names("") > {gauge, "hub_source_polls"}
    finally:
        served.close()


def test_a_pause_says_who_and_why_for_as_long_as_it_lasts(telemetry: Telemetry) -> None:
    """One series per product that is paused, of the pause that holds, and none of one that goes on."""
    name, why = "hub_product_paused_timestamp_seconds", "23 of 100 records rejected within 60 s"
    ProductSwitched("chrono", True, "breaker", why, 5_000).emit(telemetry)
    assert value(telemetry, name, product="chrono", who="breaker", why=why) == 5
    ProductSwitched("koha", True, "mm", "moves", 6_000).emit(telemetry)
    ProductSwitched("chrono", True, "ab", "a new mapping", 7_000).emit(telemetry)
    assert value(telemetry, name, product="chrono", who="breaker", why=why) is None
    assert value(telemetry, name, product="chrono", who="ab", why="a new mapping") == 7
    assert value(telemetry, "hub_product_paused", product="chrono") == 1
    ProductSwitched("chrono", False, "ab", "mended", 8_000).emit(telemetry)
    assert value(telemetry, "hub_product_paused", product="chrono") == 0
    left = [
        sample.labels for family in telemetry.registry.collect() for sample in family.samples if sample.name == name
    ]
    assert left == [{"product": "koha", "who": "mm", "why": "moves"}]


def test_a_restart_does_not_make_a_dataset_look_new(telemetry: Telemetry, tmp_path: Path) -> None:
    """What changed last stands in its log."""
    store = store_in(tmp_path)
    settings = Settings.model_validate({"open_data": {"folder": tmp_path / "opendata"}})
    runtime = SimpleNamespace(settings=settings, schemas=catalogue.schemas(), telemetry=telemetry)
    _Sinks(cast(Any, runtime), store, cast(Any, None))._turns["open_data"]["open_data"](threading.Event())
    written = [value(telemetry, PUBLISHED, dataset=name) for name in ("perturbations", "prets")]
    assert all(time.time() - (at or 0) < 60 for at in written)
    time.sleep(0.002)
    _Sinks(cast(Any, runtime), store, cast(Any, None))._turns["open_data"]["open_data"](threading.Event())
    assert written == [value(telemetry, PUBLISHED, dataset=name) for name in ("perturbations", "prets")]
    store.close()


def test_portals_go_with_the_files_that_they_publish(telemetry: Telemetry, tmp_path: Path) -> None:
    """One lease: another process would not know what was written."""
    store = store_in(tmp_path)
    there = {"folder": tmp_path / "opendata", "ckan": {"url": "https://data.example"}}
    runtime = SimpleNamespace(
        settings=Settings.model_validate({"open_data": there}), schemas=catalogue.schemas(), telemetry=telemetry
    )
    sinks = _Sinks(cast(Any, runtime), store, cast(Any, None))
    assert sinks.names == ["housekeeping", "notices", "open_data", "relay"]
    sinks._turns = {name: dict.fromkeys(turns, lambda _halt: 60.0) for name, turns in sinks._turns.items()}
    sinks.taken("open_data", {})
    assert sorted(thread.name for thread in sinks._threads["open_data"]) == ["ckan", "open_data"]
    sinks.given_back("open_data")
    assert not sinks._threads
    store.close()

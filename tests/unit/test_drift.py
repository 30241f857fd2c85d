"""What a vendor changes is told by place, and never by value."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hub import catalogue
from hub.pipeline.decode import DECODERS
from hub.pipeline.drift import OTHER, PATIENCE, TOLD, Change, Drift, Kind

SAMPLES: list[Any] = [
    {"id": 1, "event": {"at": "x", "note": None}, "list": [{"a": 1}]},
    {"id": 2, "event": {"at": "y", "note": "z"}, "list": []},
]


def test_what_samples_show_is_no_change() -> None:
    """Each kind that a sample has, and a list that is empty."""
    drift = Drift(SAMPLES)
    assert [drift.look(sample) for sample in SAMPLES] == [[], []]


def test_a_new_place_is_told_without_what_lies_below() -> None:
    """An object that nobody knows is one change."""
    assert Drift(SAMPLES).look({**SAMPLES[0], "extra": {"a": {"b": 1}}}) == [Change("extra", Kind.NEW)]


def test_another_kind_is_told() -> None:
    """A number that became a text, inside a list too."""
    changed = {**SAMPLES[0], "id": "1", "list": [{"a": "1"}]}
    assert set(Drift(SAMPLES).look(changed)) == {Change("id", Kind.CHANGED), Change("list[].a", Kind.CHANGED)}


def test_what_is_always_there_is_gone_when_it_stays_away() -> None:
    """Not for one record, and no more once it is back."""
    drift = Drift(SAMPLES)
    without = {"id": 1, "list": []}
    assert [drift.look(without) for _ in range(PATIENCE - 1)] == [[]] * (PATIENCE - 1)
    assert drift.look(without) == [Change("event", Kind.GONE)]
    assert drift.look(SAMPLES[0]) == []
    assert drift.look(without) == []


def test_in_xml_one_is_as_good_as_several() -> None:
    """Nothing tells an element that may repeat from one that does."""
    drift = Drift([{"loans": {"loan": {"item": "1"}}}], repeats=True)
    assert drift.look({"loans": {"loan": [{"item": "1"}, {"item": None}]}}) == []


def test_a_place_that_was_always_empty_may_be_of_any_kind() -> None:
    """Samples without a value for it say nothing of what it will be."""
    assert Drift([{"email": None}]).look({"email": "x"}) == []


def test_prefixes_are_no_names() -> None:
    """Another prefix for the same namespace is no change."""
    assert Drift([{"soap:Envelope": {"@xsi:type": "x"}}]).look({"s:Envelope": {"@i:type": "y"}}) == []


def test_keys_that_are_data_are_one_place() -> None:
    """A table by code grows no new places, whatever the codes; a key that is no name is a star."""
    drift = Drift([{"SEM_3100": {"type": "x"}}])
    assert drift.look({"SEM_77": {"type": "y"}}) == []
    assert drift.look({"durand@exemple.invalid": {"type": "y"}}) == [Change("*", Kind.NEW)]


@given(st.lists(st.text(alphabet="abcdefghij", min_size=3, max_size=8), min_size=TOLD + 1, max_size=90, unique=True))
def test_places_are_bounded(names: list[str]) -> None:
    """However many a vendor invents, so many are told apart."""
    drift = Drift([{"id": 1}])
    told = {change.path for name in names for change in drift.look({"id": 1, name: 1})}
    assert len(told) <= TOLD + 1
    assert OTHER in told


def test_the_samples_of_each_feed_say_how_it_looks() -> None:
    """Whoever connects a vendor writes samples: nothing else has to be kept up."""
    for connector in catalogue.connectors().values():
        for feed in connector.feeds.values():
            documents = list(catalogue.good_samples(connector, feed))
            assert documents, f"{connector.product}.{feed.name}"
            drift = Drift(documents)
            assert all(drift.look(document) == [] for document in documents)
            assert feed.manifest.content_type in DECODERS

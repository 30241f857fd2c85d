"""SIRI: an incident is one, whatever its messages are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hub import catalogue
from hub.model.decision import Deliver, Skip
from hub.pipeline.process import process
from hub.testing.samples import READ_AT, record

CONNECTOR = catalogue.connectors()["siri_sx"]
SAMPLES = catalogue.folder(CONNECTOR) / "samples"
AT = int(READ_AT.timestamp() * 1000)


def hear(paths: list[Path]) -> list[Any]:
    """Decide deliveries one after another; return type and code of what was told, or why nothing was."""
    state: bytes | None = None
    heard: list[Any] = []
    for number, path in enumerate(paths):
        said = record(CONNECTOR, path.parent.name, path.read_bytes(), offset=number)._replace(read_at=AT + number)
        outcome = process(said, CONNECTOR, catalogue.schemas(), state)
        state = outcome.state if outcome.state is not None else state
        for one in outcome.decisions:
            if isinstance(one, Deliver):
                heard.append((one.event.type.rpartition(".")[2], one.event.payload.disruption_id))  # type: ignore[attr-defined]
            else:
                heard.append(one.reason if isinstance(one, Skip) else one)
    return heard


INCIDENT = sorted(SAMPLES.glob("situations/incident_*.xml"))


def test_an_incident_of_four_messages_is_told_as_one() -> None:
    """The version repeats with other contents, the moment of creation runs backwards, the number changes at the end."""
    code = "5a7cf4f0-0000-4000-8000-f38697968b53"
    kinds = ("DisruptionPublished", "DisruptionUpdated", "DisruptionUpdated", "DisruptionEnded")
    assert hear(INCIDENT) == [(kind, code) for kind in kinds]


@given(st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_each_message_may_come_again(again: list[int]) -> None:
    """A producer that repeats itself tells nothing new."""
    repeated = [path for path, times in zip(INCIDENT, again, strict=True) for _ in range(times + 1)]
    assert [one for one in hear(repeated) if isinstance(one, tuple)] == hear(INCIDENT)


def test_the_end_of_the_former_is_not_the_end_of_the_next() -> None:
    """It may still stand in deliveries, under its strange number, when the same line is disturbed again."""
    again = SAMPLES / "situations" / "opened_again.xml"
    assert hear([*INCIDENT, again, INCIDENT[3]])[-2:] == [
        ("DisruptionPublished", "5a7cf4f0-0000-4000-8000-f38697968b53"),
        "unchanged",
    ]

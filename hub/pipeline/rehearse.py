"""What a release would do, found out by doing it on copies: the same code, and nothing is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hub.model.command import Command, Kind
from hub.model.connector import Connector
from hub.model.decision import Deliver, Quarantine
from hub.model.errors import Code
from hub.model.event import Event
from hub.model.record import Origin
from hub.pipeline.parking import Held, Partition, State, decide
from hub.pipeline.process import Encoder, process


@dataclass
class Rehearsal:
    """The effects of releasing some keys."""

    records: int = 0
    """Records that were looked at."""
    released: int = 0
    dropped: int = 0
    superseded: int = 0
    waiting: int = 0
    """Records that would wait on."""
    events: list[Event] = field(default_factory=list)
    rejected: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """What is still rejected, by code, detail and fields."""


def rehearse(
    waiting: Mapping[bytes, Mapping[int, Held]],
    states: Mapping[bytes, State],
    connector: Connector,
    schemas: Encoder,
    *,
    drop: Iterable[int] = (),
) -> Rehearsal:
    """Release every key of `waiting` (one partition's, with all that waits for each) on copies."""
    found = Rehearsal()
    dropped = tuple(drop)
    for key, held in waiting.items():
        partition = Partition(states=dict(states), waiting={key: dict(held)})
        last = max(held, default=0)
        origin = Origin("", 0, 0, last + 1)
        command = Command("", Kind.RELEASE, key, "", "", origin, drop=dropped)
        decided = decide([command], partition, connector, schemas)
        (report,) = decided.reports
        found.records += len(held)
        found.released += report.released
        found.dropped += report.dropped
        found.superseded += report.superseded
        found.waiting += report.waiting
        found.events += [d.event for d in decided.decisions if isinstance(d, Deliver)]
        for offset in report.rejected:
            known = partition.states.get(key)
            again = process(held[offset].now, connector, schemas, known.value if known is not None else None)
            for decision in again.decisions:
                if isinstance(decision, Quarantine):
                    found.rejected[decision.code, decision.detail, ", ".join(decision.fields)] += 1
    return found


def refusal(held: Held, connector: Connector, schemas: Encoder, edit: bytes, state: bytes | None) -> Quarantine | None:
    """Return why a corrected copy would be rejected before its fields were even looked at; None: it can be kept."""
    outcome = process(held._replace(edit=edit).now, connector, schemas, state)
    first = outcome.decisions[0]
    if isinstance(first, Quarantine) and first.code in (Code.UNDECODABLE, Code.TOO_LARGE, Code.UNROUTABLE):
        return first
    return None

"""Decisions: what `process` says should happen; the worker carries them out, in order."""

from __future__ import annotations

from dataclasses import dataclass

from hub.model.errors import Code, Stage
from hub.model.event import Event
from hub.model.record import Record


@dataclass(frozen=True, slots=True)
class Deliver:
    """Write the event to the topic of its domain."""

    event: Event


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Keep the original bytes with the reason; nothing of the record is delivered."""

    record: Record
    code: Code
    stage: Stage
    detail: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Skip:
    """Nothing to do, and why: a short stable word, used as a metric label."""

    record: Record
    reason: str


Decision = Deliver | Quarantine | Skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that one record causes: at least one decision, and the new memory of its key."""

    decisions: tuple[Decision, ...]
    state: bytes | None = None
    """New state of (product, key) for a feed with memory; None: unchanged."""

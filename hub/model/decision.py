"""Decisions: what `process` says should happen; the worker carries them out, in order."""

from __future__ import annotations

from typing import NamedTuple

from hub.model.errors import Code, Stage
from hub.model.event import Event
from hub.model.record import Record


class Deliver(NamedTuple):
    """Write the event to the topic of its domain."""

    event: Event
    again: bool = False
    """It is told late, by a release or a replay: nobody is notified."""


class Quarantine(NamedTuple):
    """Keep the original bytes with the reason; nothing of the record is delivered."""

    record: Record
    code: Code
    stage: Stage
    detail: str
    fields: tuple[str, ...] = ()


class Skip(NamedTuple):
    """Nothing to do, and why: a short stable word, used as a metric label."""

    record: Record
    reason: str


Decision = Deliver | Quarantine | Skip


class Outcome(NamedTuple):
    """All that one record causes: at least one decision, and the new memory of its key."""

    decisions: tuple[Decision, ...]
    state: bytes | None = None
    """New state of (product, key) for a feed with memory; None: unchanged."""

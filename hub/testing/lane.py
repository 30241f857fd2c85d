"""One raw key: its records in the order of their arrival, what they leave behind, and what follows from them."""

from __future__ import annotations

from hub import catalogue
from hub.model.decision import Decision, Deliver, Quarantine, Skip
from hub.model.errors import Code
from hub.model.event import Event
from hub.model.intake import Emit
from hub.model.record import Origin, Record
from hub.pipeline.process import process


class Lane:
    """Decides what a source emits, as normalise would if nothing else were on its partition."""

    def __init__(self, product: str) -> None:
        """Begin without memory."""
        self.product = product
        self.state: bytes | None = None
        self.events: list[Event] = []
        self.decisions: list[tuple[Decision, ...]] = []

    def take(self, emit: Emit) -> list[Event]:
        """Decide one record; return its events."""
        offset = len(self.decisions)
        record = Record(
            self.product,
            emit.feed,
            emit.key.encode(),
            emit.value,
            emit.raw_id or f"poll-{emit.answer or offset}",
            emit.read_at,
            Origin(f"raw.{self.product}", 1, 0, offset),
        )
        outcome = process(record, catalogue.connectors()[self.product], catalogue.schemas(), self.state)
        self.state = outcome.state if outcome.state is not None else self.state
        self.decisions.append(outcome.decisions)
        fresh = [decision.event for decision in outcome.decisions if isinstance(decision, Deliver)]
        self.events += fresh
        return fresh

    @property
    def code(self) -> Code | None:
        """Why the last record was set aside, if it was."""
        (decision, *_) = self.decisions[-1]
        return decision.code if isinstance(decision, Quarantine) else None

    @property
    def reason(self) -> str | None:
        """Why the last record was skipped, if it was."""
        (decision, *_) = self.decisions[-1]
        return decision.reason if isinstance(decision, Skip) else None

"""What a patron has reserved, against what was known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from connectors.sources.library.ils_di import model
from connectors.sources.library.ils_di.entries import Entries, moment_of, order
from hub.model.connector import Context
from hub.model.event import Fact
from schemas.models.library import HoldPlaced, HoldReady

State = Mapping[str, Any]


def waiting_holds(had: Entries, holds: Entries, listed: Iterable[model.Hold], context: Context) -> Iterator[Fact]:
    """Yield what was placed, and what can be fetched."""
    for item in sorted(listed, key=lambda item: order(item.reservenumber)):
        name = item.reservenumber
        hold, known = holds[name], had.get(name)
        if known is None:
            placed = HoldPlaced(**reservation(name, hold), priority=hold["priority"])
            yield Fact(placed, context.key, moment_of(item.reservedate, context), name)
        if hold["ready"] and not (known is not None and known["ready"]):
            ready = HoldReady(**reservation(name, hold), until=item.expirationdate)
            yield Fact(ready, context.key, moment_of(item.waitingdate, context), name)


def hold_of(hold: model.Hold) -> State:
    """Return a hold as it is remembered."""
    # An item in transit has priority 0 too, and waits for nobody yet.
    ready = hold.found == "W" if hold.found else hold.waitingdate is not None or hold.priority == 0
    return {
        "record": hold.biblionumber,
        "branch": hold.branchcode,
        "priority": hold.priority or 0,
        "ready": ready,
    }


def reservation(name: str, hold: State) -> dict[str, Any]:
    """Return what every event of a hold says."""
    return {"hold_id": name, "record_id": hold["record"], "branch": hold["branch"]}

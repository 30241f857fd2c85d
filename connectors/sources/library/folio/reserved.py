"""What a patron has reserved, against what was known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.sources.library.folio import model
from connectors.sources.library.folio.patron import begin, moment_of, whole
from hub.model.connector import Context, Mapped
from hub.model.event import Fact
from hub.pipeline.diff import diff
from schemas.models.library import HoldCancelled, HoldPlaced, HoldReady

State = Mapping[str, Any]


def requests(previous: State | None, answer: model.Requests, context: Context) -> tuple[State, Mapped]:
    """Compare what the patron reserved with what was known; a request that was filled is not cancelled."""
    read_at, state = begin(previous, context)
    if read_at < state["requests_read"]:
        return state, "stale"
    whose = {one.requester_id for one in answer.requests}
    whole(answer.total, [one.id for one in answer.requests], whose, context)
    had, has = state["requests"], {}
    facts: list[Fact] = []
    for one in sorted(answer.requests, key=lambda one: one.id):
        if one.status.startswith("Closed"):
            continue
        known = had.get(one.id)
        has[one.id] = request = {
            "record": one.instance_id,
            "branch": one.point.code if one.point is not None else "",
            "ready": one.status == "Open - Awaiting pickup",
        }
        if known is None:
            placed = HoldPlaced(**_reserved(one.id, request), priority=one.position or 0)
            facts.append(Fact(placed, context.key, moment_of(one.requested, context), one.id))
        if request["ready"] and not (known is not None and known["ready"]):
            until = one.until.astimezone(context.zone).date() if one.until is not None else None
            written = one.metadata.updated if one.metadata is not None else None
            ready = HoldReady(**_reserved(one.id, request), until=until)
            facts.append(Fact(ready, context.key, moment_of(written, context), one.id))
    filled = {one.id for one in answer.requests if one.status == "Closed - Filled"}
    closed = {one.id for one in answer.requests if one.status.startswith("Closed")}
    # One that was ready and is not listed any more was fetched, most likely.
    given_up = [
        name for name in diff(had, has).removed if name not in filled and (name in closed or not had[name]["ready"])
    ]
    facts += [
        Fact(HoldCancelled(**_reserved(name, had[name])), context.key, context.read_at, name) for name in given_up
    ]
    return {**state, "requests_read": read_at, "requests": has}, facts


def _reserved(name: str, request: State) -> dict[str, Any]:
    return {"hold_id": name, "record_id": request["record"], "branch": request["branch"]}

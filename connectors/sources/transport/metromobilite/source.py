"""Reads the snapshot of disruptions, as it is."""

from __future__ import annotations

from collections.abc import Mapping

from hub.model.errors import Transient
from hub.model.intake import Answer, Cursor, Emit, Get, Intake

ORIGIN = "https://www.reso-m.fr"


def poll(cursor: Cursor, settings: Mapping[str, str]) -> Intake:  # noqa: ARG001
    """Ask once; an answer that is not a snapshot is not written, whatever else goes on as it came."""
    answer: Answer = yield Get("/dyn/evtTC/json", headers={"Origin": settings.get("origin") or ORIGIN})
    if not answer.ok:
        # There is nothing else to ask: time, or whoever runs the hub, must put it right.
        raise Transient(f"status {answer.status}")
    yield Emit(
        feed="evtTC",
        key="metromobilite:evtTC",
        value=answer.body,
        read_at=answer.started_at,
        content_type="application/json",
        answer=answer.id,
    )

"""Reads the collection, as it is."""

from __future__ import annotations

from collections.abc import Mapping

from hub.model.errors import Transient
from hub.model.intake import Answer, Cursor, Emit, Get, Intake


def poll(cursor: Cursor, settings: Mapping[str, str]) -> Intake:  # noqa: ARG001
    """Ask once."""
    answer: Answer = yield Get(settings["path"])
    if not answer.ok:
        raise Transient(f"status {answer.status}")
    yield Emit(
        feed="parkings",
        key="parking:parkings",
        value=answer.body,
        read_at=answer.started_at,
        content_type="application/json",
        answer=answer.id,
    )

"""Reads the messages as they are."""

from __future__ import annotations

from collections.abc import Mapping

from hub.model.errors import Transient
from hub.model.intake import Answer, Cursor, Emit, Get, Intake

FEEDS = ("alerts", "trip_updates")


def poll(cursor: Cursor, settings: Mapping[str, str]) -> Intake:  # noqa: ARG001
    """Ask for each feed that has a path; one that is refused does not keep the other from being read."""
    refused: list[str] = []
    for feed in FEEDS:
        if not settings.get(feed):
            continue
        answer: Answer = yield Get(settings[feed], headers={"Accept": "application/x-protobuf"})
        if not answer.ok:
            refused.append(f"{feed}: status {answer.status}")
            continue
        yield Emit(
            feed=feed,
            key=f"gtfs_rt:{feed}",
            value=answer.body,
            read_at=answer.started_at,
            content_type="application/x-protobuf",
            answer=answer.id,
        )
    if refused:
        raise Transient("; ".join(refused))

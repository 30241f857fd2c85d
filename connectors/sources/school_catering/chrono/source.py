"""Asks for the bookings of linked children, and takes callbacks as they come."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hub.model.errors import TooLarge, Transient, Undecodable
from hub.model.intake import Answer, Call, Cursor, Emit, Get, Intake, Refusal, Subjects
from hub.pipeline.decode import json

_NAME = re.compile(r"[\x21-\x7e]{1,150}")


def poll(cursor: Cursor, settings: Mapping[str, str]) -> Intake:  # noqa: ARG001
    """Ask for each linked child, and for nobody else; the body goes on as it came."""
    children: list[str] = yield Subjects("chrono")
    for child in children:
        answer: Answer = yield Get("/api/bookings/", params={"user_external_id": child})
        if 300 <= answer.status < 400:
            raise Transient(f"status {answer.status}: sent elsewhere, to a login page perhaps")
        # A 4xx about one child goes on too: it is set aside, visibly, and the other children are asked.
        yield Emit(
            feed="bookings",
            key=f"chrono:{child}",
            value=answer.body,
            read_at=answer.started_at,
            content_type="application/json",
            answer=answer.id,
        )


def receive(call: Call) -> Emit | Refusal:
    """Find the child, whose records stay in order, and the message's own id, under which it counts once."""
    if call.feed != "callback":
        return Refusal(404, "no such feed")
    try:
        message = json(call.body)
    except TooLarge:
        return Refusal(413, "body: too large")
    except Undecodable:
        return Refusal(400, "body: not JSON")
    if not isinstance(message, dict):
        return Refusal(422, "body: not an object")
    booking = message.get("booking")
    child = booking.get("user_external_id") if isinstance(booking, dict) else None
    for name, value in (("id", message.get("id")), ("booking.user_external_id", child)):
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            return Refusal(422, f"{name}: missing, or not an id")
    sent_as = {name.lower(): value for name, value in call.headers.items()}.get("x-request-id", "")
    return Emit(
        feed="callback",
        key=f"chrono:{child}",
        value=call.body,
        read_at=call.received_at,
        content_type="application/json",
        raw_id=message["id"],
        answer=sent_as if _NAME.fullmatch(sent_as) else message["id"],
    )

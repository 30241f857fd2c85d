"""Asks Koha about linked patrons, and takes its notices as they come."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hub.model.errors import TooLarge, Transient, Undecodable
from hub.model.intake import Answer, Call, Cursor, Emit, Get, Intake, Refusal, Subjects
from hub.pipeline.decode import json

_ID = re.compile(r"[0-9]{1,18}")


def poll(cursor: Cursor, settings: Mapping[str, str]) -> Intake:  # noqa: ARG001
    """Ask what each patron has and has reserved; the answer goes on as it came."""
    patrons: list[str] = yield Subjects("koha")
    answered = False
    for patron in patrons:
        for feed in ("checkouts", "holds"):
            answer: Answer = yield Get(f"/api/v1/{feed}", params={"patron_id": patron, "_per_page": "-1"})
            if 300 <= answer.status < 400:
                raise Transient(f"status {answer.status}: sent elsewhere, to a login page perhaps")
            if not answer.ok:
                continue  # Nothing was said about this patron; the others are asked all the same.
            answered = True
            yield Emit(
                feed=feed,
                key=f"koha:{patron}",
                value=answer.body,
                read_at=answer.started_at,
                content_type="application/json",
                answer=answer.id,
            )
    if patrons and not answered:
        raise Transient("every patron is refused")


def receive(call: Call) -> Emit | Refusal:
    """Find the patron, whose records stay in order, and the message's number, under which it counts once."""
    if call.feed != "notice":
        return Refusal(404, "no such feed")
    try:
        message = json(call.body)
    except TooLarge:
        return Refusal(413, "body: too large")
    except Undecodable:
        return Refusal(400, "body: not JSON")
    if not isinstance(message, dict):
        return Refusal(422, "body: not an object")
    ids = {name: str(message.get(name, "")) for name in ("message_id", "patron_id")}
    for name, value in ids.items():
        if not _ID.fullmatch(value):
            return Refusal(422, f"{name}: missing, or not an id")
    sent_as = {name.lower(): value for name, value in call.headers.items()}.get("x-request-id", "")
    return Emit(
        feed="notice",
        key=f"koha:{ids['patron_id']}",
        value=call.body,
        read_at=call.received_at,
        content_type="application/json",
        raw_id=ids["message_id"],
        answer=sent_as if re.fullmatch(r"[\x21-\x7e]{1,150}", sent_as) else ids["message_id"],
    )

"""Takes the messages of the portal and of the desk as they come: only what names the record is looked at here."""

from __future__ import annotations

import re

from hub.model.errors import TooLarge, Undecodable
from hub.model.intake import Call, Emit, Refusal
from hub.pipeline.decode import json

_NAME = re.compile(r"[\x21-\x7e]{1,150}")


def receive(call: Call) -> Emit | Refusal:
    """Find the citizen, whose messages stay in order, and the message's own id, under which it counts once."""
    if call.feed not in ("request", "decision", "household"):
        return Refusal(404, "no such feed")
    try:
        message = json(call.body)
    except TooLarge:
        return Refusal(413, "body: too large")
    except Undecodable:
        return Refusal(400, "body: not JSON")
    if not isinstance(message, dict):
        return Refusal(422, "body: not an object")
    for name in ("id", "citizen"):
        if not isinstance(message.get(name), str) or not _NAME.fullmatch(message[name]):
            return Refusal(422, f"{name}: missing, or not an id")
    sent_as = {name.lower(): value for name, value in call.headers.items()}.get("x-request-id", "")
    return Emit(
        feed=call.feed,
        # Uuids are the same in capitals: two keys for one citizen would lose the order.
        key=f"publik:{message['citizen'].lower()}",
        value=call.body,
        read_at=call.received_at,
        content_type="application/json",
        raw_id=message["id"].lower(),
        answer=sent_as if _NAME.fullmatch(sent_as) else message["id"].lower(),
    )

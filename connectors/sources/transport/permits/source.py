"""Takes copies of requests, and decisions, as they are handed on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hub.model.errors import Rejected, TooLarge
from hub.model.intake import Call, Emit, Refusal
from hub.pipeline import decode
from hub.pipeline.soap import bare

_NAME = re.compile(r"[\x21-\x7e]{1,64}")
TYPES = {"park_card": "application/xml", "decision": "application/json"}


def receive(call: Call) -> Emit | Refusal:
    """Find the permit, whose records stay in order, and the message's own number, under which it counts once."""
    if call.feed not in TYPES:
        return Refusal(404, "no such feed")
    try:
        document = decode.DECODERS[TYPES[call.feed]](call.body)
    except TooLarge:
        return Refusal(413, "body: too large")
    except Rejected:
        return Refusal(400, "body: not XML" if call.feed == "park_card" else "body: not JSON")
    found = _numbers(call.feed, document)
    for name, value in found.items():
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            return Refusal(422, f"{name}: missing, or not a number of ours")
    numbers = [*found.values()]
    permit, message = numbers[0], numbers[-1]
    sent_as = {name.lower(): value for name, value in call.headers.items()}.get("x-request-id", "")
    return Emit(
        feed=call.feed,
        key=f"permits:{permit}",
        value=call.body,
        read_at=call.received_at,
        content_type=TYPES[call.feed],
        raw_id=f"{call.feed}:{message}",
        answer=sent_as if re.fullmatch(r"[\x21-\x7e]{1,150}", sent_as) else message,
    )


def _numbers(feed: str, document: Any) -> Mapping[str, Any]:
    """Return the permit's number, and the message's."""
    if feed == "park_card":
        request = bare(document).get("ParkCardRequest") if isinstance(document, dict) else None
        return {"ParkCardRequest.Id": request.get("Id") if isinstance(request, dict) else None}
    found = document if isinstance(document, dict) else {}
    return {"permit": found.get("permit"), "id": found.get("id")}

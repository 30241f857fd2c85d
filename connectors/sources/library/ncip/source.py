"""Takes copies of messages as they come: only the item is looked at here."""

from __future__ import annotations

import re

from pydantic import ValidationError

from connectors.sources.library.ncip.model import Item, opened
from hub.model.errors import TooLarge, Undecodable
from hub.model.intake import Call, Emit, Refusal
from hub.pipeline.decode import xml

_NAME = re.compile(r"[\x21-\x7e]{1,150}")


def receive(call: Call) -> Emit | Refusal:
    """Find the item, whose messages stay in order."""
    if call.feed != "message":
        return Refusal(404, "no such feed")
    try:
        said = opened(xml(call.body))
    except TooLarge:
        return Refusal(413, "body: too large")
    except Undecodable:
        return Refusal(400, "body: not XML")
    found = next((part["ItemId"] for part in said.values() if isinstance(part, dict) and "ItemId" in part), None)
    try:
        item = Item.model_validate(found)
    except ValidationError:
        return Refusal(422, "NCIPMessage.*.ItemId: missing, or not an identifier")
    sent_as = {name.lower(): value for name, value in call.headers.items()}.get("x-request-id", "")
    return Emit(
        feed="message",
        key=f"ncip:{item.name}",
        value=call.body,
        read_at=call.received_at,
        content_type="application/xml",
        answer=sent_as if _NAME.fullmatch(sent_as) else None,
    )

"""Takes messages as they come: only the number of the demand is looked at here."""

from __future__ import annotations

import hashlib
import re

from pydantic import ValidationError

from connectors.sources.civil_registry.cityweb.model import Message, opened
from hub.model.errors import TooLarge, Undecodable
from hub.model.intake import Call, Emit, Refusal
from hub.pipeline.decode import xml

_NAME = re.compile(r"[\x21-\x7e]{1,150}")


def receive(call: Call) -> Emit | Refusal:
    """Find the demand that a message belongs to; what is wrong with the rest is seen in quarantine."""
    if call.feed != "message":
        return Refusal(404, "no such feed")
    try:
        document = xml(call.body)
    except TooLarge:
        return Refusal(413, "body: too large")
    except Undecodable:
        return Refusal(400, "body: not XML")
    try:
        # The numbers alone: a body that is not understood still belongs to its demand.
        plain = opened(document)
        numbers = Message.model_validate({name: plain.get(name) for name in ("MessageID", "RelatesTo")})
    except (ValidationError, ValueError):
        return Refusal(422, "MessageID, RelatesTo: not a number")
    number = numbers.RelatesTo or numbers.MessageID
    if number is None:
        return Refusal(422, "MessageID, RelatesTo: missing")
    sent_as = {name.lower(): value for name, value in call.headers.items()}.get("x-request-id", "")
    return Emit(
        feed="message",
        key=f"cityweb:{number}",
        value=call.body,
        read_at=call.received_at,
        content_type="application/xml",
        raw_id=f"{number}:{hashlib.sha256(call.body).hexdigest()[:32]}",
        answer=sent_as if _NAME.fullmatch(sent_as) else None,
    )

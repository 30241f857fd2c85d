"""Takes answers as they come, well-formed or not: what is wrong with one is seen in quarantine."""

from __future__ import annotations

import hashlib
import re

from pydantic import ValidationError

from connectors.sources.civil_registry.rnipp.model import Answer
from hub.model.errors import Rejected
from hub.model.intake import Call, Emit, Refusal
from hub.pipeline.decode import LARGEST, text

_NAME = re.compile(r"[\x21-\x7e]{1,150}")


def receive(call: Call) -> Emit | Refusal:
    """Find the question that an answer belongs to."""
    if call.feed != "answer":
        return Refusal(404, "no such feed")
    if len(call.body) > LARGEST:
        return Refusal(413, "body: too large")
    if not call.body.strip():
        return Refusal(400, "body: empty")
    whole = hashlib.sha256(call.body).hexdigest()[:32]
    try:
        question = Answer.model_validate(text(call.body)).request_id
    except (ValidationError, Rejected):
        question = f"unreadable-{whole}"
    sent_as = {name.lower(): value for name, value in call.headers.items()}.get("x-request-id", "")
    return Emit(
        feed="answer",
        key=f"rnipp:{question}",
        value=call.body,
        read_at=call.received_at,
        content_type="text/plain",
        raw_id=f"{question}:{whole}",
        answer=sent_as if _NAME.fullmatch(sent_as) else None,
    )

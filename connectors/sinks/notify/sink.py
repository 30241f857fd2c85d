"""Hand a message to the notification service, once: it knows our reference and is asked before a second try."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hub.model.errors import Transient
from hub.model.intake import Answer, Get, Post
from hub.model.sink import (
    Begin,
    Delivery,
    Later,
    Message,
    OptOut,
    Outcome,
    Receipt,
    Refused,
    Sent,
    opt_out,
    retry_after,
)

PATHS = {"mail": "/v2/notifications/email", "sms": "/v2/notifications/sms"}
UNDER_WAY = frozenset({"created", "sending", "pending", "sent", "accepted", "received", "pending-virus-check"})
"""The service has it and has not come to an end."""
DEAD = "permanent-failure"
"""Nothing will ever reach the address."""


def deliver(message: Message, settings: Mapping[str, str]) -> Delivery:
    """Ask first if a former try may have arrived; only then send."""
    if message.begun:
        asked: Answer = yield Get("/v2/notifications", params={"reference": message.id})
        status = _found(asked, message.id)
        if status is not None:
            return _became(status)
    yield Begin()
    answer: Answer = yield Post(PATHS[message.channel], body=_body(message, settings))
    if answer.ok:
        return Sent()
    if answer.status == 429 or answer.status >= 500:
        # It may have been taken all the same: the next try asks.
        raise Transient(f"status {answer.status}", retry_after=retry_after(answer))
    return Refused(f"status_{answer.status}")


def receive(body: bytes) -> Receipt | OptOut | None:
    """Read a call about a message's end, or about a short message that came in."""
    document = json.loads(body)
    if "source_number" in document:
        return opt_out(str(document["source_number"]), str(document["message"]))
    reference, status = document["reference"], document["status"]
    if not isinstance(reference, str) or not isinstance(status, str) or status in UNDER_WAY:
        return None
    outcome = _became(status)
    if isinstance(outcome, Refused):
        return Receipt(reference, arrived=False, code=outcome.code, bounced=outcome.bounced)
    return Receipt(reference, arrived=True, code="delivered")


def _found(answer: Answer, reference: str) -> str | None:
    """Return the status of the message with our reference, if the service has it."""
    if not answer.ok:
        raise Transient(f"status {answer.status}", retry_after=retry_after(answer))
    try:
        listed = answer.json()["notifications"]
        found = [one["status"] for one in listed if one["reference"] == reference]
    except (ValueError, KeyError, TypeError):
        raise Transient("the service does not say what it has") from None
    # One that failed on their side may stand beside the one that was sent in its place.
    return str(min(found, key=lambda status: status == "technical-failure")) if found else None


def _became(status: str) -> Outcome:
    if status in UNDER_WAY or status == "delivered":
        return Sent()
    if status == "technical-failure":
        return Later("technical_failure")
    return Refused(status.replace("-", "_")[:40] if status in _ENDS else "failed", bounced=status == DEAD)


_ENDS = frozenset({"temporary-failure", DEAD, "cancelled", "validation-failed", "virus-scan-failed"})


def _body(message: Message, settings: Mapping[str, str]) -> dict[str, Any]:
    if message.channel == "sms":
        return {
            "phone_number": message.address,
            "template_id": settings["template_sms"],
            "personalisation": {"body": message.text},
            "reference": message.id,
        }
    body: dict[str, Any] = {
        "email_address": message.address,
        "template_id": settings["template_email"],
        "personalisation": {"subject": message.subject, "body": message.text},
        "reference": message.id,
    }
    if message.unsubscribe is not None:
        body["one_click_unsubscribe_url"] = message.unsubscribe
    if settings.get("reply_to"):
        body["email_reply_to_id"] = settings["reply_to"]
    return body

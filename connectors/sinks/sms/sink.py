"""Send a short message at most once: a gateway cannot be asked, and two are worse than one that is told missing."""

from __future__ import annotations

import json
from collections.abc import Mapping

from hub.model.errors import Transient
from hub.model.intake import Answer, Post
from hub.model.sink import (
    Begin,
    Delivery,
    Later,
    Lost,
    Message,
    OptOut,
    Receipt,
    Refused,
    Sent,
    Unsure,
    opt_out,
    retry_after,
)

NOT_TAKEN = frozenset({429, 503})
"""Statuses that say that nothing was done; any other 5xx may come from something behind which it was."""
DEAD = "unknown_number"


def deliver(message: Message, settings: Mapping[str, str]) -> Delivery:
    """Send, unless a former try may have."""
    if message.begun:
        return Unsure("not_repeated")
    body = {"to": message.address, "sender": settings["sender"], "text": message.text, "reference": message.id}
    yield Begin()
    try:
        answer: Answer = yield Post("/messages", body=body)
    except Lost:
        return Unsure("answer_lost")
    except Transient as error:
        # Not even connected, or not let in: it is certain that nothing was sent.
        return Later("away", error.retry_after)
    if answer.ok:
        return Sent()
    if answer.status in NOT_TAKEN:
        return Later(f"status_{answer.status}", retry_after(answer))
    if answer.status >= 500:
        return Unsure(f"status_{answer.status}")
    return Refused(f"status_{answer.status}")


def receive(body: bytes) -> Receipt | OptOut | None:
    """Read a call about a message's end, or about an answer."""
    document = json.loads(body)
    if "status" not in document:
        return opt_out(str(document["from"]), str(document["text"]))
    reference, status = document["reference"], document["status"]
    if not isinstance(reference, str):
        return None
    if status == "delivered":
        return Receipt(reference, arrived=True, code="delivered")
    if status in ("undelivered", DEAD):
        return Receipt(reference, arrived=False, code=status, bounced=status == DEAD)
    return None

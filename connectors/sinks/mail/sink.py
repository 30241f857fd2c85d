"""Hand a message to the mail server; a repeated try is the same message to whoever receives it."""

from __future__ import annotations

from collections.abc import Mapping

from hub.model.errors import Transient
from hub.model.sink import Delivery, Later, Mail, Message, Refused, Reply, Sent

CLOSING = 421
"""The server as a whole takes nothing now; any other 4xx is about this message."""
DEAD = ("5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1")
"""No such mailbox, no such domain, moved away, switched off (RFC 3463)."""


def deliver(message: Message, _settings: Mapping[str, str]) -> Delivery:
    """Send once, and again after a crash: SMTP cannot be asked."""
    reply: Reply = yield Mail(message)
    if reply.status < 400:
        return Sent()
    if reply.status >= 500:
        return Refused(f"smtp_{reply.status}", bounced=reply.enhanced in DEAD)
    if reply.status == CLOSING:
        raise Transient(f"status {reply.status}")
    return Later(f"smtp_{reply.status}")

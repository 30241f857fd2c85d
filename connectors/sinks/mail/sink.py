"""Hand a message to the mail server; a repeated try is the same message to whoever receives it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email import message as mails
from email import message_from_bytes, message_from_string

from hub.model.errors import Transient
from hub.model.sink import Delivery, Later, Mail, Message, Receipt, Refused, Reply, Sent

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


OURS = re.compile(r"<([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})@")
STATUS = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")
ARRIVED = ("delivered", "relayed", "expanded")


def receive(body: bytes) -> Receipt | None:
    """Read a notification of a mail server (RFC 3464); None: any other mail to the sender, or that it tries on."""
    parts = list(message_from_bytes(body).walk())
    reports = [part for part in parts if part.get("Action") is not None]
    names = [found[1] for part in parts if (found := OURS.search(_original(part)))]
    if len(reports) != 1 or len(names) != 1:
        return None
    action = str(reports[0]["Action"]).strip().lower()
    found = STATUS.search(str(reports[0].get("Status", "")))
    status = found[0] if found else ""
    if action in ARRIVED:
        return Receipt(names[0], arrived=True, code=f"dsn_{status}")
    if action == "failed":
        return Receipt(names[0], arrived=False, code=f"dsn_{status}", bounced=status in DEAD)
    return None


def _original(part: mails.Message) -> str:
    """Return the id of the mail that a part of a notification repeats, whole or by its headers alone."""
    payload = part.get_payload()
    if part.get_content_type() == "message/rfc822" and isinstance(payload, list):
        return "".join(str(each.get("Message-ID", "")) for each in payload if isinstance(each, mails.Message))
    if part.get_content_type() in ("text/rfc822-headers", "message/rfc822-headers") and isinstance(payload, str):
        return str(message_from_string(payload).get("Message-ID", ""))
    return ""

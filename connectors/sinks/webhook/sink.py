"""Call the city's application, as often as it takes, always under the same id."""

from __future__ import annotations

import json
from collections.abc import Mapping

from hub.model.errors import Transient
from hub.model.intake import Answer, Post
from hub.model.sink import Delivery, Later, Message, Refused, Sent, Sign, retry_after

GONE = 410
WRONG = frozenset({400, 404, 405, 413, 415, 422})
"""The receiver understood and will never take this body."""


def deliver(message: Message, _settings: Mapping[str, str]) -> Delivery:
    """Sign and send; the receiver knows a repeated call by its id."""
    data = {"citizen": message.address, "topic": message.topic, "subject": message.subject, "text": message.text}
    body = json.dumps({"type": f"notice.{message.topic}", "data": data}, ensure_ascii=False).encode()
    signature: dict[str, str] = yield Sign(message.id, body)
    headers = {**signature, "content-type": "application/json"}
    answer: Answer = yield Post("", headers=headers, content=body)
    if answer.ok:
        return Sent()
    if answer.status == GONE:
        return Refused("gone", bounced=True)
    if answer.status in WRONG:
        return Refused(f"status_{answer.status}")
    if answer.status == 429 or answer.status >= 500:
        raise Transient(f"status {answer.status}", retry_after=retry_after(answer))
    return Later(f"status_{answer.status}")

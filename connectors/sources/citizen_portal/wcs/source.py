"""Takes what workflows push, and asks again for the forms that somebody is linked to."""

from __future__ import annotations

import re
from collections.abc import Mapping

from connectors.sources.citizen_portal.wcs.model import NAME, name_of
from hub.model.errors import TooLarge, Transient, Undecodable
from hub.model.intake import Answer, Call, Cursor, Emit, Get, Intake, Refusal, Subjects
from hub.pipeline.decode import json

_ID = re.compile(r"[\x21-\x7e]{1,150}")


def receive(call: Call) -> Emit | Refusal:
    """Find the form, whose steps stay in order."""
    if call.feed != "pushed":
        return Refusal(404, "no such feed")
    try:
        name = name_of(json(call.body))
    except TooLarge:
        return Refusal(413, "body: too large")
    except Undecodable:
        return Refusal(400, "body: not JSON")
    if name is None:
        return Refusal(422, "id: missing, or neither it nor url names the form")
    sent_as = call.headers.get("x-request-id", "")
    return Emit(
        feed="pushed",
        key=f"wcs:{name}",
        value=call.body,
        read_at=call.received_at,
        content_type="application/json",
        answer=sent_as if _ID.fullmatch(sent_as) else None,
    )


def poll(cursor: Cursor, settings: Mapping[str, str]) -> Intake:  # noqa: ARG001
    """Ask where each form stands; the answer goes on as it came."""
    names: list[str] = yield Subjects("wcs")
    forms = [name for name in names if NAME.fullmatch(name)]
    answered = False
    for name in forms:
        answer: Answer = yield Get(f"api/forms/{name}/")
        if 300 <= answer.status < 400:
            raise Transient(f"status {answer.status}: sent elsewhere, to a login page perhaps")
        # One that was deleted is not there any more; the others are asked for all the same.
        answered = answered or answer.ok or answer.status in (404, 410)
        if answer.ok:
            yield Emit(
                feed="form",
                key=f"wcs:{name}",
                value=answer.body,
                read_at=answer.started_at,
                content_type="application/json",
                answer=answer.id,
            )
    if forms and not answered:
        raise Transient("every form is refused")

"""Tell HubEE what was decided about a case: the status, then the event that tells of it.

A crash before the event leaves the status and no event: the next try finds both as they are, and only adds what is
missing.  What is not idempotent, the event, is looked for before it is made.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from hub.model.errors import Denied, Transient
from hub.model.intake import Answer, Get, Patch, Post
from hub.model.sink import Delivery, Message, Refused, Sent, Wish, retry_after

CLOSED = frozenset({"DONE", "REFUSED"})
PLAIN = frozenset("-0123456789ABCDEFabcdef")


def deliver(message: Message, settings: Mapping[str, str]) -> Delivery:
    """Set the status, then post the event; never back to what others have moved on from."""
    decided = message.payload or {}
    wanted, mark = decided["status"], f"decision={message.id}"
    if not set(decided["case"]) <= PLAIN:
        return Refused("no_case")
    path = f"/cases/{decided['case']}"
    headers = {
        "editorName": settings["editor_name"],
        "applicationName": settings["application_name"],
        "softwareVersion": settings["software_version"],
    }
    auth, case = yield from _find(path, headers, settings)
    if case is None:
        return Refused("no_case")
    events = [event for event in case.get("events") or () if isinstance(event, dict)]
    if any(event.get("partnerAttributes") == mark for event in events):
        return Sent()
    status = case.get("status")
    if status in CLOSED and status != wanted:
        return Refused("closed")
    if status != wanted:
        changed: Answer = yield Patch(path, headers=headers, auth=auth, body={"status": wanted})
        if _is_refusal(changed):
            return Refused(f"status_{changed.status}")
        _taken(changed)
    # A try that was broken off may have set the status: then the last event says what it was.
    before = status if status != wanted else next((e.get("caseNewStatus") for e in reversed(events)), status)
    body = {
        "actionType": "STATUS_UPDATE",
        "notification": True,
        "author": settings["application_name"],
        "message": decided.get("message", ""),
        "caseCurrentStatus": before,
        "caseNewStatus": wanted,
        "partnerAttributes": mark,
    }
    answer: Answer = yield Post(f"{path}/events", headers=headers, auth=auth, body=body)
    if _is_refusal(answer):
        return Refused(f"status_{answer.status}")
    _taken(answer)
    return Sent()


def _find(
    path: str, headers: Mapping[str, str], settings: Mapping[str, str]
) -> Generator[Wish, Any, tuple[str, dict[str, Any] | None]]:
    """Return the case, and the procedure whose credentials know it."""
    denied: Denied | None = None
    for procedure in filter(None, (name.strip() for name in settings["procedures"].split(","))):
        try:
            answer: Answer = yield Get(path, headers=headers, auth=procedure)
        except Denied as error:
            denied = error
            continue
        if answer.status == 404:
            continue
        _taken(answer)
        try:
            case = answer.json()
        except ValueError:
            case = None
        if not isinstance(case, dict):
            raise Transient("a case is not an object")
        return procedure, case
    if denied is not None:
        # It may be the one that knows the case.
        raise denied
    return "", None


def _is_refusal(answer: Answer) -> bool:
    """Tell whether HubEE itself will never take it; a page is something else's."""
    return 400 <= answer.status < 500 and answer.status != 429 and answer.body.lstrip()[:1] != b"<"


def _taken(answer: Answer) -> None:
    if not answer.ok:
        raise Transient(f"status {answer.status}", retry_after=retry_after(answer))
    if answer.body.lstrip()[:1] == b"<":
        raise Transient(f"status {answer.status}, and a page")

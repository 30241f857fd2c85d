"""Read HubEE's queue; delete a notification only after everything that it told of is safe.

Each step may be repeated: the record is written before anything is changed at the vendor, the status
is only ever set to what it already is, and the one call that is not idempotent (a case event) is
looked for before it is made.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Generator, Mapping
from typing import Any

from hub.model.errors import Transient
from hub.model.intake import Answer, Cursor, Delete, Emit, Get, Intake, Patch, Post, Wish

AT_ONCE = "25"
INLINE = 512 * 1024
"""Bytes of an attachment that are kept in the record itself."""
UNSEEN = frozenset({"SENT", "HUBEE_RECEIVED", "HUBEE_NOTIFIED"})
"""Statuses of a case that no commune has taken yet."""

Step = Generator[Wish, Any, Any]


def poll(_cursor: Cursor, settings: Mapping[str, str]) -> Intake:
    """Read each procedure's queue once."""
    for procedure in settings["procedures"].split(","):
        yield from _Queue(procedure.strip(), settings).read()


def dress(name: str, data: bytes) -> bytes:
    """Put a bare payload into the envelope of an invented case, so that it can be tried out."""
    nobody = "00000000-0000-4000-8000-000000000000"
    moment = "2026-03-10T07:40:00+00:00"
    notification = {"id": nobody, "processCode": "unknown", "caseId": nobody, "eventId": None, "dateTime": moment}
    case = {"id": nobody, "status": "HUBEE_NOTIFIED", "externalId": "unknown", "createDateTime": moment, "events": []}
    attachment = {"id": nobody, "fileName": name, "content": base64.b64encode(data).decode()}
    return json.dumps({"notification": notification, "case": case, "attachments": [attachment]}).encode()


class _Queue:
    """The queue of one procedure, with its own credentials."""

    def __init__(self, procedure: str, settings: Mapping[str, str]) -> None:
        self.procedure = procedure
        self.author = settings["application_name"]
        self.headers = {
            "editorName": settings["editor_name"],
            "applicationName": self.author,
            "softwareVersion": settings["software_version"],
        }

    def read(self) -> Intake:
        listing: Answer = yield self._get("/notifications", maxResult=AT_ONCE, processCode=self.procedure)
        for notification in _document(listing, list):
            if not isinstance(notification, dict) or not isinstance(notification.get("id"), str):
                # It cannot even be deleted: leave it, and let the others go on.
                continue
            yield from self._take(notification, listing.started_at)

    def _take(self, notification: dict[str, Any], listed_at: int) -> Step:
        identifier, case_id = notification["id"], notification.get("caseId")
        case: Any = None
        answer: Answer | None = None
        if isinstance(case_id, str):
            answer = yield self._get(f"/cases/{case_id}")
            # 404: real queues hold notifications of cases that are gone; they must never block.
            case = None if answer.status == 404 else _document(answer, dict)
        attachments = []
        for attachment in (case or {}).get("attachments") or []:
            # A comprehension cannot delegate to a generator.
            attachments.append((yield from self._download(case_id, attachment)))  # noqa: PERF401
        envelope = {"notification": notification, "case": case, "attachments": attachments}
        yield Emit(
            feed="case",
            key=f"hubee:{case_id}" if case is not None else f"hubee:notification:{identifier}",
            value=json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode(),
            read_at=answer.started_at if answer is not None else listed_at,
            content_type="application/json",
            raw_id=identifier,
            answer=answer.id if answer is not None else None,
        )
        if isinstance(case_id, str) and case is not None:
            yield from self._acknowledge(case_id, case)
        yield Delete(f"/notifications/{identifier}", headers=self.headers, auth=self.procedure)

    def _download(self, case_id: Any, attachment: dict[str, Any]) -> Step:
        kept = {name: attachment.get(name) for name in ("id", "fileName", "type", "mimeType", "size", "status")}
        if attachment.get("status") in ("REJECTED", "CORRUPTED"):
            return {**kept, "sha256": None, "content": None, "omitted": "refused by the sender's side"}
        answer: Answer = yield self._get(f"/cases/{case_id}/attachments/{attachment.get('id')}")
        if not answer.ok:
            return {**kept, "sha256": None, "content": None, "omitted": f"status {answer.status}"}
        digest = hashlib.sha256(answer.body).digest()
        if not _same(answer.headers.get("digest", ""), digest):
            # Cut or changed on its way: the next poll downloads it again, and nothing was deleted.
            raise Transient("an attachment does not have its digest")
        small = len(answer.body) <= INLINE
        return {
            **kept,
            "sha256": digest.hex(),
            "content": base64.b64encode(answer.body).decode() if small else None,
            "omitted": None if small else "larger than 512 kB",
        }

    def _acknowledge(self, case_id: str, case: dict[str, Any]) -> Step:
        if case.get("status") in UNSEEN:
            path = f"/cases/{case_id}"
            yield Patch(path, headers=self.headers, auth=self.procedure, body={"status": "SI_RECEIVED"})
        mine = [
            event
            for event in case.get("events") or []
            if event.get("caseNewStatus") == "SI_RECEIVED" and event.get("author") == self.author
        ]
        if not mine:
            yield Post(
                f"/cases/{case_id}/events",
                headers=self.headers,
                auth=self.procedure,
                body={
                    "actionType": "STATUS_UPDATE",
                    "notification": False,
                    "author": self.author,
                    "caseCurrentStatus": case.get("status"),
                    "caseNewStatus": "SI_RECEIVED",
                },
            )

    def _get(self, path: str, **params: str) -> Get:
        return Get(path, params=params, headers=self.headers, auth=self.procedure)


def _document(answer: Answer, kind: type) -> Any:
    """Read a JSON answer; anything else is no answer at all, whatever its status says."""
    try:
        document = answer.json()
    except ValueError:
        raise Transient(f"status {answer.status}, and not JSON") from None
    if not answer.ok or not isinstance(document, kind):
        raise Transient(f"status {answer.status}, and not what was asked for")
    return document


def _same(header: str, digest: bytes) -> bool:
    """Compare with the header `digest`: base64 of SHA-256, with or without the algorithm's name."""
    text = header.strip()
    for prefix in ("SHA-256=", "sha-256="):
        text = text.removeprefix(prefix)
    try:
        return base64.b64decode(text, validate=True) == digest
    except (binascii.Error, ValueError):
        return False

"""Read HubEE's queue; delete a notification only after everything that it told of is safe.

Each step may be repeated: the record is written before anything is changed at the vendor, the status
is only ever set to what it already is, and the one call that is not idempotent (a case event) is
looked for before it is made.

One notification that cannot be taken (an attachment that never has its digest) stays in the queue and
holds up no other: the poll goes on behind it, and says at its end what is stuck.  Nor does a procedure
whose credentials are refused hold up the others.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Generator, Mapping
from typing import Any, TypeGuard

from hub.model.errors import Cause, Transient
from hub.model.intake import Answer, Cursor, Delete, Emit, Get, Intake, Keep, Patch, Post, Wish

AT_ONCE = 25
INLINE = 512 * 1024
"""Bytes of an attachment that are kept in the record itself."""
INLINE_ALL = 600 * 1024
"""Bytes of a record's attachments together: in base64, and with the case around them, they fit Kafka's 1 MB."""
DOWNLOADED = 16 * 1024 * 1024
"""Announced bytes of an attachment that is downloaded at all: the hub reads no longer answer."""
LONGEST_NAME = 150
"""Characters of an id; HubEE's have 36."""
UNSEEN = frozenset({"SENT", "HUBEE_RECEIVED", "HUBEE_NOTIFIED"})
"""Statuses of a case that no commune has taken yet."""
TAKEN = "SI_RECEIVED"
PLAIN = frozenset("-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
"""What may stand in a path as it is."""

Step = Generator[Wish, Any, Any]


class _Stuck(Transient):
    """This notification cannot be taken for now; the others can."""


def poll(_cursor: Cursor, settings: Mapping[str, str]) -> Intake:
    """Read each procedure's queue once; say at the end which could not be read to its end."""
    troubles: list[tuple[str, Cause]] = []
    for procedure in filter(None, (name.strip() for name in settings["procedures"].split(","))):
        try:
            yield from _Queue(procedure, settings).read()
        except Transient as error:
            # Refused credentials, a page, a case that is stuck: the other queues have their own.
            troubles.append((f"{procedure}: {error.reason}", error.cause))
    if troubles:
        raise Transient("; ".join(reason for reason, _ in troubles), cause=troubles[0][1])


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
        stuck: dict[str, _Stuck] = {}
        waiting: list[str] = []
        most = AT_ONCE
        while True:
            listing: Answer = yield self._get("/notifications", maxResult=str(most), processCode=self.procedure)
            listed = _document(listing, list)
            for notification in listed:
                if not isinstance(notification, dict) or not _is_name(notification.get("id")):
                    # It cannot even be deleted: leave it, and let the others go on.
                    continue
                if notification["id"] in stuck or notification.get("caseId") in waiting:
                    continue
                try:
                    yield from self._take(notification, listing.started_at)
                except _Stuck as error:
                    stuck[notification["id"]] = error
                    if isinstance(notification.get("caseId"), str):
                        waiting.append(notification["caseId"])
            if len(listed) < most or len(stuck) < most:
                break
            # The whole page is stuck, and a queue has no second page: ask for a longer one.
            most += AT_ONCE
        if stuck:
            raise next(iter(stuck.values()))

    def _take(self, notification: dict[str, Any], listed_at: int) -> Step:
        identifier, case_id = notification["id"], notification.get("caseId")
        case: Any = None
        reason: str | None = "the notification names no case"
        answer: Answer | None = None
        if _is_name(case_id):
            answer = yield self._get(f"/cases/{_part(case_id)}")
            case, reason = _case(answer)
        attachments = yield from self._download_all(case_id, case)
        envelope = {"notification": notification, "case": case, "attachments": attachments, "reason": reason}
        yield Emit(
            feed="case",
            key=f"hubee:{case_id}" if case is not None else f"hubee:notification:{identifier}",
            # Escaped: half of a surrogate pair can be read from JSON and could not be written as UTF-8.
            value=json.dumps(envelope, separators=(",", ":")).encode(),
            read_at=answer.started_at if answer is not None else listed_at,
            content_type="application/json",
            raw_id=identifier,
            answer=answer.id if answer is not None else None,
        )
        if isinstance(case_id, str) and case is not None:
            yield from self._acknowledge(case_id, case)
        path = f"/notifications/{_part(identifier)}"
        gone: Answer = yield Delete(path, headers=self.headers, auth=self.procedure)
        _no_page(gone)
        if not gone.ok and gone.status != 404:
            raise _Stuck(f"a notification could not be deleted: status {gone.status}")

    def _download_all(self, case_id: Any, case: dict[str, Any] | None) -> Step:
        found = (case or {}).get("attachments")
        kept: list[Any] = []
        bodies: list[tuple[dict[str, Any], bytes]] = []
        for attachment in found if isinstance(found, list) else []:
            if not isinstance(attachment, dict):
                # Not the documented shape: the record says so when it is validated.
                kept.append(attachment)
                continue
            entry, body = yield from self._download(case_id, attachment)
            kept.append(entry)
            if body is not None:
                bodies.append((entry, body))
        room = INLINE_ALL
        # The smallest first: the business document is small, and must not lose its place to a scan.
        for entry, body in sorted(bodies, key=lambda pair: len(pair[1])):
            if len(body) > room:
                entry["blob"] = yield Keep(body)
                continue
            room -= len(body)
            entry["content"] = base64.b64encode(body).decode()
        return kept

    def _download(self, case_id: Any, attachment: dict[str, Any]) -> Step:
        names = ("id", "fileName", "type", "mimeType", "size", "status")
        entry = {name: attachment.get(name) for name in names}
        entry |= {"sha256": None, "content": None, "blob": None, "omitted": None}
        size = attachment.get("size")
        if attachment.get("status") in ("REJECTED", "CORRUPTED"):
            return {**entry, "omitted": "refused by the sender's side"}, None
        if isinstance(size, int) and size > DOWNLOADED:
            return {**entry, "omitted": "larger than 16 MB"}, None
        if not _is_name(attachment.get("id")):
            return {**entry, "omitted": "its id is none"}, None
        path = f"/cases/{_part(case_id)}/attachments/{_part(attachment['id'])}"
        answer: Answer = yield self._get(path)
        if not answer.ok:
            _no_page(answer)
            return {**entry, "omitted": f"status {answer.status}"}, None
        digest = hashlib.sha256(answer.body).digest()
        if not _same(answer.headers.get("digest", ""), digest):
            # Cut or changed on its way: the next poll downloads it again, and nothing was deleted.
            raise _Stuck("an attachment does not have its digest")
        entry["sha256"] = digest.hex()
        if len(answer.body) > INLINE:
            # Before the next one is downloaded: a case may have many.
            entry["blob"] = yield Keep(answer.body)
            return entry, None
        return entry, answer.body

    def _acknowledge(self, case_id: str, case: dict[str, Any]) -> Step:
        """Say that the commune has the case; a refusal is final: the record is safe, and the queue must go on."""
        status, path = case.get("status"), f"/cases/{_part(case_id)}"
        if isinstance(status, str) and status in UNSEEN:
            _no_page((yield Patch(path, headers=self.headers, auth=self.procedure, body={"status": TAKEN})))
        elif status != TAKEN:
            # Somebody has moved it on already: a receipt now would tell that it went back.
            return
        events = case.get("events")
        told = any(
            isinstance(event, dict) and event.get("caseNewStatus") == TAKEN and event.get("author") == self.author
            for event in (events if isinstance(events, list) else [])
        )
        if not told:
            body = {
                "actionType": "STATUS_UPDATE",
                "notification": False,
                "author": self.author,
                "caseCurrentStatus": status,
                "caseNewStatus": TAKEN,
            }
            _no_page((yield Post(f"{path}/events", headers=self.headers, auth=self.procedure, body=body)))

    def _get(self, path: str, **params: str) -> Get:
        return Get(path, params=params, headers=self.headers, auth=self.procedure)


def _case(answer: Answer) -> tuple[dict[str, Any] | None, str | None]:
    """Read a case, or why there is none: real queues tell of cases that are gone, and must never block."""
    document = _parsed(answer)
    if answer.status == 404:
        return None, "the case is gone"
    if not answer.ok:
        raise _Stuck(f"a case could not be read: status {answer.status}")
    if not isinstance(document, dict):
        raise Transient("a case is not an object")
    return document, None


def _document(answer: Answer, kind: type) -> Any:
    """Read a JSON answer of a kind; anything else is no answer at all."""
    document = _parsed(answer)
    if not answer.ok or not isinstance(document, kind):
        raise Transient(f"status {answer.status}, and not what was asked for")
    return document


def _parsed(answer: Answer) -> Any:
    """Read JSON; a page of something in between is no answer of HubEE, whatever its status says."""
    try:
        return answer.json()
    except (ValueError, RecursionError):
        raise Transient(f"status {answer.status}, and not JSON") from None


def _no_page(answer: Answer) -> None:
    """Refuse an HTML page where HubEE would have answered with JSON or nothing."""
    if answer.body.lstrip()[:1] == b"<":
        raise Transient(f"status {answer.status}, and a page")


def _is_name(value: Any) -> TypeGuard[str]:
    """Tell whether a vendor's id can be part of an address and of a key: JSON can say half of a character."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME:
        return False
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def _part(name: str) -> str:
    """Write a vendor's id as one part of a path."""
    written = name.encode()
    return "".join(chr(byte) if chr(byte) in PLAIN else f"%{byte:02X}" for byte in written)


def _same(header: str, digest: bytes) -> bool:
    """Compare with the header `digest`: base64 of SHA-256, with or without the algorithm's name."""
    text = header.strip()
    for prefix in ("SHA-256=", "sha-256="):
        text = text.removeprefix(prefix)
    try:
        return base64.b64decode(text, validate=True) == digest
    except (binascii.Error, ValueError):
        return False

"""The history of a case, as far as it tells something."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.sources.civil_registry.hubee.model import Case
from connectors.sources.civil_registry.hubee.moments import aware
from hub.model.connector import Context
from hub.model.event import Fact
from schemas.models.civil_registry import RequestStatusChanged, Status

STATUSES = {
    "SENT": Status.RECEIVED,
    "HUBEE_RECEIVED": Status.RECEIVED,
    "HUBEE_NOTIFIED": Status.RECEIVED,
    "HUBEE_COMPLETED": Status.RECEIVED,
    "SI_RECEIVED": Status.RECEIVED,
    "SI_INTG_ERROR": Status.INTEGRATION_ERROR,
    "IN_PROGRESS": Status.IN_PROGRESS,
    "ADD_AWAITING": Status.AWAITING_DOCUMENTS,
    "DONE": Status.DONE,
    "REFUSED": Status.REFUSED,
}
CLOSED = ("DONE", "REFUSED", "CLOSED")


def steps_of(found: Case, context: Context) -> Iterator[Fact]:
    """Yield each step that tells something; what the exchange hub files away tells nothing."""
    now: str | None = None
    for step in sorted(found.events, key=lambda step: (aware(step.createDateTime, context), step.id)):
        before, after = step.caseCurrentStatus, step.caseNewStatus
        if before in (None, "CLOSED"):
            before = now or before
        if after == "CLOSED" and before in CLOSED:
            # Filed away by the exchange hub: for the resident it stays done or refused.
            now = before
            continue
        now = after or before
        if step.actionType not in ("STATUS_UPDATE", "ATTACH_DEPOSIT") or (after is None and not step.attachments):
            continue
        yield Fact(
            RequestStatusChanged(
                case_id=found.id,
                status=_status(now or found.status),
                previous_status=_status(before) if before is not None else Status.UNKNOWN,
                attachments_added=len(step.attachments),
                reopened=before in CLOSED and after not in CLOSED,
            ),
            f"hubee:{found.id}",
            aware(step.createDateTime, context),
            step.id,
            identity=(found.id, step.id),
        )


def _status(code: str) -> Status:
    return STATUSES.get(code, Status.UNKNOWN)

"""Asks for the planning of linked children, and of nobody else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from xml.sax.saxutils import escape

from hub.model.errors import Transient
from hub.model.intake import Answer, Checkpoint, Cursor, Emit, Intake, Post, Subjects
from hub.pipeline import soap

NAMESPACE = "Ciril:Enfance:ServicesEnfance"
BACK = timedelta(days=7)
"""How far back a planning is asked for: bookings are corrected after the day, too."""
AHEAD = timedelta(days=366)
_CHILD = re.compile(r"([0-9A-Za-z_-]{1,64})\.([0-9A-Za-z._-]{1,64})")


def poll(cursor: Cursor, settings: Mapping[str, str]) -> Intake:
    """Ask for one child after another; answers go on as they came, be they faults or pages of HTML."""
    subjects: list[str] = yield Subjects("ciril")
    since = _since(settings)
    first = date.fromisoformat(cursor["first"]) if "first" in cursor else since
    read_at = None
    answered = False
    for subject in subjects:
        child = _CHILD.fullmatch(subject)
        if child is None:
            continue  # no child of this vendor's
        answer: Answer = yield _question(child[1], child[2], first, settings)
        if 300 <= answer.status < 400:
            raise Transient(f"status {answer.status}: sent elsewhere, to a login page perhaps")
        read_at = read_at or answer.started_at
        if not answer.ok:
            continue  # nothing was said about this child; the others are asked all the same
        # A page, a fault or half an answer goes on, to be seen; it does not say that all is known up to today.
        answered = answered or soap.answers(answer.body)
        yield Emit(
            feed="planning",
            key=f"ciril:{subject}",
            value=answer.body,
            read_at=answer.started_at,
            content_type="application/xml",
            answer=answer.id,
        )
    if read_at is None:
        return
    if not answered:
        raise Transient("every child is refused")
    day = datetime.fromtimestamp(read_at / 1000, UTC).date() - BACK
    yield Checkpoint({"first": max(day, since).isoformat()})


def _since(settings: Mapping[str, str]) -> date:
    try:
        return date.fromisoformat(settings["since"])
    except ValueError:
        raise Transient("settings.since: not a day; write it as 2026-09-01") from None


def _question(folder: str, child: str, first: date, settings: Mapping[str, str]) -> Post:
    inner = (
        f'<enf:reservationActivityPlanningRequest xmlns:enf="{NAMESPACE}">'
        f"<externalFolderId>{escape(folder)}</externalFolderId><externalChildId>{escape(child)}</externalChildId>"
        f"<sessionId>hub</sessionId><startDate>{first}</startDate><endDate>{first + AHEAD}</endDate>"
        "</enf:reservationActivityPlanningRequest>"
    )
    # A question, though it is a POST: asked twice, it changes nothing.
    return Post(
        settings.get("path", "/"),
        headers={**soap.HEADERS, "SOAPAction": '"reservationActivityPlanning"'},
        content=soap.envelope(inner),
    )

"""Asks for the uses of linked children and the accounts of linked families, and for nobody else's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from xml.sax.saxutils import escape, quoteattr

from hub.model.errors import Transient
from hub.model.intake import Answer, Checkpoint, Cursor, Emit, Intake, Post, Subjects
from hub.pipeline import soap

FAMILY = "family-"
"""Marks a linked subject as a family; any other is a child."""
AGAIN = timedelta(days=31)
"""How long a use may be told after it happened: badges are read when their reader is online again."""
LAST = "2199-12-31T23:59:59"
"""End of a search: now, whatever the vendor's clock says."""
_NAME = re.compile(r"[0-9A-Za-z._-]{1,64}")


def poll(cursor: Cursor, settings: Mapping[str, str]) -> Intake:
    """Ask about one after another; answers go on as they came, be they sentences or pages of HTML."""
    subjects: list[str] = yield Subjects("horanet")
    since = _since(settings)
    first = cursor.get("first", since.isoformat())
    read_at = None
    answered = False
    for subject in subjects:
        if not _NAME.fullmatch(subject):
            continue  # no number of this vendor's
        answer: Answer = yield _question(subject, first, settings)
        if 300 <= answer.status < 400:
            raise Transient(f"status {answer.status}: sent elsewhere, to a login page perhaps")
        read_at = read_at or answer.started_at
        if not answer.ok:
            continue  # nothing was said about this one; the others are asked all the same
        # A page, a fault or half an answer goes on, to be seen; it does not say that all is known up to today.
        answered = answered or soap.answers(answer.body)
        yield Emit(
            feed="accounts" if subject.startswith(FAMILY) else "transactions",
            key=f"horanet:{subject}",
            value=answer.body,
            read_at=answer.started_at,
            content_type="application/xml",
            answer=answer.id,
        )
    if read_at is None:
        return
    if not answered:
        raise Transient("everybody is refused")
    day = datetime.fromtimestamp(read_at / 1000, UTC).date() - AGAIN
    yield Checkpoint({"first": max(day, since).isoformat()})


def _since(settings: Mapping[str, str]) -> date:
    try:
        return date.fromisoformat(settings["since"])
    except ValueError:
        raise Transient("settings.since: not a day; write it as 2026-09-01") from None


def _question(subject: str, first: str, settings: Mapping[str, str]) -> Post:
    if subject.startswith(FAMILY):
        operation, number, more = "GetFamilyAccounts", subject.removeprefix(FAMILY), ""
    else:
        operation, number = "GetChildTransactions2", subject
        more = f"<start_search>{escape(first)}T00:00:00</start_search><end_search>{LAST}</end_search>"
    namespace = settings["namespace"]
    inner = (
        f"<{operation} xmlns={quoteattr(namespace)}><ZipCode>{escape(settings['zip_code'])}</ZipCode>"
        f"<ProcID>{escape(number)}</ProcID>{more}</{operation}>"
    )
    # A question, though it is a POST: asked twice, it changes nothing.
    return Post(
        settings.get("path", "/"),
        headers={**soap.HEADERS, "SOAPAction": f'"{namespace}{operation}"'},
        content=soap.envelope(inner),
    )

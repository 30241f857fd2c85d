"""Asks FOLIO about linked patrons, one after another, and about nobody else."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hub.model.errors import Transient
from hub.model.intake import Answer, Cursor, Emit, Get, Intake, Subjects

LISTS = {
    "loans": ("circulation/loans", 'userId=="{patron}" and status.name=="Open"'),
    "requests": ("circulation/requests", 'requesterId=="{patron}"'),
}
"""Path and query of each feed."""
LIMIT = "1000"
PATRON = re.compile(r"[0-9A-Za-z-]{1,40}")
"""What may stand in a query."""


def poll(cursor: Cursor, settings: Mapping[str, str]) -> Intake:  # noqa: ARG001
    """Ask what each patron has and has reserved; the answer goes on as it came."""
    patrons: list[str] = yield Subjects("folio")
    headers = {"X-Okapi-Tenant": settings["tenant"], "Accept": "application/json"}
    known = [patron for patron in patrons if PATRON.fullmatch(patron)]
    answered = False
    for patron in known:
        for feed, (path, query) in LISTS.items():
            asked = {"query": query.replace("{patron}", patron), "limit": LIMIT}
            answer: Answer = yield Get(path, params=asked, headers=headers)
            if 300 <= answer.status < 400:
                raise Transient(f"status {answer.status}: sent elsewhere, to a login page perhaps")
            if not answer.ok:
                continue  # Nothing was said about this patron; the others are asked all the same.
            answered = True
            yield Emit(
                feed=feed,
                key=f"folio:{patron}",
                value=answer.body,
                read_at=answer.started_at,
                content_type="application/json",
                answer=answer.id,
            )
    if known and not answered:
        raise Transient("every patron is refused")

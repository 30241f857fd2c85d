"""Asks about linked patrons, one after another, and about nobody else."""

from __future__ import annotations

from collections.abc import Mapping

from hub.model.errors import Transient
from hub.model.intake import Answer, Cursor, Emit, Get, Intake, Subjects

PATH = "/cgi-bin/koha/ilsdi.pl"
QUERY = "service=GetPatronInfo&patron_id={patron}&show_contact=0&show_loans=1&show_holds=1"
"""Koha's; `{patron}` stands for the patron's number."""


def poll(cursor: Cursor, settings: Mapping[str, str]) -> Intake:  # noqa: ARG001
    """Ask what each patron has; the answer goes on as it came, be it an error or a page of HTML."""
    patrons: list[str] = yield Subjects("ils_di")
    asked = [part.partition("=")[::2] for part in settings.get("query", QUERY).split("&")]
    answered = False
    for patron in patrons:
        answer: Answer = yield Get(
            settings.get("path", PATH),
            params={name: text.replace("{patron}", patron) for name, text in asked},
        )
        if 300 <= answer.status < 400:
            raise Transient(f"status {answer.status}: sent elsewhere, to a login page perhaps")
        if not answer.ok:
            continue  # nothing was said about this patron; the others are asked all the same
        answered = True
        yield Emit(
            feed="patron",
            key=f"ils_di:{patron}",
            value=answer.body,
            read_at=answer.started_at,
            content_type="application/xml",
            answer=answer.id,
        )
    if patrons and not answered:
        raise Transient("every patron is refused")

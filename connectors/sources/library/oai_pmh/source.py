"""Reads the list from where it was left, page after page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from hub.model.errors import Rejected, Transient
from hub.model.intake import Answer, Checkpoint, Cursor, Emit, Get, Intake
from hub.pipeline.decode import xml
from hub.pipeline.soap import bare

OVERLAP = timedelta(days=1)
"""Read again each time: repositories differ in what they think the end of a list is."""


def poll(cursor: Cursor, settings: Mapping[str, str]) -> Intake:
    """Go on with a list that was broken off, or begin one; a page that cannot be read goes on, and ends the poll."""
    since, began, token = (str(cursor.get(name) or "") for name in ("from", "began", "token"))
    while True:
        answer: Answer = yield Get(settings["path"], params=_question(since, token, settings))
        if not answer.ok:
            raise Transient(f"status {answer.status}")
        page = _page(answer.body)
        if token and _code(page) == "badResumptionToken":
            began, token = "", ""
            yield Checkpoint({"from": since})
            continue
        if _code(page) != "noRecordsMatch":
            yield Emit(
                feed="records",
                key="oai_pmh:records",
                value=answer.body,
                read_at=answer.started_at,
                content_type="application/xml",
                answer=answer.id,
            )
        if not page or (_code(page) and _code(page) != "noRecordsMatch"):
            raise Transient("not a page of records")
        began = began or _begin(page)
        token = _text(_of(page.get("ListRecords"), "resumptionToken"))
        if not token:
            yield Checkpoint({"from": began or since})
            return
        yield Checkpoint({"from": since, "began": began, "token": token})


def _question(since: str, token: str, settings: Mapping[str, str]) -> dict[str, str]:
    if token:
        return {"verb": "ListRecords", "resumptionToken": token}
    asked = {"verb": "ListRecords", "metadataPrefix": settings.get("prefix") or "oai_dc", "from": since}
    return {name: value for name, value in {**asked, "set": settings.get("set", "")}.items() if value}


def _page(body: bytes) -> Mapping[str, Any]:
    try:
        page = bare(xml(body)).get("OAI-PMH")
    except Rejected:
        return {}
    return page if isinstance(page, Mapping) else {}


def _code(page: Mapping[str, Any]) -> str:
    return str(_of(page.get("error"), "code") or ("?" if "error" in page else ""))


def _begin(page: Mapping[str, Any]) -> str:
    """Return the day from which the next list is asked for."""
    try:
        return (datetime.fromisoformat(_text(page.get("responseDate"))) - OVERLAP).date().isoformat()
    except (ValueError, OverflowError):
        return ""


def _of(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None


def _text(value: Any) -> str:
    text = value.get("#text") if isinstance(value, Mapping) else value
    return text.strip() if isinstance(text, str) else ""

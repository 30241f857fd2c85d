"""Asks API Particulier about whom the city must know something, and only when it does not know it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hub.model.errors import Transient
from hub.model.intake import Answer, Checkpoint, Cursor, Emit, Get, Intake, Subjects

PATHS = {
    "quotient_familial": "/v3/dss/quotient_familial/identite",
    "scolarite": "/v4/men/scolarites/identite",
}
"""Question, which is the feed of its answer, to its usual path."""
AGAIN = timedelta(days=30)
"""For how long an answer is good enough; and a refusal, too."""


def poll(cursor: Cursor, settings: Mapping[str, str]) -> Intake:
    """Ask about one after another, and remember each: a quota that ends in the middle ends nothing else."""
    subjects: list[str] = yield Subjects("api_particulier")
    asked = {subject: day for subject, day in cursor.get("asked", {}).items() if subject in subjects}
    for subject in subjects:
        register: Answer = yield Get(f"{settings['identities']}/{subject}", auth="identities")
        question = _question(register)
        if question is None or not _due(asked.get(subject), register):
            continue
        name, params = question
        answer: Answer = yield Get(
            settings.get(f"{name}_path", PATHS[name]), params={**params, "recipient": settings["recipient"]}
        )
        if 300 <= answer.status < 400:
            raise Transient(f"status {answer.status}: sent elsewhere, to a login page perhaps")
        # A 404 goes on too: it is final, it is set aside, and others are asked.  So does what is no answer, a page or
        # half of one; but then nothing is known, and thirty days would be long.
        yield Emit(
            feed=name,
            key=f"api_particulier:{subject}",
            value=answer.body,
            read_at=answer.started_at,
            content_type="application/json",
            answer=answer.id,
        )
        try:
            answer.json()
        except ValueError:
            raise Transient(f"{name}: status {answer.status}, and not JSON") from None
        asked[subject] = _day(register).isoformat()
        yield Checkpoint({"asked": asked})


def _question(register: Answer) -> tuple[str, dict[str, str | tuple[str, ...]]] | None:
    """Read what the register answers; None: nothing must be known about this one."""
    if register.status in (404, 410):
        return None
    if not register.ok:
        raise Transient(f"the register of families: status {register.status}")
    try:
        told: Any = register.json()
    except ValueError:
        told = None
    name = told.get("question") if isinstance(told, dict) else None
    given = told.get("params") if isinstance(told, dict) else None
    if not isinstance(name, str) or name not in PATHS or not isinstance(given, dict):
        raise Transient("the register of families: an answer of another shape")
    params: dict[str, str | tuple[str, ...]] = {}
    for key, value in given.items():
        if isinstance(value, list):
            params[f"{key}[]"] = tuple(str(item) for item in value)
        elif value is not None:
            params[str(key)] = str(value)
    return name, params


def _due(asked: str | None, register: Answer) -> bool:
    """Tell whether something must be asked; the register's answer tells the day."""
    if asked is None:
        return True
    today, last = _day(register), date.fromisoformat(asked)
    return today - last >= AGAIN or last <= date(today.year, 8, 31) < today


def _day(answer: Answer) -> date:
    return datetime.fromtimestamp(answer.started_at / 1000, UTC).date()

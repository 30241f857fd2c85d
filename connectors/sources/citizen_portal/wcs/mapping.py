"""From where a form stands to what happened to it.

Memory of a form: of what was believed last, `updated`, when it was written (local, ISO, to the second), `read_at`, when
it was asked for or came in (ms), and `status`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from connectors.sources.citizen_portal.wcs import model
from hub.model.connector import Context, Mapped
from hub.model.errors import Unmappable
from hub.model.event import Fact
from schemas.models.citizen_portal import FormFiled, FormStatusChanged, LinkRequested, Role

State = Mapping[str, Any]


def form(previous: State | None, told: model.Form, context: Context) -> tuple[State | None, Mapped]:
    """Compare where a form stands with where it stood; the first time, link whoever filed it."""
    if context.key != f"wcs:{told.name}":
        raise Unmappable("the answer is about another form", fields=("id",))
    if told.received is None:
        return previous, "draft"
    updated = (told.updated or told.received).isoformat()
    read_at = int(context.read_at.timestamp() * 1000)
    # Two steps of one second tell by when they were read which is the later.
    if previous is not None and (updated, read_at) < (previous["updated"], previous["read_at"]):
        return previous, "stale"
    step = told.workflow.status
    about = {"form": told.name.partition("/")[0], "form_id": told.name, "status": step.id, "status_name": step.name}
    state = {"updated": updated, "read_at": read_at, "status": step.id}
    if previous is None:
        facts = [Fact(FormFiled(**about), context.key, _moment(told.received, context), told.name)]
        if (account := told.user.account if told.user is not None else None) is not None:
            link = LinkRequested(citizen=account, subject=context.key, role=Role.SELF)
            facts.append(Fact(link, f"publik:{account}", _moment(told.received, context), context.key))
        return state, facts
    if step.id == previous["status"]:
        return state, []
    changed = FormStatusChanged(**about, previous_status=previous["status"])
    return state, [Fact(changed, context.key, _moment(told.updated or told.received, context), told.name)]


pushed = form


def _moment(local: datetime, context: Context) -> datetime:
    """Return a local moment; nothing is later than its reading."""
    return min(local.replace(tzinfo=context.zone).astimezone(UTC), context.read_at)

"""From what goes on to what began, changed and ended.

Memory of the feed:

    read_at      when the last snapshot that was believed was asked for, ms
    disruptions  by code: what was told of each, as plain values

Law: what was published less what has ended is what goes on, as far as it can be read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sources.transport.metromobilite import model
from hub.model.connector import Context, Mapped
from hub.model.errors import Held
from hub.model.event import Fact
from hub.pipeline.diff import diff, shrunk
from hub.pipeline.disruption import DESCRIPTION, TITLE, brief, cut, full
from schemas.models.transport import DisruptionEnded, DisruptionPublished, DisruptionUpdated

State = Mapping[str, Any]

PATIENCE = int(timedelta(hours=1) / timedelta(milliseconds=1))
"""Memory that is older proves nothing against a snapshot; without this end, a true one might be held for ever."""

_CODE = re.compile(r"[0-9A-Za-z_.:-]{1,80}")


def evtTC(previous: State | None, snapshot: model.Snapshot, context: Context) -> tuple[State, Mapped]:
    """Compare the snapshot with the one before; what cannot be read stays as it was."""
    read_at = _ms(context.read_at)
    if previous is not None and read_at < previous["read_at"]:
        return previous, "stale"
    known: Mapping[str, State] = previous["disruptions"] if previous is not None else {}
    current: dict[str, State] = {}
    unreadable = False
    for code, item in snapshot.root.items():
        if isinstance(item, model.Unreadable) or not _CODE.fullmatch(code):
            unreadable = True
            if code in known:
                current[code] = known[code]
        elif item.visibleTC is not False:
            current[code] = _told(item, context.zone)
    change = diff(known, current)
    if previous is not None and read_at - previous["read_at"] < PATIENCE:
        _hold(known, change.removed, read_at, context.max_shrink)
    facts = [_fact(DisruptionEnded(**brief(code, known[code])), code, context) for code in change.removed]
    facts += [_fact(DisruptionPublished(**full(code, current[code])), code, context) for code in change.added]
    facts += [_fact(DisruptionUpdated(**full(code, current[code])), code, context) for code in change.changed]
    return {"read_at": read_at, "disruptions": current}, "unreadable_item" if unreadable and not facts else facts


def _hold(known: Mapping[str, State], removed: tuple[str, ...], read_at: int, most: float) -> None:
    """Refuse to believe that so much ended before its time."""
    early = [code for code in removed if (end := known[code]["ends_at"]) is None or end > read_at]
    if shrunk(len(known), len(early), most):
        raise Held("too many disruptions are missing before their time")


def _told(item: model.Disruption, zone: ZoneInfo) -> State:
    parts = [part.strip() for part in item.texte.split("|")]
    title = item.titre.strip() or parts[0]
    if parts[0] == title:
        del parts[0]
    has_place = item.latitude is not None and item.longitude is not None
    return {
        "kind": item.type,
        "lines": sorted({*item.listeLigneArret, *item.listeLigne}),
        "starts_at": _start(item.dateDebut, zone),
        "ends_at": _end(item.dateFin, zone),
        "title": cut(title, TITLE),
        "description": cut(item.description.strip() or "\n".join(part for part in parts if part), DESCRIPTION),
        "latitude": item.latitude if has_place else None,
        "longitude": item.longitude if has_place else None,
        "url": item.plan,
    }


def _fact(payload: DisruptionPublished | DisruptionUpdated | DisruptionEnded, code: str, context: Context) -> Fact:
    # It was published, changed or taken back when it was seen so; when it disturbs is another matter.
    return Fact(payload, f"metromobilite:{code}", context.read_at, code)


def _start(local: datetime | None, zone: ZoneInfo) -> int | None:
    """Take the first of two hours with the same name; an hour that does not exist is the one after it."""
    return None if local is None else _ms(local.replace(tzinfo=zone))


def _end(local: datetime | None, zone: ZoneInfo) -> int | None:
    """Take the second of two hours with the same name: nothing must look over too early."""
    return None if local is None else max(_ms(local.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))


def _ms(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp() * 1000)

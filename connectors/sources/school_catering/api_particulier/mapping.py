"""From a quotient to a band of the tariff, from a school status to whether a child is enrolled.

Memory of a subject: `tariff` (read_at, band, until) and `status` (read_at, enrolled, year).  No quotient is in them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from datetime import date
from typing import Any

from connectors.sources.school_catering.api_particulier import model
from hub.model.connector import Context, Mapped
from hub.model.event import Fact
from schemas.models.school_catering import SchoolStatusChanged, TariffBandGranted

State = Mapping[str, Any]

BORDERS = (300, 500, 700, 900, 1200, 1500, 2000)
"""Highest quotient of each band but the last."""
BANDS = "ABCDEFGH"


def quotient_familial(previous: State | None, answer: model.QuotientFamilial, context: Context) -> tuple[State, Mapped]:
    """Grant the band until the end of the school year."""
    state = dict(previous or {})
    known = state.get("tariff", {})
    if _ms(context) < known.get("read_at", 0):
        return state, "stale"
    band = BANDS[bisect_left(BORDERS, answer.quotient_familial.valeur)]
    today = context.read_at.astimezone(context.zone).date()
    until = date(today.year + (today.month > 8), 8, 31)
    state["tariff"] = {"read_at": _ms(context), "band": band, "until": until.isoformat()}
    if (band, until.isoformat()) == (known.get("band"), known.get("until")):
        return state, ()
    return state, [Fact(TariffBandGranted(band=band, valid_until=until), context.key, context.read_at, "tariff")]


def scolarite(previous: State | None, answer: model.Scolarite, context: Context) -> tuple[State, Mapped]:
    """Say whether the child is enrolled, when that is news."""
    state = dict(previous or {})
    known = state.get("status", {})
    if _ms(context) < known.get("read_at", 0):
        return state, "stale"
    first = int(answer.annee_scolaire[:4])
    year, enrolled = f"{first}-{first + 1}", answer.est_scolarise
    state["status"] = {"read_at": _ms(context), "enrolled": enrolled, "year": year}
    if (enrolled, year) == (known.get("enrolled"), known.get("year")):
        return state, ()
    status = SchoolStatusChanged(enrolled=enrolled, school_year=year)
    return state, [Fact(status, context.key, context.read_at, "status")]


def _ms(context: Context) -> int:
    return int(context.read_at.timestamp() * 1000)

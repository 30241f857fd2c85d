"""From lines to deaths that a clerk may look at.

Memory of a record's key, shared by both feeds: `told`, what was published of each death, as a digest, and `opposed`,
those that are not to be published.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from connectors.sources.civil_registry.insee_deaths import model
from hub.model.connector import Context, Mapped
from hub.model.event import Fact
from schemas.models.civil_registry import DeathPublished, DeathWithdrawn, RecordedSex

State = Mapping[str, Any]
SEX = {"1": RecordedSex.MALE, "2": RecordedSex.FEMALE}


def deaths(previous: State | None, lines: model.Deaths, context: Context) -> tuple[State, Mapped]:
    """Tell of each death once, and again when its line was corrected; not of one that somebody opposed."""
    told, opposed = _remembered(previous)
    facts = []
    for line in lines.root:
        if line.key in opposed:
            continue
        digest = sha256(json.dumps(line.model_dump(), sort_keys=True).encode("utf-8", "replace")).hexdigest()[:16]
        if told.get(line.key) == digest:
            continue
        told[line.key] = digest
        payload = DeathPublished(
            record_key=line.key,
            family_name=line.family_name,
            given_names=line.given_names,
            sex=SEX[line.sex],
            birth_date=line.birth_date,
            birth_place=line.birth_place,
            birth_place_name=line.birth_commune,
            birth_country=line.birth_country,
            death_date=line.death_date,
            death_place=line.death_place,
        )
        facts.append(Fact(payload, f"insee_deaths:{line.key}", context.read_at, line.key))
    state = {"told": told, "opposed": sorted(opposed)}
    if not facts and all(line.key in opposed for line in lines.root):
        return state, "opposed"
    return state, list({fact.entity: fact for fact in facts}.values())


def opposition(previous: State | None, lines: model.Opposition, context: Context) -> tuple[State, Mapped]:
    """Withdraw what was told, and remember what is not to be told."""
    told, opposed = _remembered(previous)
    facts = []
    for key in dict.fromkeys(line.key for line in lines.root):
        opposed.add(key)
        if told.pop(key, None) is not None:
            facts.append(Fact(DeathWithdrawn(record_key=key), f"insee_deaths:{key}", context.read_at, key))
    state = {"told": told, "opposed": sorted(opposed)}
    return state, facts or "nothing_published"


def _remembered(previous: State | None) -> tuple[dict[str, str], set[str]]:
    state = previous or {"told": {}, "opposed": []}
    return dict(state["told"]), set(state["opposed"])

"""Rows of datasets: from public events, from counts, and from what the city supplies."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from streams.open_data.dataset import Dataset
from streams.open_data.gate import Cell

Row = Mapping[str, Any]

KINDS: Mapping[str, str] = {
    "hub.civil_registry.RecordRequested": "copie d'acte",
    "hub.civil_registry.CensusDeclared": "recensement citoyen",
    "hub.civil_registry.PartnershipFiled": "PACS",
    "hub.civil_registry.HolidayWatchRequested": "opération tranquillité vacances",
    "hub.transport.PermitRequested": "stationnement et titres de résident",
}
"""Kinds of requests, as residents call them."""
DOMAINS: Mapping[str, str] = {
    "citizen_portal": "portail citoyen",
    "civil_registry": "état civil",
    "library": "bibliothèques",
    "school_catering": "restauration scolaire",
    "transport": "transport et stationnement",
}
NOT_SAID = "non précisé"
"""What stands where a vendor says nothing."""
_WORD = re.compile(r"[^\W\d_]+")


def current(events: Iterable[tuple[str, str, Row]]) -> dict[str, Row]:
    """Fold (type, subject, payload) in order of `hub_seq` into what is so now, by subject."""
    found: dict[str, Row] = {}
    for kind, subject, payload in events:
        if kind.endswith(("Ended", "Removed", "Deleted")):
            found.pop(subject, None)
        else:
            found[subject] = payload
    return dict(sorted(found.items()))


def event_rows(dataset: Dataset, payloads: Iterable[Row]) -> list[dict[str, str]]:
    """Write one row for each payload, of the fields that the manifest names and no other."""
    fields = {column: origin.rpartition(".")[2] for column, origin in dataset.manifest.columns.items()}
    kinds = {field["name"]: field["type"] for field in dataset.schema["fields"]}
    return [
        {column: _cell(payload.get(name), kinds[column]) for column, name in fields.items()} for payload in payloads
    ]


def count_rows(dataset: Dataset, told: Mapping[str, Mapping[Cell, int]]) -> list[dict[str, str]]:
    """Write one row for each told cell of each period."""
    counted = dataset.counted or ""
    return [
        {
            dataset.period: period,
            **{name: part or NOT_SAID for name, part in zip(dataset.dimensions, cell, strict=True)},
            counted: str(count),
        }
        for period, cells in sorted(told.items())
        for cell, count in sorted(cells.items())
    ]


def counts_of(dataset: Dataset, rows: Iterable[Row]) -> tuple[dict[str, Counter[Cell]], int]:
    """Read supplied rows as counts by period and cell; return how many rows hold no count beside them."""
    counted = dataset.counted or ""
    found: dict[str, Counter[Cell]] = {}
    left = 0
    for row in rows:
        try:
            count = int(row[counted])
        except ValueError:
            left += 1
            continue
        cell = tuple(row[column] for column in dataset.dimensions)
        found.setdefault(row[dataset.period], Counter())[cell] += count
    return found, left


def completed(dataset: Dataset, rows: Iterable[Row], payloads: Iterable[Row]) -> list[dict[str, str]]:
    """Fill what supplied rows leave empty from the events about the same thing."""
    if dataset.manifest.complete_by is None:
        return [dict(row) for row in rows]
    by, field = dataset.manifest.complete_by
    known = {payload.get(field): payload for payload in payloads}
    fields = {
        column: origin.rpartition(".")[2]
        for column, origin in dataset.manifest.columns.items()
        if origin.rpartition(".")[0] in dataset.manifest.events
    }
    return [
        {
            column: value or str(known.get(row.get(by, ""), {}).get(fields.get(column, ""), "") or "")
            for column, value in row.items()
        }
        for row in rows
    ]


def given_names(rows: Iterable[Row], commune: str, insee: str, pattern: str) -> tuple[list[dict[str, str]], int]:
    """Turn rows as INSEE writes them (`sexe;preusuel;annais;nombre`) into rows of prénoms 1.1.6.

    Return beside them how many were left out: INSEE's own buckets (`_PRENOMS_RARES`, `XXXX`), and names that the
    national schema's pattern cannot write (Fañch, Iñaki).
    """
    found, left = [], 0
    for row in rows:
        sex, name = {"1": "M", "2": "F"}.get(row["sexe"]), capitalised(row["preusuel"])
        if sex is None or not row["annais"].isdecimal() or re.fullmatch(pattern, name) is None:
            left += 1
            continue
        found.append(
            {
                "COMMUNE_NOM": commune,
                "COLL_INSEE": insee,
                "ENFANT_SEXE": sex,
                "ENFANT_PRENOM": name,
                "NOMBRE_OCCURRENCES": row["nombre"],
                "ANNEE": row["annais"],
            }
        )
    return found, left


def capitalised(name: str) -> str:
    """Write a name of capitals as people do: Jean-Pierre, N'Golo."""
    return _WORD.sub(lambda word: word[0][:1].upper() + word[0][1:].lower(), name.strip().replace("’", "'"))


def changes(before: Sequence[Row], after: Sequence[Row], key: Sequence[str]) -> tuple[int, int, int]:
    """Count rows that were added, removed and changed; without a key, a changed row is one removed and one added."""
    named = [
        {tuple(row.get(column, "") for column in key) if key else tuple(sorted(row.items())): row for row in rows}
        for rows in (before, after)
    ]
    old, new = named
    changed = sum(old[name] != new[name] for name in old.keys() & new.keys())
    return len(new.keys() - old.keys()), len(old.keys() - new.keys()), changed


def _cell(value: Any, kind: str) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, list | tuple):
        return json.dumps(value, ensure_ascii=False) if kind == "array" else " ".join(map(str, value))
    if kind == "datetime":
        return instant(value).strftime("%Y-%m-%dT%H:%M:%SZ")
    return value.isoformat() if isinstance(value, date) else str(value)


def instant(value: Any) -> datetime:
    """Read a moment as a payload holds it: a datetime, milliseconds or ISO text."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, UTC)
    return datetime.fromisoformat(value).astimezone(UTC)

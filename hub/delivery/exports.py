"""Open-data files: written whole, validated before anyone sees them, named in a catalogue.

Each dataset is a CSV with its Table Schema (and a protobuf where a standard asks for one).  A file
is written beside its place and moved there; a reader never sees half of one.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from frictionless import Resource, Schema
from google.transit import gtfs_realtime_pb2

LICENCE = {
    "name": "etalab-2.0",
    "title": "Licence Ouverte / Open Licence version 2.0",
    "path": "https://www.etalab.gouv.fr/licence-ouverte-open-licence/",
}

_REQUIRED = {"required": True}

DISRUPTIONS: Mapping[str, Any] = {
    "name": "perturbations",
    "title": "Perturbations du réseau de transport en cours",
    "fields": [
        {
            "name": "id",
            "type": "string",
            "description": "Code de la perturbation",
            "constraints": {**_REQUIRED, "unique": True},
        },
        {"name": "type", "type": "string", "description": "Nature"},
        {"name": "lignes", "type": "string", "description": "Lignes concernées, séparées par une espace"},
        {"name": "debut", "type": "datetime", "description": "Début"},
        {"name": "fin", "type": "datetime", "description": "Fin, si elle est connue"},
        {"name": "titre", "type": "string", "description": "Titre"},
        {"name": "description", "type": "string", "description": "Texte complet"},
    ],
    "primaryKey": ["id"],
    "missingValues": [""],
}

LOANS: Mapping[str, Any] = {
    "name": "prets",
    "title": "Prêts des bibliothèques par mois, bibliothèque et type de document",
    "fields": [
        {
            "name": "annee_mois",
            "type": "yearmonth",
            "description": "Mois du prêt",
            "constraints": _REQUIRED,
        },
        {
            "name": "bibliotheque",
            "type": "string",
            "description": "Code de la bibliothèque",
            "constraints": _REQUIRED,
        },
        {
            "name": "type_document",
            "type": "string",
            "description": "Type de document",
            "constraints": _REQUIRED,
        },
        {
            "name": "nb_prets",
            "type": "integer",
            "description": "Nombre de prêts ; une valeur sous le seuil est absente",
            "constraints": {**_REQUIRED, "minimum": 1},
        },
    ],
    "primaryKey": ["annee_mois", "bibliotheque", "type_document"],
    "missingValues": [""],
}


class InvalidDataset(Exception):
    """A dataset does not satisfy its own schema; nothing was published."""


class Written(NamedTuple):
    """One dataset as it was written."""

    name: str
    rows: int
    sha256: str
    changed: bool


def write_table(folder: Path, schema: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> Written:
    """Write `<name>.csv` and `<name>.schema.json`; raise `InvalidDataset` and leave the old file if a row is wrong."""
    names = [field["name"] for field in schema["fields"]]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    count = 0
    for row in rows:
        writer.writerow({name: _cell(row.get(name)) for name in names})
        count += 1
    data = text.getvalue().encode()
    _validate(schema, text.getvalue())
    _replace(folder / f"{schema['name']}.schema.json", _json(schema))
    changed = _replace(folder / f"{schema['name']}.csv", data)
    return Written(schema["name"], count, hashlib.sha256(data).hexdigest(), changed)


def write_alerts(folder: Path, disruptions: Mapping[str, Mapping[str, Any]], now: datetime) -> Written:
    """Write `perturbations.pb`, a GTFS-Realtime feed of alerts, FULL_DATASET."""
    message = gtfs_realtime_pb2.FeedMessage()
    message.header.gtfs_realtime_version = "2.0"
    message.header.incrementality = gtfs_realtime_pb2.FeedHeader.FULL_DATASET
    for payload in disruptions.values():
        entity = message.entity.add()
        entity.id = payload["disruption_id"]
        alert = entity.alert
        period = alert.active_period.add()
        if payload.get("starts_at"):
            period.start = int(_instant(payload["starts_at"]).timestamp())
        if payload.get("ends_at"):
            period.end = int(_instant(payload["ends_at"]).timestamp())
        for line in payload.get("lines", ()):
            selector = alert.informed_entity.add()
            selector.agency_id, selector.route_id = line.partition(":")[0], line
        if not alert.informed_entity:
            # The specification asks for at least one; a disruption without lines concerns the network.
            alert.informed_entity.add().agency_id = "SEM"
        _translate(alert.header_text, payload.get("title", ""))
        _translate(alert.description_text, payload.get("description", ""))
        if payload.get("url"):
            _translate(alert.url, payload["url"])
    content = message.SerializeToString(deterministic=True) if message.entity else b""
    digest = hashlib.sha256(content).hexdigest()
    message.header.timestamp = int(now.timestamp())
    _replace(folder / "perturbations.pb", message.SerializeToString(deterministic=True))
    return Written("perturbations.pb", len(disruptions), digest, True)


def write_catalogue(folder: Path, written: Sequence[tuple[Written, Mapping[str, Any]]], now: datetime) -> None:
    """Write `datapackage.json`: what is there, under which licence, from when."""
    package = {
        "profile": "data-package",
        "name": "donnees-ouvertes",
        "title": "Données ouvertes de la ville",
        "created": now.astimezone(UTC).isoformat(timespec="seconds"),
        "licenses": [LICENCE],
        "resources": [
            {
                "name": table.name,
                "path": f"{table.name}.csv",
                "title": schema["title"],
                "profile": "tabular-data-resource",
                "format": "csv",
                "mediatype": "text/csv",
                "encoding": "utf-8",
                "schema": f"{table.name}.schema.json",
                "hash": f"sha256:{table.sha256}",
            }
            for table, schema in written
        ]
        + [
            {
                "name": "perturbations-gtfs-rt",
                "path": "perturbations.pb",
                "title": "Perturbations, GTFS-Realtime Alerts",
                "format": "pb",
                "mediatype": "application/x-protobuf",
            }
        ],
    }
    _replace(folder / "datapackage.json", _json(package))


def disruption_row(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a disruption into a row of its dataset."""
    return {
        "id": payload["disruption_id"],
        "type": payload.get("kind", ""),
        "lignes": " ".join(payload.get("lines", ())),
        "debut": _iso(payload.get("starts_at")),
        "fin": _iso(payload.get("ends_at")),
        "titre": payload.get("title", ""),
        "description": payload.get("description", ""),
    }


def _validate(schema: Mapping[str, Any], text: str) -> None:
    rows = list(csv.reader(io.StringIO(text)))
    resource = Resource(data=rows, schema=Schema.from_descriptor(dict(schema)))
    if len(rows) > 1:
        report = resource.validate()
        if not report.valid:
            kinds = sorted({error[0] for error in report.flatten(["type"])})
            raise InvalidDataset(f"{schema['name']}: {', '.join(kinds)}")


def _replace(path: Path, data: bytes) -> bool:
    if path.exists() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    return True


def _json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode()


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


def _instant(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, UTC)
    return datetime.fromisoformat(value)


def _iso(value: Any) -> str:
    return _instant(value).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if value else ""


def _translate(target: Any, text: str) -> None:
    if text:
        translation = target.translation.add()
        translation.text, translation.language = text, "fr"

"""Open-data files: validated twice before anyone sees them, written whole, named as the city's warehouse does.

A file is written beside its place and moved there; a reader never sees half of one.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from frictionless import Resource, Schema

from hub.pipeline.table_schema import Misfit, check
from streams.open_data.dataset import Dataset
from streams.open_data.history import DatasetChange

LICENCE = {
    "name": "etalab-2.0",
    "title": "Licence Ouverte / Open Licence version 2.0",
    "path": "https://www.etalab.gouv.fr/licence-ouverte-open-licence/",
}
Row = Mapping[str, str]


class InvalidDataset(Exception):
    """A dataset does not satisfy its schema, and nothing of it was published; the text names fields and codes."""


class File(NamedTuple):
    """One file of a dataset."""

    path: str
    """Below the folder."""
    format: str
    mediatype: str
    title: str


class Export(NamedTuple):
    """A dataset as it stands in the folder."""

    dataset: Dataset
    rows: Sequence[Row]
    sha256: str
    """Of the CSV file."""
    files: tuple[File, ...]
    """The CSV file first."""
    changes: Sequence[DatasetChange]
    """Oldest first."""

    @property
    def changed_at(self) -> datetime:
        """When the file last changed."""
        return datetime.fromtimestamp(self.changes[-1].at / 1000, UTC)


def validated(dataset: Dataset, rows: Sequence[Row], now: datetime) -> tuple[bytes, dict[str, Any]]:
    """Return the CSV file and the report about it, in Validata's shape; raise `InvalidDataset` if a row is wrong."""
    names = dataset.columns
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", extrasaction="raise", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    began = time.monotonic()
    found = check(dataset.schema, names, rows) + _second_opinion(dataset.schema, text.getvalue())
    if found:
        kinds = sorted({f"{misfit.field or 'table'} ({misfit.code}, line {misfit.row})" for misfit in found})
        raise InvalidDataset(f"{dataset.name}: {', '.join(kinds[:5])}; correct the source, or its mapping")
    empty = [name for name in names if name not in dataset.manifest.columns]
    report = {
        "schema": dataset.schema.get("path", f"{dataset.name}/schema.json"),
        "url": "",
        "options": {"ignore_header_case": "false"},
        "date": now.isoformat(),
        "version": "1",
        "report": {
            "valid": True,
            "stats": {
                "errors": 0,
                "warnings": len(empty),
                "seconds": round(time.monotonic() - began, 3),
                "fields": len(names),
                "rows": len(rows),
                "rows_processed": len(rows),
            },
            "warnings": [f"Colonne vide : aucune source ne renseigne `{name}`." for name in empty],
            "errors": [],
        },
    }
    return text.getvalue().encode(), report


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a CSV file with a header, separated by commas or semicolons; nothing if there is none."""
    if not path.exists():
        return []
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidDataset(f"{path.name}: is not UTF-8; save it as UTF-8") from None
    header = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=";" if ";" in header else ",", strict=True)
    rows = []
    try:
        for row in reader:
            if None in row or None in row.values():
                raise InvalidDataset(f"{path.name}: line {reader.line_num} has not as many cells as the header")
            rows.append({name.strip(): value for name, value in row.items()})
    except csv.Error as error:
        raise InvalidDataset(f"{path.name}: line {reader.line_num} is not CSV: {error}") from None
    return rows


def files_of(dataset: Dataset, warehouse: str) -> tuple[File, ...]:
    """Name the files of a dataset: CSV, schema, report, changes."""
    place, name = f"{warehouse}/{dataset.manifest.theme}", dataset.manifest.file
    return (
        File(f"{place}/csv/{name}.csv", "csv", "text/csv", dataset.manifest.title),
        File(f"{place}/json/{name}.schema.json", "json", "application/json", "Schéma des colonnes (Table Schema)"),
        File(f"{place}/json/{name}.rapport.json", "json", "application/json", "Rapport de validation"),
        File(f"{place}/csv/{name}.modifications.csv", "csv", "text/csv", "Journal des modifications"),
    )


def changes_csv(changes: Iterable[DatasetChange]) -> bytes:
    """Write the log of changes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("date", "lignes_ajoutees", "lignes_retirees", "lignes_modifiees", "sha256"))
    for change in changes:
        moment = datetime.fromtimestamp(change.at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        writer.writerow((moment, change.added, change.removed, change.changed, change.sha256))
    return text.getvalue().encode()


def datapackage(exports: Sequence[Export], publisher: str, now: datetime) -> dict[str, Any]:
    """Describe what there is, as a Data Package."""
    return {
        "profile": "data-package",
        "name": "donnees-ouvertes",
        "title": f"Données ouvertes : {publisher}",
        "created": now.astimezone(UTC).isoformat(timespec="seconds"),
        "licenses": [LICENCE],
        "resources": [
            {
                "name": export.dataset.name if index == 0 else f"{export.dataset.name}-{file.path.rpartition('.')[2]}",
                "path": file.path,
                "title": file.title,
                "format": file.format,
                "mediatype": file.mediatype,
                **(
                    {
                        "profile": "tabular-data-resource",
                        "encoding": "utf-8",
                        "schema": export.files[1].path,
                        "hash": f"sha256:{export.sha256}",
                    }
                    if index == 0
                    else {}
                ),
            }
            for export in exports
            for index, file in enumerate((export.files[0], *export.files[4:]))
        ],
    }


def dcat(exports: Sequence[Export], publisher: str, root: str) -> dict[str, Any]:
    """Describe what there is by DCAT-AP, as JSON-LD; `root` is the address of the folder."""
    return {
        "@context": {
            "dcat": "http://www.w3.org/ns/dcat#",
            "dct": "http://purl.org/dc/terms/",
            "foaf": "http://xmlns.com/foaf/0.1/",
            "spdx": "http://spdx.org/rdf/terms#",
            "xsd": "http://www.w3.org/2001/XMLSchema#",
        },
        "@id": f"{root}/catalog.jsonld",
        "@type": "dcat:Catalog",
        "dct:title": {"@value": "Données ouvertes", "@language": "fr"},
        "dct:description": {"@value": "Jeux de données de la plateforme d'échanges", "@language": "fr"},
        "dct:publisher": {"@type": "foaf:Agent", "foaf:name": publisher},
        "dcat:dataset": [_dcat_dataset(export, publisher, root) for export in exports],
    }


def replace(path: Path, data: bytes) -> bool:
    """Write a file whole, unless it holds just that; tell whether it was written."""
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


def as_json(document: Mapping[str, Any]) -> bytes:
    """Write JSON as people read it."""
    return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode()


def digest(data: bytes) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(data).hexdigest()


def _dcat_dataset(export: Export, publisher: str, root: str) -> dict[str, Any]:
    manifest = export.dataset.manifest
    return {
        "@id": f"{root}/{export.dataset.name}.html",
        "@type": "dcat:Dataset",
        "dct:identifier": export.dataset.name,
        "dct:title": {"@value": manifest.title, "@language": "fr"},
        "dct:description": {"@value": manifest.description, "@language": "fr"},
        "dct:publisher": {"@type": "foaf:Agent", "foaf:name": publisher},
        "dct:modified": {"@value": export.changed_at.isoformat(timespec="seconds"), "@type": "xsd:dateTime"},
        "dcat:keyword": [{"@value": word, "@language": "fr"} for word in manifest.keywords],
        "dcat:distribution": [
            {
                "@id": f"{root}/{file.path}",
                "@type": "dcat:Distribution",
                "dct:title": {"@value": file.title, "@language": "fr"},
                "dct:license": {"@id": LICENCE["path"]},
                "dcat:accessURL": {"@id": f"{root}/{file.path}"},
                "dcat:downloadURL": {"@id": f"{root}/{file.path}"},
                "dcat:mediaType": {"@id": f"https://www.iana.org/assignments/media-types/{file.mediatype}"},
                **(
                    {
                        "spdx:checksum": {
                            "@type": "spdx:Checksum",
                            "spdx:algorithm": {"@id": "spdx:checksumAlgorithm_sha256"},
                            "spdx:checksumValue": {"@value": export.sha256, "@type": "xsd:hexBinary"},
                        }
                    }
                    if file is export.files[0]
                    else {}
                ),
            }
            for file in (export.files[0], *export.files[4:])
        ],
    }


def _second_opinion(schema: Mapping[str, Any], text: str) -> list[Misfit]:
    rows = list(csv.reader(io.StringIO(text)))
    if len(rows) < 2:
        return []
    # Its own checks are ours to make: frictionless knows them only with a plugin.
    descriptor = {name: value for name, value in schema.items() if name not in ("custom_checks", "path", "homepage")}
    report = Resource(data=rows, schema=Schema.from_descriptor(descriptor)).validate()
    found = report.flatten(["rowNumber", "fieldName", "type"])
    return [Misfit(row or 1, field or "", code) for row, field, code in found]

"""From records to what came, changed or went; a record is known by its identifier and its datestamp.

Memory: `recent`, the datestamps of the records that changed last, by identifier: lists overlap by a day.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.sources.library.oai_pmh import model
from hub.model.connector import Context, Mapped
from hub.model.event import Fact
from schemas.models.library import CatalogueRecordChanged, CatalogueRecordDeleted

State = Mapping[str, Any]

RECENT = 5000
"""Records that are remembered: more than change in a day."""


def records(previous: State | None, page: model.Page, context: Context) -> tuple[State, Mapped]:
    """Tell of each record of the page that was not told of under its datestamp."""
    recent: dict[str, str] = dict(previous["recent"]) if previous is not None else {}
    facts = []
    for record in page.records:
        if recent.get(record.identifier) != record.written:
            recent[record.identifier] = record.written
            facts.append(_fact(record, context))
    kept = sorted(recent.items(), key=lambda item: item[1], reverse=True)[:RECENT]
    return {"recent": dict(kept)}, facts if page.records else "no_record"


def _fact(record: model.Record, context: Context) -> Fact:
    names = {"record_id": record.identifier, "local_id": record.identifier.rpartition(":")[2]}
    told = {"title": record.title, "author": record.author, "isbn": record.isbn, "document_kind": record.kind}
    payload = CatalogueRecordDeleted(**names) if record.deleted else CatalogueRecordChanged(**names, **told)
    moment = min(record.datestamp, context.read_at)
    return Fact(payload, f"oai_pmh:{record.identifier}", moment, record.identifier, (record.identifier, record.written))

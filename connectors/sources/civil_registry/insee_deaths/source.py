"""Reads the folder of files, row by row."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import BaseModel, ValidationError

from connectors.sources.civil_registry.insee_deaths.model import Deaths, Opposition
from hub.model.errors import Rejected
from hub.model.intake import Cursor, Intake
from hub.pipeline import decode, files

_DEATHS = re.compile(r"deces-[\w.-]{1,80}\.txt", re.IGNORECASE)
_OPPOSITION = re.compile(r"fichier-opposition-deces-[\w.-]{1,80}\.csv", re.IGNORECASE)


def poll(cursor: Cursor, settings: Mapping[str, str]) -> Intake:  # noqa: ARG001
    """Read what is new in the folder."""
    yield from files.poll(cursor, _kind)


def _kind(name: str) -> files.Kind | None:
    if _OPPOSITION.fullmatch(name):
        return files.Kind("opposition", "text/csv", lambda row: _key(Opposition, decode.csv, row), header=True)
    if _DEATHS.fullmatch(name):
        return files.Kind("deaths", "text/plain", lambda row: _key(Deaths, decode.text, row))
    return None


def _key(model: type[BaseModel], read: object, row: bytes) -> str:
    """Name the death that a row is about; rows that nobody can read share a name, and each is set aside."""
    try:
        (line,) = model.model_validate(read(row)).root  # type: ignore[attr-defined,operator]
    except (Rejected, ValidationError, ValueError):
        return "insee_deaths:?"
    return f"insee_deaths:{line.key}"

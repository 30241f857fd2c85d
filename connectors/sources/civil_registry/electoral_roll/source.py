"""Reads whole rolls, in shares."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256

from pydantic import ValidationError

from connectors.sources.civil_registry.electoral_roll.model import Roll
from hub.model.errors import Rejected
from hub.model.intake import Cursor, Intake
from hub.pipeline import decode, files

SHARES = tuple(f"electoral_roll:{number:02x}" for number in range(64))

_NAME = re.compile(r"liste-electorale-[\w.-]{1,80}\.csv", re.IGNORECASE)


def poll(cursor: Cursor, settings: Mapping[str, str]) -> Intake:  # noqa: ARG001
    """Read what is new in the folder."""
    yield from files.poll(cursor, _kind)


def _kind(name: str) -> files.Kind | None:
    return files.Kind("roll", "text/csv", _share, header=True, shares=SHARES) if _NAME.fullmatch(name) else None


def _share(row: bytes) -> str:
    """Choose the share of a row; one that nobody can read goes to the first, which is set aside with it."""
    try:
        (elector,) = Roll.model_validate(decode.csv(row)).rows
    except (Rejected, ValidationError, ValueError):
        return ""
    return SHARES[sha256(elector.id.encode()).digest()[0] % len(SHARES)]

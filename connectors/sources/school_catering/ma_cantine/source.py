"""Reads the files of purchases and canteens, row by row."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hub.model.intake import Cursor, Intake
from hub.pipeline import files

_DIGITS = re.compile(r"[0-9]{14}")


def poll(cursor: Cursor, settings: Mapping[str, str]) -> Intake:  # noqa: ARG001
    """Read what is new in the folder."""
    return files.poll(cursor, kind_of)


def kind_of(name: str) -> files.Kind | None:
    """Tell by its name what a file holds; the platform's own name is part of many."""
    plain = name.lower().replace("ma-cantine", "").replace("ma_cantine", "")
    if not plain.endswith((".csv", ".tsv")):
        return None
    for feed, words in (("purchases", ("achat", "purchase")), ("canteens", ("cantine", "canteen"))):
        if any(word in plain for word in words):
            return files.Kind(feed, "text/csv", _key, header=True)
    return None


def _key(row: bytes) -> str:
    siret = "".join(files.columns(row).get("siret", "").split())
    # What names no canteen has a key of its own, and holds nobody back.
    return f"ma_cantine:{siret if _DIGITS.fullmatch(siret) else 'unknown'}"

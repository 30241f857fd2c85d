"""The roll's columns, as far as they are read; what is personal serves to tell electors apart, and goes no further."""

from __future__ import annotations

import re
import unicodedata
from hashlib import sha256
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hub.model.errors import Invalid

MANDATORY = (
    "Sexe",
    "NomdeNaissance",
    "Prenoms",
    "DateDeNaissance",
    "NomComNaissance",
    "DeptNaissance",
    "PaysNaissance",
)
"""Columns that the decree makes mandatory."""

_DAY = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4})")


class Elector(BaseModel):
    """A row."""

    model_config = ConfigDict(extra="ignore", frozen=True, str_max_length=300)

    TypeListe: str = Field(default="", max_length=40)
    DateCreationListe: str = ""
    NoElecteurGeneral: str = Field(default="", max_length=40, pattern=r"^[\x21-\x7e]*$")
    Sexe: str = Field(pattern="^[MF]$")
    NomdeNaissance: str
    Prenoms: str
    DateDeNaissance: str = Field(pattern=r"^[0-9]{2}/[0-9]{2}/[0-9]{4}$")
    NomComNaissance: str
    DeptNaissance: str
    PaysNaissance: str
    NomBureauDeVote: str = Field(default="", max_length=200)
    NoBureauDeVote: str = Field(default="", max_length=20)

    @property
    def id(self) -> str:
        """Name the elector, the same in each roll."""
        if self.NoElecteurGeneral:
            return self.NoElecteurGeneral
        told = "\x1f".join(_plain(getattr(self, name)) for name in MANDATORY)
        return sha256(told.encode("utf-8", "replace")).hexdigest()[:32]

    @property
    def written(self) -> str:
        """Return the day of the roll, `YYYY-MM-DD`; nothing where it does not say."""
        match = _DAY.fullmatch(self.DateCreationListe)
        return "-".join(reversed(match.groups())) if match else ""


class Roll(BaseModel):
    """Rows of a roll; none is how a share without electors is written."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    rows: list[Elector]

    @model_validator(mode="before")
    @classmethod
    def _columns(cls, table: Any) -> Any:
        if isinstance(table, dict) and isinstance(table.get("columns"), list):
            missing = [name for name in MANDATORY if name not in table["columns"]]
            if missing:
                raise Invalid("a mandatory column is missing", fields=tuple(missing))
        return table


def _plain(text: str) -> str:
    """Write a name without what one roll has and the next has not: accents, kinds of apostrophe, hyphens."""
    letters = (letter for letter in unicodedata.normalize("NFD", text.upper()) if not unicodedata.combining(letter))
    return " ".join("".join(letter if letter.isalnum() else " " for letter in letters).split())

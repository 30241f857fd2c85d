"""The two files, row by row; a date is `AAAA-MM-JJ` with `00` for what nobody knows."""

from __future__ import annotations

import re
import unicodedata
from calendar import monthrange
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, RootModel, model_validator

from hub.model.errors import Invalid

WIDTHS = {
    "name": 80,
    "sex": 1,
    "birth_date": 8,
    "birth_place": 5,
    "birth_commune": 30,
    "birth_country": 30,
    "death_date": 8,
    "death_place": 5,
    "number": 10,
}
SHORTEST = sum(WIDTHS.values()) - WIDTHS["number"] + 1
"""Characters of a line that has at least one of its record's number."""
COLUMNS = {
    "date de deces": "death_date",
    "code du lieu de deces": "death_place",
    "numero d'acte de deces": "number",
}

_COMPACT = re.compile(r"[0-9]{8}")
_ISO = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_FRENCH = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4})")


def _date(value: Any) -> Any:
    """Read a date of which parts are unknown, or cannot be; what is finer than such a part is unknown too."""
    text = str(value).strip()
    if match := _ISO.fullmatch(text):
        text = "".join(match.groups())
    elif match := _FRENCH.fullmatch(text):
        text = "".join(reversed(match.groups()))
    if not _COMPACT.fullmatch(text):
        raise ValueError("not a date")
    year, month, day = int(text[:4]), int(text[4:6]), int(text[6:])
    if not year or not 1 <= month <= 12:
        month = day = 0
    elif day > monthrange(year, month)[1]:
        day = 0
    return f"{year:04}-{month:02}-{day:02}"


def _plain(name: str) -> str:
    decomposed = unicodedata.normalize("NFD", name.replace("\u2019", "'"))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).strip().lower()


Day = Annotated[str, BeforeValidator(_date)]
Place = Annotated[str, Field(pattern=r"^([0-9]{5}|[0-9][AB][0-9]{3})?$")]
"""Code of a commune or a country, of today or of the past."""
Number = Annotated[str, Field(min_length=1, max_length=10, pattern=r"^[0-9A-Za-z /.-]+$")]


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, str_strip_whitespace=True)

    death_date: Day
    death_place: Place
    number: Number

    @property
    def key(self) -> str:
        """Name the death as both files do."""
        return f"{self.death_date}:{self.death_place}:{self.number}"


class Death(_Row):
    """A line of the monthly file."""

    name: str = Field(max_length=80)
    sex: str = Field(pattern="^[12]$")
    birth_date: Day
    birth_place: Place
    birth_commune: str = Field(max_length=30)
    birth_country: str = Field(max_length=30)

    @property
    def family_name(self) -> str:
        """Return what stands before `*`; all of it where that is missing."""
        return self.name.partition("*")[0].rstrip("/").strip()

    @property
    def given_names(self) -> str:
        """Return what stands between `*` and `/`."""
        return self.name.partition("*")[2].partition("/")[0].strip()


class Deaths(RootModel[list[Death]]):
    """Lines of the monthly file."""

    @model_validator(mode="before")
    @classmethod
    def _lines(cls, text: Any) -> Any:
        if not isinstance(text, str):
            return text
        lines = [line for line in text.replace("\r\n", "\n").split("\n") if line.strip()]
        if not lines:
            raise Invalid("no line")
        found = []
        for line in lines:
            if len(line.rstrip()) < SHORTEST:
                raise Invalid("a line that is cut", fields=("number",))
            row, at = {}, 0
            for name, width in WIDTHS.items():
                row[name] = line[at : at + width]
                at += width
            found.append(row)
        return found


class Opposition(RootModel[list[_Row]]):
    """Lines of the companion file."""

    @model_validator(mode="before")
    @classmethod
    def _rows(cls, table: Any) -> Any:
        if not isinstance(table, dict) or "rows" not in table:
            return table
        names = {column: COLUMNS.get(_plain(column)) for column in table["columns"]}
        missing = set(COLUMNS.values()) - set(names.values())
        if missing:
            raise Invalid("a column is missing", fields=tuple(sorted(missing)))
        if not table["rows"]:
            raise Invalid("no line")
        return [{inner: row.get(column) for column, inner in names.items() if inner} for row in table["rows"]]

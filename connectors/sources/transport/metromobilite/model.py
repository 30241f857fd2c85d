"""The snapshot of disruptions as the vendor writes it.

One disruption that cannot be read does not spoil the others: it is marked, and the mapping goes by what
is known of it.  If half of them cannot be read, the format has changed, and nothing is believed.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, NamedTuple, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NaiveDatetime,
    PlainValidator,
    RootModel,
    ValidationError,
    model_validator,
)

from hub.model.errors import Invalid

_TIME = re.compile(r"[0-3][0-9]/[01][0-9]/20[0-9]{2} [0-2][0-9]:[0-5][0-9]")
_NEVER = "31/12/2050 23:59"
_NUMBER = re.compile(r"-?[0-9]{1,3}(\.[0-9]{1,20})?")
_ADDRESS = re.compile(r"https?://[\x21-\x7e]{1,1990}")
_ROUTE = re.compile(r"[0-9A-Za-z]+[_:][\x21-\x7e]{1,60}")


def _local(value: Any) -> Any:
    """Read `DD/MM/YYYY HH:mm`; no text and the last minute of 2050 are no time."""
    if value is None or value in ("", _NEVER):
        return None
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise ValueError("not a local time")
    day, month, year = value[:10].split("/")
    return datetime.fromisoformat(f"{year}-{month}-{day}T{value[11:]}")


def _degrees(value: Any) -> Any:
    """Read a number, or a number in a text; -1 and no text are no place."""
    if isinstance(value, str):
        text = value.strip()
        if text and not _NUMBER.fullmatch(text):
            raise ValueError("not a number")
        value = float(text) if text else None
    if value is None or value == -1:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1000 < value < 1000:
        raise ValueError("not a number")
    return float(value)


def _routes(value: Any) -> Any:
    """Read a list with commas, `SEM_48,SEM_C5`, as routes, `SEM:48`."""
    if value is None:
        return ()
    if not isinstance(value, str):
        raise ValueError("not a list with commas")
    names = [name.strip() for name in value.split(",")]
    if any(name and not _ROUTE.fullmatch(name) for name in names):
        raise ValueError("not a route")
    return tuple(name if ":" in name else name.replace("_", ":", 1) for name in names if name)


def _address(value: Any) -> Any:
    """Take a web address, and nothing else for one."""
    return value if isinstance(value, str) and _ADDRESS.fullmatch(value) else None


def _text(value: Any) -> Any:
    """Take no text for an empty one, and no half of a character (JSON can say one): nothing could write it down."""
    if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ValueError("half a character")
    return "" if value is None else value


Local = Annotated[NaiveDatetime | None, BeforeValidator(_local)]
Routes = Annotated[tuple[str, ...], BeforeValidator(_routes)]
Text = Annotated[str, BeforeValidator(_text)]


class Disruption(BaseModel):
    """One entry of the snapshot; its `id` differs from its code, and means nothing here."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    type: Text = Field(min_length=1, max_length=80)
    dateDebut: Local = None
    dateFin: Local = None
    latitude: Annotated[Annotated[float, Field(ge=-90, le=90)] | None, BeforeValidator(_degrees)] = None
    longitude: Annotated[Annotated[float, Field(ge=-180, le=180)] | None, BeforeValidator(_degrees)] = None
    listeLigneArret: Routes = ()
    listeLigne: Routes = ()
    texte: Text = ""
    """`titre|Du …|Jusqu'à …|détail|arrêts`."""
    titre: Text = ""
    description: Text = ""
    plan: Annotated[str | None, BeforeValidator(_address)] = None
    visibleTC: bool | None = None


class Unreadable(NamedTuple):
    """An entry that is not of the documented shape, and the fields that are wrong with it."""

    fields: tuple[str, ...]


def _entry(value: Any) -> Disruption | Unreadable:
    try:
        return Disruption.model_validate(value)
    except ValidationError as error:
        return Unreadable(tuple(sorted({str(problem["loc"][0]) for problem in error.errors() if problem["loc"]})))


class Snapshot(RootModel[dict[str, Annotated[Disruption | Unreadable, PlainValidator(_entry)]]]):
    """Everything that goes on, by code."""

    @model_validator(mode="after")
    def _readable(self) -> Self:
        wrong = [entry for entry in self.root.values() if isinstance(entry, Unreadable)]
        if wrong and 2 * len(wrong) >= len(self.root):
            fields = sorted({field for entry in wrong for field in entry.fields})
            raise Invalid("half of the disruptions or more", fields=tuple(f"*.{field}" for field in fields[:5]))
        return self

"""The two files about stations, of both versions; a station that cannot be read does not spoil the others."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, NamedTuple, Self, TypeVar

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    model_validator,
)

from hub.model.errors import Invalid, Unsupported

MOST = 1_000_000
"""Vehicles or docks of a station at most: more is a mistake."""
LATEST = 7_258_118_400
"""Seconds: the year 2200."""

_FRENCH = re.compile(r"fr\b", re.IGNORECASE)
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:?[0-9]{2})")


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _count(value: Any) -> Any:
    """Read a count; one below 0 is how `unknown` is written."""
    value = _whole(value)
    return None if isinstance(value, int) and not isinstance(value, bool) and value < 0 else value


def _flag(value: Any) -> Any:
    """Read a flag; 0 and 1 are how version 1 wrote it, and some still do."""
    return bool(value) if isinstance(value, int) and value in (0, 1) else value


def _id(value: Any) -> Any:
    return str(value) if isinstance(value, int) and 0 <= value < 10**18 and not isinstance(value, bool) else value


def _moment(value: Any) -> Any:
    """Read seconds, or ISO 8601 with an offset; a moment without one is none."""
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        return int(datetime.fromisoformat(value).timestamp())
    return _whole(value)


def _text(value: Any) -> Any:
    """Take the French text of several, else the first that says something."""
    if isinstance(value, list):
        texts = [one for one in value if isinstance(one, dict)]
        if not texts or len(texts) < len(value):
            raise ValueError("not texts by language")
        value = min(texts, key=lambda one: (not one.get("text"), not _FRENCH.match(str(one.get("language"))))).get(
            "text"
        )
    if isinstance(value, str):
        # Half of a surrogate pair can be read from JSON, is no text (`ValueError`), and must spoil no other station.
        value.encode()
        value = value.strip()
    return value


Id = Annotated[str, BeforeValidator(_id), Field(min_length=1, max_length=100, pattern=r"^[\x21-\x7e]+$")]
Count = Annotated[Annotated[int, Field(le=MOST)] | None, BeforeValidator(_count)]
Flag = Annotated[bool, BeforeValidator(_flag)]


class Station(BaseModel):
    """What is said of a station."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    station_id: Id
    name: Annotated[str, BeforeValidator(_text), Field(max_length=300)]
    lat: float = Field(ge=-90, le=90)
    lon: float = Field(ge=-180, le=180)
    capacity: Count = None


class Availability(BaseModel):
    """What a station has now."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    station_id: Id
    vehicles: Count = Field(validation_alias=AliasChoices("num_vehicles_available", "num_bikes_available"))
    num_docks_available: Count = None
    is_installed: Flag
    is_renting: Flag
    is_returning: Flag


Kind = TypeVar("Kind", Station, Availability)


class Unreadable(NamedTuple):
    """One that is not of the documented shape; its id, if that can be read."""

    station_id: str


def _or_unreadable(kind: type[Kind]) -> Callable[[Any], Kind | Unreadable]:
    def read(value: Any) -> Kind | Unreadable:
        try:
            return kind.model_validate(value)
        except ValidationError:
            name = _id(value.get("station_id")) if isinstance(value, dict) else None
            return Unreadable(name if isinstance(name, str) else "")

    return read


class _File(BaseModel):
    """What every file has around its data."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    version: str = Field(max_length=20)
    last_updated: Annotated[int, BeforeValidator(_moment), Field(ge=0, le=LATEST)]

    @model_validator(mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        version = value.get("version") if isinstance(value, dict) else None
        if isinstance(version, str) and not version.startswith(("2.", "3.")):
            raise Unsupported("a version other than 2 and 3", fields=("version",))
        return value


def _readable(stations: list[Any]) -> None:
    wrong = sum(isinstance(one, Unreadable) for one in stations)
    if wrong and 2 * wrong >= len(stations):
        raise Invalid("half of the stations or more", fields=("data.stations.*",))


class Stations(BaseModel):
    """The stations of `station_information`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    stations: list[Annotated[Station | Unreadable, PlainValidator(_or_unreadable(Station))]] = Field(max_length=10_000)

    @model_validator(mode="after")
    def _half(self) -> Self:
        _readable(self.stations)
        return self


class Availabilities(BaseModel):
    """The stations of `station_status`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    stations: list[Annotated[Availability | Unreadable, PlainValidator(_or_unreadable(Availability))]] = Field(
        max_length=10_000
    )

    @model_validator(mode="after")
    def _half(self) -> Self:
        _readable(self.stations)
        return self


class Information(_File):
    """`station_information`."""

    data: Stations


class Status(_File):
    """`station_status`."""

    data: Availabilities

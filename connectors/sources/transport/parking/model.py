"""The collection of car parks; one that cannot be read does not spoil the others."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationError, model_validator

from hub.model.errors import Invalid

_ROUTE = re.compile(r"[0-9A-Za-z]+[_:][\x21-\x7e]{1,60}")
MOST = 1_000_000
"""Places of a car park at most: more is a mistake."""


def _places(value: Any) -> Any:
    """Read a number of places, or a number in a text; anything below 0 is how `unknown` is written."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,7}", value.strip()):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return None if isinstance(value, int) and not isinstance(value, bool) and value < 0 else value


def _routes(value: Any) -> Any:
    if value is None:
        return ()
    if not isinstance(value, str):
        raise ValueError("not a list with commas")
    names = [name.strip() for name in value.split(",")]
    if any(name and not _ROUTE.fullmatch(name) for name in names):
        raise ValueError("not a route")
    return tuple(name.replace("_", ":", 1) for name in names if name)


Places = Annotated[Annotated[int, Field(le=MOST)] | None, BeforeValidator(_places)]
Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value), Field(max_length=300)]


class Properties(BaseModel):
    """What is known of a car park."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    CODE: str = Field(min_length=1, max_length=100, pattern=r"^[\x21-\x7e]+$")
    LIBELLE: Text = ""
    TYPE: Text = ""
    TOTAL: Places = None
    DISPO: Places = None
    LIGNES: Annotated[tuple[str, ...], BeforeValidator(_routes)] = ()


class Point(BaseModel):
    """Where it is: longitude, latitude."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    type: Literal["Point"]
    coordinates: Annotated[
        tuple[Annotated[float, Field(ge=-180, le=180)], Annotated[float, Field(ge=-90, le=90)]],
        BeforeValidator(lambda value: value[:2] if isinstance(value, list) else value),
    ]


class Feature(BaseModel):
    """A car park."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    properties: Properties
    geometry: Point | None = None


class Unreadable(NamedTuple):
    """One that is not of the documented shape; its code, if that can be read."""

    code: str


def _feature(value: Any) -> Feature | Unreadable:
    try:
        return Feature.model_validate(value)
    except ValidationError:
        properties = value.get("properties") if isinstance(value, dict) else None
        code = properties.get("CODE") if isinstance(properties, dict) else None
        return Unreadable(code if isinstance(code, str) else "")


class Collection(BaseModel):
    """All car parks; foreign members are allowed."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    type: Literal["FeatureCollection"]
    features: list[Annotated[Feature | Unreadable, PlainValidator(_feature)]] = Field(max_length=10_000)

    @model_validator(mode="after")
    def _readable(self) -> Self:
        wrong = sum(isinstance(one, Unreadable) for one in self.features)
        if wrong and 2 * wrong >= len(self.features):
            raise Invalid("half of the car parks or more", fields=("features.*.properties",))
        return self

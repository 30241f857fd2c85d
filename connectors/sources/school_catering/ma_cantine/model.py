"""Rows of the files that are imported into ma cantine, as far as an event needs them."""

from __future__ import annotations

import re
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hub.model.errors import Invalid
from schemas.models.school_catering import EgalimCategory, FoodFamily, FoodOrigin

_DAY = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}")
_NUMBER = re.compile(r"-?[0-9]{1,10}([.,][0-9]{1,30})?")
_SPACES = re.compile(r"[\s\u00a0\u202f]")
LA_POSTE = "356000000"


def _siret(value: Any) -> Any:
    """Check 14 digits by their sum: Luhn's, or a plain one for the branches of La Poste."""
    digits = _SPACES.sub("", value) if isinstance(value, str) else ""
    if not re.fullmatch("[0-9]{14}", digits):
        raise ValueError("not a SIRET")
    doubled = [int(digit) * (2 - place % 2) for place, digit in enumerate(digits)]
    luhn = sum(number - 9 * (number > 9) for number in doubled) % 10 == 0
    if not luhn and not (digits.startswith(LA_POSTE) and sum(map(int, digits)) % 5 == 0):
        raise ValueError("not a SIRET")
    return digits


def _maybe_siret(value: Any) -> Any:
    return "" if value == "" else _siret(value)


def _day(value: Any) -> Any:
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise ValueError("not a day")
    return date.fromisoformat(value)


def _cents(value: Any) -> Any:
    """Read a price; what is below a cent is the noise of binary fractions."""
    text = _SPACES.sub("", value) if isinstance(value, str) else ""
    if not _NUMBER.fullmatch(text):
        raise ValueError("not a price")
    return int((Decimal(text.replace(",", ".")) * 100).quantize(Decimal(1), ROUND_HALF_UP))


def _flag(value: Any) -> Any:
    """Read a cross as yes and nothing as no."""
    word = value.casefold() if isinstance(value, str) else None
    if word not in ("x", "oui", "non", ""):
        raise ValueError("not a cross, not oui or non")
    return word in ("x", "oui")


def _count(value: Any) -> Any:
    if value == "":
        return None
    text = _SPACES.sub("", value) if isinstance(value, str) else ""
    if not re.fullmatch("[0-9]{1,9}", text):
        raise ValueError("not a count")
    return int(text)


def _family(value: Any) -> Any:
    if not isinstance(value, str) or value == "UNKNOWN" or value not in FoodFamily.__members__:
        raise ValueError("not a family of products")
    return FoodFamily(value)


def _categories(value: Any) -> Any:
    words = [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else [""]
    if any(word == "UNKNOWN" or word not in EgalimCategory.__members__ for word in words):
        raise ValueError("not categories of EGalim")
    return tuple(EgalimCategory(word) for word in sorted(set(words)))


def _origin(value: Any) -> Any:
    if value not in ("EUROPE", "FRANCE", ""):
        raise ValueError("not an origin")
    return FoodOrigin(value) if value else FoodOrigin.UNKNOWN


def _sectors(value: Any) -> Any:
    return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value


Siret = Annotated[str, BeforeValidator(_siret)]
Text = Annotated[str, Field(max_length=1000)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class _Table(_Strict):
    NEEDED: ClassVar[tuple[str, ...]]

    @model_validator(mode="before")
    @classmethod
    def _shaped(cls, table: Any) -> Any:
        """Say by name which columns are missing, and that a row has too many cells."""
        if not isinstance(table, dict):
            return table
        columns = table.get("columns")
        missing = tuple(name for name in cls.NEEDED if not isinstance(columns, list) or name not in columns)
        if missing:
            raise Invalid("columns are missing", fields=missing)
        rows = table.get("rows")
        if isinstance(rows, list) and any(isinstance(row, dict) and any(row.get("", ())) for row in rows):
            raise Invalid("more cells than columns", fields=("rows",))
        return table


class Purchase(_Strict):
    """One purchase."""

    siret: Siret
    description: Text = ""
    fournisseur: Text = ""
    date: Annotated[date, BeforeValidator(_day)]
    prix_ht: Annotated[int, BeforeValidator(_cents)]
    """In cents."""
    famille_produits: Annotated[FoodFamily, BeforeValidator(_family)]
    categories_egalim: Annotated[tuple[EgalimCategory, ...], BeforeValidator(_categories)]
    origine: Annotated[FoodOrigin, BeforeValidator(_origin)]
    est_circuit_court: Annotated[bool, BeforeValidator(_flag)]
    est_local: Annotated[bool, BeforeValidator(_flag)]


class Purchases(_Table):
    """Purchases, most often one."""

    NEEDED = (
        *("siret", "date", "prix_ht", "famille_produits"),
        *("categories_egalim", "origine", "est_circuit_court", "est_local"),
    )

    rows: list[Purchase]


class Canteen(_Strict):
    """One canteen."""

    siret: Siret
    nom: str = Field(min_length=1, max_length=200)
    siret_cuisine_centrale: Annotated[str, BeforeValidator(_maybe_siret)] = ""
    nombre_repas_jour: Annotated[int | None, BeforeValidator(_count)] = None
    nombre_repas_an: Annotated[int | None, BeforeValidator(_count)] = None
    secteurs: Annotated[tuple[Annotated[str, Field(max_length=120)], ...], BeforeValidator(_sectors)] = ()
    type_production: str = Field(default="", max_length=80)
    type_gestion: str = Field(default="", max_length=80)

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, row: Any) -> Any:
        """Take the former name of the central kitchen."""
        if isinstance(row, dict) and "siret_livreur_repas" in row:
            return {"siret_cuisine_centrale": row["siret_livreur_repas"], **row}
        return row


class Canteens(_Table):
    """Canteens, most often one."""

    NEEDED = ("siret", "nom", "nombre_repas_jour", "nombre_repas_an", "secteurs", "type_production", "type_gestion")

    rows: list[Canteen]

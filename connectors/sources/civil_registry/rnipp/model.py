"""An answer, well-formed or nearly; what the register says of a person is read only as far as it is there."""

from __future__ import annotations

import hashlib
import re
from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hub.model.errors import VendorError
from hub.pipeline.decode import xml

ROOT = "IdentificationsIndividusCitoyens"
_DECLARATION = re.compile(r"<\?xml\b[^<>]{0,200}\?>")


def _none_if_empty(value: Any) -> Any:
    if isinstance(value, dict) and all(name.startswith("@") for name in value):
        return None
    return None if value == "" else value


def _as_list(value: Any) -> Any:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _day(value: Any) -> Any:
    return value[:10] if isinstance(value, str) and value else None


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Names(_Part):
    """Whether there is a family name; which one is nobody's business."""

    NomFamille: Annotated[Any, BeforeValidator(_none_if_empty)] = None


class Person(_Part):
    """A person of the register."""

    Noms: Annotated[Names | None, BeforeValidator(_none_if_empty)] = None
    Deces: Any = None


class Situation(_Part):
    """What the register says now."""

    Individu: Person


class Differences(_Part):
    """What differs from the question: all six are said."""

    DivergenceNom: bool
    DivergencePrenoms: bool
    DivergenceSexe: bool
    DivergenceDateNaissance: bool
    DivergenceLieuNaissance: bool
    DivergenceNIR: bool


class Found(_Part):
    """One person that may be meant."""

    SituationActuelle: Annotated[Situation | None, BeforeValidator(_none_if_empty)] = None
    Divergences: Annotated[Differences | None, BeforeValidator(_none_if_empty)] = None


class Answer(_Part):
    """The whole answer."""

    question: Annotated[str, Field(alias="@uriDemande", max_length=4000)] = ""
    dateValidite: Annotated[date | None, BeforeValidator(_day), Field(alias="@dateValidite")] = None
    TypeReponseIdentification: int = Field(ge=0, le=999)
    IdentificationIndividuCitoyen: Annotated[list[Found], BeforeValidator(_as_list), Field(max_length=100)] = []
    digest: str

    @model_validator(mode="before")
    @classmethod
    def parsed(cls, text: Any) -> Any:
        """Parse what is XML but for declarations where none may be."""
        if not isinstance(text, str):
            raise ValueError("not text")
        if text.strip().casefold().startswith("mauvais format"):
            raise VendorError("the register did not understand the question")
        plain = _local(xml(_DECLARATION.sub("", text).strip().encode("utf-8", "replace")))
        root = plain.get(ROOT)
        if not isinstance(root, dict):
            raise ValueError("another document")
        return root | {"digest": digest(text)}

    @property
    def request_id(self) -> str:
        """A digest of the question, which names a person; of the answer where it quotes none."""
        return digest(self.question) if self.question else f"answer-{self.digest}"


def digest(text: str) -> str:
    """Stand for a text that must not be told."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def _local(value: Any) -> Any:
    """Take the prefixes off the names of elements."""
    if isinstance(value, dict):
        return {name.rpartition(":")[2] if name[:1] != "@" else name: _local(below) for name, below in value.items()}
    return [_local(below) for below in value] if isinstance(value, list) else value

"""A form's data, as far as it is read; what was filled in ends here."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}/[0-9]{1,12}")
"""Form and number."""
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
_MOMENT = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?")


def _moment(value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        raise ValueError("not a local moment")
    return datetime.fromisoformat(value)


def name_of(document: Any) -> str | None:
    """Return form and number of a form's data; None where it does not say them."""
    if not isinstance(document, dict):
        return None
    name = str(document.get("id"))
    if name.isdecimal() and isinstance(url := document.get("url"), str):
        path = re.split("[?#]", url, maxsplit=1)[0]
        name = "/".join([part for part in path.split("/") if part][-2:])
    return name if NAME.fullmatch(name) else None


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Step(_Record):
    """A step of a workflow."""

    id: Annotated[str, BeforeValidator(str), Field(min_length=1, max_length=60)]
    name: str = Field(default="", max_length=120)


class Workflow(_Record):
    """Where a form stands."""

    status: Step


class User(_Record):
    """Who filed it."""

    id: Annotated[str, BeforeValidator(lambda value: "" if value is None else str(value))] = ""
    name_id: list[str] = Field(default=[], alias="NameID", max_length=10)

    @property
    def account(self) -> str | None:
        """The account's uuid, where the user has one."""
        for text in (*self.name_id, self.id):
            plain = text.lower().replace("-", "")
            if _UUID.fullmatch(plain):
                return f"{plain[:8]}-{plain[8:12]}-{plain[12:16]}-{plain[16:20]}-{plain[20:]}"
        return None


class Form(_Record):
    """A form that was filed, or is being written."""

    name: str
    received: Annotated[datetime | None, BeforeValidator(_moment)] = Field(default=None, alias="receipt_time")
    updated: Annotated[datetime | None, BeforeValidator(_moment)] = Field(default=None, alias="last_update_time")
    user: User | None = None
    workflow: Workflow

    @model_validator(mode="before")
    @classmethod
    def _named(cls, document: Any) -> Any:
        if not isinstance(document, dict):
            return document
        return {**document, "name": name_of(document)}

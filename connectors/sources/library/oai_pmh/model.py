"""A page of records, whatever prefixes its namespaces have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hub.model.errors import Invalid, VendorError
from hub.pipeline.soap import bare

_STAMP = re.compile(r"[12][0-9]{3}-[01][0-9]-[0-3][0-9](T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?Z)?")
_ISBN = re.compile(r"(?:97[89])?[0-9]{9}[0-9X]")
TITLE, AUTHOR, KIND = 500, 300, 60
"""Characters that an event takes."""


def _stamp(value: Any) -> Any:
    text = _words(value)
    if not _STAMP.fullmatch(text):
        raise ValueError("not a datestamp")
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


Stamp = Annotated[datetime, BeforeValidator(_stamp)]


class Record(BaseModel):
    """A record of the catalogue; without metadata where it was deleted."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    identifier: str = Field(min_length=1, max_length=180, pattern=r"^[\x21-\x7e]+$")
    datestamp: Stamp
    written: str
    """The datestamp as it came: part of the fact's identity."""
    deleted: bool
    title: str = ""
    author: str = ""
    isbn: str = ""
    kind: str = ""


class Page(BaseModel):
    """A page of a list."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    records: list[Record] = Field(max_length=20_000)

    @model_validator(mode="before")
    @classmethod
    def _of(cls, document: Any) -> Any:
        page = bare(document)
        page = page.get("OAI-PMH") if isinstance(page, Mapping) else None
        if not isinstance(page, Mapping):
            raise Invalid("no page of OAI-PMH", fields=("OAI-PMH",))
        errors = [str(one.get("code", "")) for one in _all(page.get("error")) if isinstance(one, Mapping)]
        if "error" in page and errors != ["noRecordsMatch"]:
            raise VendorError("the repository reports an error", fields=("error",))
        listed = page.get("ListRecords")
        if "error" not in page and not isinstance(listed, Mapping):
            raise Invalid("no list of records", fields=("ListRecords",))
        return {"records": [_record(one) for one in _all((listed or {}).get("record"))]}


def _record(one: Any) -> Any:
    header = one.get("header") if isinstance(one, Mapping) else None
    if not isinstance(header, Mapping):
        return {}
    told = {
        "identifier": _words(header.get("identifier")),
        "datestamp": header.get("datestamp"),
        "written": _words(header.get("datestamp"))[:40],
        "deleted": header.get("status") == "deleted",
    }
    metadata = one.get("metadata")
    if isinstance(metadata, Mapping):
        dublin, marc = metadata.get("dc"), metadata.get("record")
        if isinstance(dublin, Mapping):
            told |= _dublin(dublin)
        elif isinstance(marc, Mapping):
            told |= _unimarc(marc)
    return told


def _dublin(core: Mapping[str, Any]) -> Mapping[str, str]:
    names = [_words(one) for one in _all(core.get("identifier"))]
    return {
        "title": next(_texts(core.get("title")), "")[:TITLE],
        "author": "; ".join(_texts(core.get("creator")))[:AUTHOR],
        "isbn": next((isbn for name in names if (isbn := _isbn(name))), ""),
        "kind": next(_texts(core.get("type")), "")[:KIND],
    }


def _unimarc(record: Mapping[str, Any]) -> Mapping[str, str]:
    def of(tag: str, code: str) -> str:
        for field in _all(record.get("datafield")):
            if isinstance(field, Mapping) and str(field.get("tag", "")).zfill(3) == tag:
                for part in _all(field.get("subfield")):
                    if isinstance(part, Mapping) and part.get("code") == code and (text := _words(part)):
                        return text
        return ""

    author = of("200", "f") or ", ".join(name for name in (of("700", "a"), of("700", "b")) if name)
    return {"title": of("200", "a")[:TITLE], "author": author[:AUTHOR], "isbn": _isbn(of("010", "a")), "kind": ""}


def _isbn(text: str) -> str:
    plain = re.sub(r"[\s-]", "", text.upper().removeprefix("URN:").removeprefix("ISBN").lstrip(":"))
    return plain if _ISBN.fullmatch(plain) else ""


def _texts(value: Any) -> Iterator[str]:
    return (text for one in _all(value) if (text := _words(one)))


def _all(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _words(value: Any) -> str:
    text = value.get("#text") if isinstance(value, Mapping) else value
    return text.strip() if isinstance(text, str) else ""

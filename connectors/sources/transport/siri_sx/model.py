"""A delivery, whichever way it is written: prefixes, lists of one and wrapped values are taken off at first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hub.model.errors import Invalid, VendorError

_ADDRESS = re.compile(r"https?://[\x21-\x7e]{1,1990}")
_LINE = re.compile(r"[\x21-\x7e]{1,100}")
LINES = 200
"""Lines of a situation that are told."""


def _plain(value: Any) -> Any:
    """Take off prefixes and wrapped values."""
    if isinstance(value, dict):
        if "value" in value and value.keys() <= {"value", "lang"}:
            return {"#text": value["value"], "@lang": value.get("lang", "")} if value.get("lang") else value["value"]
        return {_name(key): _plain(item) for key, item in value.items() if not key.startswith("@xmlns")}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _name(key: str) -> str:
    mark = "@" if key.startswith("@") else ""
    return mark + key.removeprefix("@").rpartition(":")[2]


def _all(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _at(value: Any, *path: str) -> Iterator[Any]:
    """Yield what stands at a path, through lists."""
    for item in _all(value):
        if not path:
            yield item
        elif isinstance(item, Mapping):
            yield from _at(item.get(path[0]), *path[1:])


def _words(value: Any) -> str:
    text = value.get("#text") if isinstance(value, Mapping) else value
    return text.strip() if isinstance(text, str) else ""


def _text(value: Any) -> str:
    """Choose the French text, else the first."""
    texts = [item for item in _all(value) if _words(item)]
    french = [t for t in texts if isinstance(t, Mapping) and str(t.get("@lang", "")).lower().startswith("fr")]
    return _words((french or texts)[0]) if texts else ""


def _truth(value: Any) -> bool:
    return str(_words(value) or value).lower() not in ("false", "0")


def _lines(value: Any) -> list[str]:
    """Collect the references to lines, wherever they stand."""
    found: dict[str, None] = {}
    layer = [value]
    while layer and len(found) < LINES:
        item = layer.pop()
        if isinstance(item, Mapping):
            for name, inner in item.items():
                if name == "LineRef":
                    found.update(dict.fromkeys(line for one in _all(inner) if _LINE.fullmatch(line := _words(one))))
                else:
                    layer.append(inner)
        elif isinstance(item, list):
            layer.extend(item)
    return sorted(found)[:LINES]


def _moment(value: Any) -> Any:
    text = _words(value)
    if not text:
        return None
    if len(text) > 40 or text[4:5] != "-":
        raise ValueError("not a moment")
    moment = datetime.fromisoformat(text)
    if not 1970 <= moment.year < 2200:
        raise ValueError("not a moment of ours")
    return moment


Moment = Annotated[datetime | None, BeforeValidator(_moment)]
"""With an offset, or local."""
Code = Annotated[
    str,
    BeforeValidator(_words),
    Field(min_length=1, max_length=150, pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$"),
]


def _version(value: Any) -> Any:
    text = _words(value) or (value if isinstance(value, int) and not isinstance(value, bool) else 0)
    return int(text) if str(text).isascii() and str(text).isdigit() and len(str(text)) < 10 else 0


class Situation(BaseModel):
    """A situation or a general message."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    number: Code
    participant: str = Field(max_length=150)
    created: str
    """As written: it orders nothing, but tells a message that is repeated from another with the same words."""
    version: Annotated[int, BeforeValidator(_version)] = 0
    over: bool
    draft: bool
    kind: str
    title: str
    description: str
    lines: list[str]
    starts: list[Moment]
    ends: list[Moment]
    url: str | None


class Delivery(BaseModel):
    """What a delivery tells."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    situations: list[Situation] = Field(max_length=20_000)

    @model_validator(mode="before")
    @classmethod
    def _of(cls, document: Any) -> Any:
        plain = _plain(document)
        deliveries = list(_at(plain, "Siri", "ServiceDelivery")) or list(_at(plain, "ServiceDelivery"))
        deliveries = [one for one in deliveries if isinstance(one, Mapping)]
        if not deliveries:
            raise Invalid("no delivery", fields=("Siri.ServiceDelivery",))
        services = ("SituationExchangeDelivery", "GeneralMessageDelivery")
        for delivery in deliveries:
            parts = [
                delivery,
                *(part for name in services for part in _at(delivery, name) if isinstance(part, Mapping)),
            ]
            if any("ErrorCondition" in part or not _truth(part.get("Status", "true")) for part in parts):
                raise VendorError("the producer reports an error", fields=("Status",))
        return {
            "situations": [
                *(_situation(one) for one in _at(deliveries, services[0], "Situations", "PtSituationElement")),
                *(_message(one) for one in _at(deliveries, services[1], "GeneralMessage")),
                *(_cancelled(one) for one in _at(deliveries, services[1], "GeneralMessageCancellation")),
                *(_cancelled(one) for one in _at(deliveries, services[1], "InfoMessageCancellation")),
            ]
        }


def _situation(one: Any) -> Any:
    if not isinstance(one, Mapping):
        return one
    progress = _text(one.get("Progress")).lower()
    periods = list(_at(one, "ValidityPeriod"))
    causes = [_text(value) for name, value in one.items() if name.endswith(("Reason", "AlertCause", "Cause"))]
    links = [_text(uri) for uri in _at(one, "InfoLinks", "InfoLink", "Uri")]
    return {
        "number": _first(one.get("SituationNumber")),
        "participant": _text(one.get("ParticipantRef")),
        "created": _text(one.get("CreationTime")),
        "version": _first(one.get("Version")),
        "over": progress in ("closing", "closed"),
        "draft": progress == "draft",
        "kind": next((cause for cause in causes if cause), "")[:80],
        "title": _text(one.get("Summary")) or _text(one.get("ReasonName")),
        "description": _text(one.get("Description")) or _text(one.get("Detail")),
        "lines": _lines(one),
        "starts": [period.get("StartTime") for period in periods if isinstance(period, Mapping)],
        "ends": [period.get("EndTime") for period in periods if isinstance(period, Mapping)],
        "url": next((link for link in links if _ADDRESS.fullmatch(link)), None),
    }


def _message(one: Any) -> Any:
    if not isinstance(one, Mapping):
        return one
    content = one.get("Content")
    said = list(_at(content, "Message", "MessageText")) or list(_at(content, "Message"))
    text = _text(said) or _text(content)
    return {
        "number": _first(one.get("InfoMessageIdentifier")),
        "participant": _text(one.get("InfoChannelRef")),
        "created": _text(one.get("RecordedAtTime")),
        "version": _first(one.get("InfoMessageVersion")),
        "over": False,
        "draft": False,
        "kind": _text(one.get("InfoChannelRef"))[:80],
        "title": text.partition("\n")[0],
        "description": text,
        "lines": _lines(content),
        "starts": [_first(one.get("RecordedAtTime"))],
        "ends": [_first(one.get("ValidUntilTime"))],
        "url": None,
    }


def _cancelled(one: Any) -> Any:
    if not isinstance(one, Mapping):
        return one
    return {**_message({**one, "Content": None}), "over": True}


def _first(value: Any) -> Any:
    return next(iter(_all(value)), None)

"""SOAP messages between the portal and CityWeb, whatever prefixes they bear; persons are not read."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _none_if_empty(value: Any) -> Any:
    if isinstance(value, dict) and all(name.startswith("@") for name in value):
        # An empty element may bear attributes: `xsi:nil`.
        return None
    return None if value == "" else value


def _day(value: Any) -> Any:
    """Take the zone off an `xs:date`: a day is a day."""
    value = _none_if_empty(value)
    return value[:10] if isinstance(value, str) else value


def _number(value: Any) -> Any:
    return value.strip().removeprefix("urn:uuid:") if isinstance(value, str) else value


def _plausible(moment: datetime) -> datetime:
    if not 1900 <= moment.year <= 2199:
        raise ValueError("year")
    return moment


Number = Annotated[Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,64}$")] | None, BeforeValidator(_number)]
Day = Annotated[Annotated[str, Field(max_length=10)] | None, BeforeValidator(_day)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Details(_Part):
    """What every demand says of the copy."""

    Format: str = Field(default="FullCopy", max_length=40)
    Copies: int = Field(default=1, ge=1, le=99)


class BirthDetails(Details):
    """`BirthDetailsRequest`."""

    BirthDate: Day = None


class DeathDetails(Details):
    """`DeathDetailsRequest`."""

    DeathDate: Day = None


class Wedding(_Part):
    """When a marriage was."""

    MarriageDate: Day = None


class MarriageDetails(Details):
    """`MarriageDetailsRequest`; some write the marriage as an element of its own."""

    MarriageDate: Day = None
    Marriage: Annotated[Wedding | None, BeforeValidator(_none_if_empty)] = None


class Reply(_Part):
    """What CityWeb answers; the description is not read."""

    code: Annotated[int, BeforeValidator(lambda value: 0 if _none_if_empty(value) is None else value)] = 0
    date: Annotated[datetime, AfterValidator(_plausible)]
    severity: str = Field(max_length=10)


class Message(_Part):
    """One message: a demand, an answer or a fault, with its number."""

    MessageID: Number = None
    RelatesTo: Number = None
    BirthDetailsRequest: BirthDetails | None = None
    DeathDetailsRequest: DeathDetails | None = None
    MarriageDetailsRequest: MarriageDetails | None = None
    MessageResponse: Reply | None = None
    Fault: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def unwrapped(cls, document: Any) -> Any:
        """Take the message out of its envelope."""
        return opened(document)


def opened(document: Any) -> dict[str, Any]:
    """Take header and body out of the envelope, if there is one, and the prefixes off the names."""
    if not isinstance(document, dict):
        raise ValueError("no document")
    plain: dict[str, Any] = _local(document)
    envelope = plain.get("Envelope")
    if not isinstance(envelope, dict):
        return plain
    header, body = envelope.get("Header"), envelope.get("Body")
    if not isinstance(body, dict):
        raise ValueError("no body")
    numbers = header if isinstance(header, dict) else {}
    return body | {name: _text(numbers[name]) for name in ("MessageID", "RelatesTo") if name in numbers}


def _local(value: Any) -> Any:
    """Take the prefixes off the names of elements."""
    if isinstance(value, dict):
        return {name.rpartition(":")[2] if name[:1] != "@" else name: _local(below) for name, below in value.items()}
    return [_local(below) for below in value] if isinstance(value, list) else value


def _text(value: Any) -> Any:
    """Read the text of an element that bears attributes, `mustUnderstand` for instance."""
    return value.get("#text") if isinstance(value, dict) else value

"""HubEE's objects, and the payloads that are handled: strict, but for what the format leaves open."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


def _none_if_empty(value: Any) -> Any:
    if isinstance(value, dict) and all(name.startswith("@") for name in value):
        # An empty element may bear attributes: `xsi:nil`.
        return None
    return None if value == "" else value


def _as_list(value: Any) -> Any:
    return [] if value is None else value


def _plausible(moment: datetime) -> datetime:
    if not 1900 <= moment.year <= 2199:
        raise ValueError("year")
    return moment


def _writable(name: str) -> str:
    # JSON can say half of a character, and nothing could write it down.
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        raise ValueError("half a character")
    return name


When = Annotated[datetime, AfterValidator(_plausible)]
Name = Annotated[str, AfterValidator(_writable)]
Text = Annotated[str | None, BeforeValidator(_none_if_empty)]


class _Part(BaseModel):
    # HubEE adds fields; those that we read are checked.
    model_config = ConfigDict(extra="ignore")


class Notification(_Part):
    """Something waits in the queue."""

    id: str
    processCode: str
    caseId: str | None = None
    eventId: str | None = None
    dateTime: datetime | None = None


class CaseEvent(_Part):
    """A step of a case."""

    id: Name
    actionType: str | None = None
    caseCurrentStatus: str | None = None
    caseNewStatus: str | None = None
    createDateTime: When
    attachments: Annotated[list[dict[str, Any]], BeforeValidator(_as_list)] = Field(default_factory=list)


class Case(_Part):
    """A request to the commune."""

    id: Name
    status: str
    externalId: str
    createDateTime: When
    events: Annotated[list[CaseEvent], BeforeValidator(_as_list)] = Field(default_factory=list)


class Attachment(_Part):
    """A file of the case, as intake kept it."""

    id: str
    fileName: str
    mimeType: str | None = None
    content: str | None = None
    omitted: str | None = None


class Envelope(_Part):
    """One raw record: notification, case, attachments."""

    notification: Notification
    case: Case | None
    attachments: list[Attachment]
    reason: str | None = None


class Coded(_Part):
    """A code with its label."""

    Code: str


class Place(_Part):
    """Where a record is kept."""

    CodeINSEE: Text = None


class RecordDemand(_Part):
    """`DemandeActe`; persons are not read at all: nothing that leaves needs them."""

    TypeActe: Coded
    NatureActe: Coded
    DateActe: Text = None
    LieuActe: Annotated[Place | None, BeforeValidator(_none_if_empty)] = None
    NombreExemplaires: int = Field(default=1, ge=1, le=99)


class Moment(_Part):
    """Date and time apart."""

    Date: Text = None
    Heure: Text = None


class DeathDeclaration(_Part):
    """`InsermDeclarationDeces`, the administrative part; neither the dead nor the medical part is read."""

    Ville: Text = None
    CodeFinessEtablissement: Text = None
    DateDeces: Annotated[Moment | None, BeforeValidator(_none_if_empty)] = None
    DateRedaction: Annotated[When | None, BeforeValidator(_none_if_empty)] = None


class Formality(_Part):
    """What was handed in, and when: in ISO, unlike the dates of persons in the same document."""

    DateSoumission: Annotated[When | None, BeforeValidator(_none_if_empty)] = None


class CensusDeclaration(_Part):
    """`RecensementCitoyen`; neither the young citizen nor the parents are read."""

    Formalite: Formality


class PartnershipFile(_Part):
    """`PACS`; the partners must be there, and are not read."""

    partenaire1: dict[str, Any]
    partenaire2: dict[str, Any]


class DeathPlace(_Part):
    """`LieuDeces`; its `CodePostal` holds an INSEE code, and is not read."""

    Commune: Text = None


class SignedBy(_Part):
    """Who signed the certificate, and when."""

    CodeFinessOrganisme: Text = None
    Date: Annotated[When | None, BeforeValidator(_none_if_empty)] = None


class DeathCertificate(_Part):
    """`InsermCertificatAdministrative`; what it says of the body and of obstacles is not read."""

    DateDeces: Moment
    LieuDeces: Annotated[DeathPlace | None, BeforeValidator(_none_if_empty)] = None
    Validation: SignedBy


class HolidayWatch(_Part):
    """A request to watch over a home; the period must be there, and is not read."""

    PERSONNE_FORM: dict[str, Any]
    PERIODE_FORM: dict[str, Any]
    ADRESSE_FORM: dict[str, Any]

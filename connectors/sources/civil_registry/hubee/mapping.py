"""From a case to what happened in it; the payload is recognised by its content."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, ValidationError

from connectors.sources.civil_registry.hubee.model import (
    Case,
    CensusDeclaration,
    DeathCertificate,
    DeathDeclaration,
    Envelope,
    HolidayWatch,
    Moment,
    PartnershipFile,
    RecordDemand,
)
from hub.model.connector import Context, Mapped
from hub.model.errors import Invalid, Unmappable, Unsupported
from hub.model.event import Fact, Payload
from hub.pipeline.decode import json, xml
from schemas.models.civil_registry import (
    CensusDeclared,
    CopyKind,
    DeathDeclared,
    HolidayWatchRequested,
    PartnershipFiled,
    RecordKind,
    RecordRequested,
    RequestStatusChanged,
    Status,
)

RECORDS = {"NAISSANCE": RecordKind.BIRTH, "MARIAGE": RecordKind.MARRIAGE, "DECES": RecordKind.DEATH}
COPIES = {
    "COPIE-INTEGRALE": CopyKind.FULL_COPY,
    "EXTRAIT-AVEC-FILIATION": CopyKind.EXTRACT_WITH_PARENTS,
    "EXTRAIT-SANS-FILIATION": CopyKind.EXTRACT_WITHOUT_PARENTS,
    "EXTRAIT-PLURILINGUE": CopyKind.MULTILINGUAL,
}
STATUSES = {
    "SENT": Status.RECEIVED,
    "HUBEE_RECEIVED": Status.RECEIVED,
    "HUBEE_NOTIFIED": Status.RECEIVED,
    "HUBEE_COMPLETED": Status.RECEIVED,
    "SI_RECEIVED": Status.RECEIVED,
    "SI_INTG_ERROR": Status.INTEGRATION_ERROR,
    "IN_PROGRESS": Status.IN_PROGRESS,
    "ADD_AWAITING": Status.AWAITING_DOCUMENTS,
    "DONE": Status.DONE,
    "REFUSED": Status.REFUSED,
}
CLOSED = ("DONE", "REFUSED", "CLOSED")


def case(envelope: Envelope, context: Context) -> Mapped:
    """Tell what was asked for, and every step since; telling it again gives the same facts."""
    if envelope.case is None:
        return "no_case"
    steps = list(_steps(envelope.case, context))
    if len({step.entity for step in steps}) < len(steps):
        # One would hide the other: a step is known by its id.
        raise Unmappable("two steps have one id", fields=("case.events.id",))
    return [_request(envelope, envelope.case, context), *steps]


def _request(envelope: Envelope, found: Case, context: Context) -> Fact:
    subject, opened = f"hubee:{found.id}", _aware(found.createDateTime, context)
    said = _said(_payload(envelope), found, context)
    return Fact(said, subject, opened, found.id, identity=(found.id,))


def _said(payload: BaseModel, found: Case, context: Context) -> Payload:
    match payload:
        case RecordDemand():
            place = payload.LieuActe.CodeINSEE if payload.LieuActe is not None else None
            return RecordRequested(
                case_id=found.id,
                external_id=found.externalId,
                record_kind=RECORDS.get(payload.TypeActe.Code, RecordKind.UNKNOWN),
                copy_kind=COPIES.get(payload.NatureActe.Code, CopyKind.UNKNOWN),
                record_date=_whole_date(payload.DateActe),
                place_insee=place if place is not None and re.fullmatch(r"([0-9]{2}|2[AB])[0-9]{3}", place) else None,
                copies=payload.NombreExemplaires,
            )
        case DeathDeclaration():
            return DeathDeclared(
                case_id=found.id,
                **_moment(payload.DateDeces),
                commune=payload.Ville or "",
                establishment_code=payload.CodeFinessEtablissement,
                declared_at=_aware(payload.DateRedaction, context) if payload.DateRedaction is not None else None,
            )
        case DeathCertificate():
            signed = payload.Validation.Date
            return DeathDeclared(
                case_id=found.id,
                **_moment(payload.DateDeces),
                commune=(payload.LieuDeces.Commune if payload.LieuDeces is not None else None) or "",
                establishment_code=payload.Validation.CodeFinessOrganisme,
                declared_at=_aware(signed, context) if signed is not None else None,
            )
        case CensusDeclaration():
            handed_in = payload.Formalite.DateSoumission
            return CensusDeclared(
                case_id=found.id,
                external_id=found.externalId,
                declared_at=_aware(handed_in, context) if handed_in is not None else None,
            )
        case PartnershipFile():
            return PartnershipFiled(case_id=found.id, external_id=found.externalId)
        case _:
            return HolidayWatchRequested(case_id=found.id, external_id=found.externalId)


def _moment(moment: Moment | None) -> dict[str, Any]:
    hour = moment.Heure if moment is not None else None
    return {
        "death_date": _whole_date(moment.Date) if moment is not None else None,
        "death_time": hour[:5] if hour is not None and re.match(r"([01][0-9]|2[0-3]):[0-5][0-9]", hour) else None,
    }


def _steps(found: Case, context: Context) -> Iterator[Fact]:
    now: str | None = None
    for step in sorted(found.events, key=lambda step: (_aware(step.createDateTime, context), step.id)):
        before, after = step.caseCurrentStatus, step.caseNewStatus
        if before in (None, "CLOSED"):
            before = now or before
        if after == "CLOSED" and before in CLOSED:
            # Filed away by the exchange hub: for the resident it stays done or refused.
            now = before
            continue
        now = after or before
        if step.actionType not in ("STATUS_UPDATE", "ATTACH_DEPOSIT") or (after is None and not step.attachments):
            continue
        yield Fact(
            RequestStatusChanged(
                case_id=found.id,
                status=_status(now or found.status),
                previous_status=_status(before) if before is not None else Status.UNKNOWN,
                attachments_added=len(step.attachments),
                reopened=before in CLOSED and after not in CLOSED,
            ),
            f"hubee:{found.id}",
            _aware(step.createDateTime, context),
            step.id,
            identity=(found.id, step.id),
        )


def _status(code: str) -> Status:
    return STATUSES.get(code, Status.UNKNOWN)


def _payload(envelope: Envelope) -> BaseModel:
    """Find the business document among the attachments."""
    others: list[str] = []
    certificate: BaseModel | None = None
    for attachment in envelope.attachments:
        name = attachment.fileName.lower()
        if not name.endswith((".xml", ".json")) and "xml" not in (attachment.mimeType or ""):
            continue
        if attachment.content is None:
            others.append("a payload that is not inlined")
            continue
        try:
            data = base64.b64decode(attachment.content, validate=True)
        except (binascii.Error, ValueError):
            raise Invalid("base64", fields=("attachments.content",)) from None
        found = _document(json(data), "") if name.endswith(".json") else _document(*_element(xml(data)))
        if isinstance(found, DeathCertificate):
            # A declaration beside it says the same; whichever is listed first, that one is told.
            certificate = found
        elif isinstance(found, BaseModel):
            return found
        else:
            others.append(found)
    if certificate is not None:
        return certificate
    named = sorted(set(others))
    if envelope.notification.processCode in UNSEEN:
        named.append(f"announced as {envelope.notification.processCode}")
    raise Unsupported(", ".join(named) or "no payload")


def _element(document: dict[str, Any]) -> tuple[Any, str]:
    root, content = next(iter(document.items()))
    return content, root


def _document(content: Any, root: str) -> BaseModel | str:
    """Recognise a document by what it holds; or name it."""
    if not root:
        absence = isinstance(content, dict) and "PERIODE_FORM" in content
        return _validated(HolidayWatch, content, "OTV") if absence else "unknown JSON document"
    if isinstance(content, dict):
        if root == "EnveloppeMetierType" and isinstance(content.get("DemandeActe"), dict):
            return _validated(RecordDemand, content["DemandeActe"], "DemandeActe")
        if root in ROOTS:
            return _validated(ROOTS[root], content, root)
    return root if root in KNOWN_ROOTS else "unknown XML document"


ROOTS: dict[str, type[BaseModel]] = {
    "InsermDeclarationDeces": DeathDeclaration,
    "InsermCertificatAdministrative": DeathCertificate,
    "RecensementCitoyen": CensusDeclaration,
    "PACS": PartnershipFile,
}
KNOWN_ROOTS = frozenset({"EnveloppeMetierType", *ROOTS})
"""Roots that may be named: any other name is the sender's, and could hold anything."""
UNSEEN = frozenset({"HebergementTourisme", "JeChangeDeCoordonnees"})
"""Procedures whose own payload nobody has shown us: what comes under them and is not known is told by their name."""


def _validated(model: type[BaseModel], content: dict[str, Any], at: str) -> BaseModel:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        known = NAMES | set(model.model_fields)
        fields = tuple(
            ".".join((at, *(str(part) for part in problem["loc"] if part in known)))
            for problem in error.errors(include_input=False, include_url=False)[:5]
        )
        raise Invalid("payload", fields=fields) from None


NAMES = frozenset({"Code", "CodeINSEE", "Date", "Heure", "DateSoumission", "Commune", "CodeFinessOrganisme"})
"""Names of the format below the first level of a payload."""


def _aware(moment: datetime, context: Context) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=context.zone)


def _whole_date(text: str | None) -> date | None:
    """Read a date that is wholly known; 1962-00-00 is not."""
    try:
        return date.fromisoformat(text) if text is not None else None
    except ValueError:
        return None

"""What a payload asks for or declares."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel

from connectors.sources.civil_registry.hubee.model import (
    Case,
    CensusDeclaration,
    DeathCertificate,
    DeathDeclaration,
    Moment,
    PartnershipFile,
    RecordDemand,
)
from connectors.sources.civil_registry.hubee.moments import aware, whole_date
from hub.model.connector import Context
from hub.model.event import Payload
from schemas.models.civil_registry import (
    CensusDeclared,
    CopyKind,
    DeathDeclared,
    HolidayWatchRequested,
    PartnershipFiled,
    RecordKind,
    RecordRequested,
)

RECORDS = {"NAISSANCE": RecordKind.BIRTH, "MARIAGE": RecordKind.MARRIAGE, "DECES": RecordKind.DEATH}
COPIES = {
    "COPIE-INTEGRALE": CopyKind.FULL_COPY,
    "EXTRAIT-AVEC-FILIATION": CopyKind.EXTRACT_WITH_PARENTS,
    "EXTRAIT-SANS-FILIATION": CopyKind.EXTRACT_WITHOUT_PARENTS,
    "EXTRAIT-PLURILINGUE": CopyKind.MULTILINGUAL,
}


def said_of(payload: BaseModel, found: Case, context: Context) -> Payload:
    """Return what is asked for or declared, without what nothing that leaves needs."""
    match payload:
        case RecordDemand():
            place = payload.LieuActe.CodeINSEE if payload.LieuActe is not None else None
            return RecordRequested(
                case_id=found.id,
                external_id=found.externalId,
                record_kind=RECORDS.get(payload.TypeActe.Code, RecordKind.UNKNOWN),
                copy_kind=COPIES.get(payload.NatureActe.Code, CopyKind.UNKNOWN),
                record_date=whole_date(payload.DateActe),
                place_insee=place if place is not None and re.fullmatch(r"([0-9]{2}|2[AB])[0-9]{3}", place) else None,
                copies=payload.NombreExemplaires,
            )
        case DeathDeclaration():
            return DeathDeclared(
                case_id=found.id,
                **_moment(payload.DateDeces),
                commune=payload.Ville or "",
                establishment_code=payload.CodeFinessEtablissement,
                declared_at=aware(payload.DateRedaction, context) if payload.DateRedaction is not None else None,
            )
        case DeathCertificate():
            signed = payload.Validation.Date
            return DeathDeclared(
                case_id=found.id,
                **_moment(payload.DateDeces),
                commune=(payload.LieuDeces.Commune if payload.LieuDeces is not None else None) or "",
                establishment_code=payload.Validation.CodeFinessOrganisme,
                declared_at=aware(signed, context) if signed is not None else None,
            )
        case CensusDeclaration():
            handed_in = payload.Formalite.DateSoumission
            return CensusDeclared(
                case_id=found.id,
                external_id=found.externalId,
                declared_at=aware(handed_in, context) if handed_in is not None else None,
            )
        case PartnershipFile():
            return PartnershipFiled(case_id=found.id, external_id=found.externalId)
        case _:
            return HolidayWatchRequested(case_id=found.id, external_id=found.externalId)


def _moment(moment: Moment | None) -> dict[str, Any]:
    hour = moment.Heure if moment is not None else None
    return {
        "death_date": whole_date(moment.Date) if moment is not None else None,
        "death_time": hour[:5] if hour is not None and re.match(r"([01][0-9]|2[0-3]):[0-5][0-9]", hour) else None,
    }

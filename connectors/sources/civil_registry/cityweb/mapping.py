"""From messages to what was asked for, and whether CityWeb took it."""

from __future__ import annotations

from datetime import date

from connectors.sources.civil_registry.cityweb.model import Details, Message, Reply
from hub.model.connector import Context, Mapped
from hub.model.errors import Unmappable, Unsupported, VendorError
from hub.model.event import Fact
from schemas.models.civil_registry import CopyKind, RecordKind, RecordRequested, RequestStatusChanged, Status

COPIES = {
    "FullCopy": CopyKind.FULL_COPY,
    "ExtractWithRelationship": CopyKind.EXTRACT_WITH_PARENTS,
    "ExtractWithoutRelationship": CopyKind.EXTRACT_WITHOUT_PARENTS,
    "MultilingualExtract": CopyKind.MULTILINGUAL,
}


def message(said: Message, context: Context) -> Mapped:
    """Tell a demand, or where it stands; telling it again gives the same fact."""
    number = said.RelatesTo or said.MessageID or context.key.partition(":")[2]
    if len(number) > 64:
        raise Unmappable("no number of a demand", fields=("MessageID",))
    if said.Fault is not None:
        raise VendorError("a SOAP fault", fields=("Fault",))
    if said.MessageResponse is not None:
        return [_answer(said.MessageResponse, number, context)]
    if (birth := said.BirthDetailsRequest) is not None:
        return [_demand(RecordKind.BIRTH, birth, birth.BirthDate, number, context)]
    if (death := said.DeathDetailsRequest) is not None:
        return [_demand(RecordKind.DEATH, death, death.DeathDate, number, context)]
    if (wedding := said.MarriageDetailsRequest) is not None:
        day = wedding.Marriage.MarriageDate if wedding.Marriage is not None else None
        return [_demand(RecordKind.MARRIAGE, wedding, wedding.MarriageDate or day, number, context)]
    raise Unsupported("an unknown message")


def _demand(kind: RecordKind, details: Details, day: str | None, number: str, context: Context) -> Fact:
    payload = RecordRequested(
        case_id=number,
        external_id=number,
        record_kind=kind,
        copy_kind=COPIES.get(details.Format, CopyKind.UNKNOWN),
        record_date=_whole_date(day),
        place_insee=None,
        copies=details.Copies,
    )
    # A demand says no moment of its own.
    return Fact(payload, f"cityweb:{number}", context.read_at, number, identity=(number,))


def _answer(answer: Reply, number: str, context: Context) -> Fact:
    well = answer.code == 0 and answer.severity not in ("ERROR", "FATAL")
    payload = RequestStatusChanged(
        case_id=number,
        status=Status.RECEIVED if well else Status.INTEGRATION_ERROR,
        previous_status=Status.UNKNOWN,
        attachments_added=0,
        reopened=False,
    )
    moment = answer.date if answer.date.tzinfo is not None else answer.date.replace(tzinfo=context.zone)
    return Fact(payload, f"cityweb:{number}", moment, number, identity=(number, answer.date.isoformat()))


def _whole_date(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text is not None else None
    except ValueError:
        return None

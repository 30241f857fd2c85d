"""From requests and decisions to where a permit stands."""

from __future__ import annotations

from collections.abc import Iterable

from connectors.sources.transport.permits import model
from hub.model.connector import Context
from hub.model.errors import Unmappable
from hub.model.event import Fact
from schemas.models.transport import PermitKind, PermitRequested, PermitStatus, PermitStatusChanged

KINDS = {"parking": PermitKind.PARKING, "ticket": PermitKind.TICKET}


def park_card(request: model.ParkCard, context: Context) -> Iterable[Fact]:
    """Tell that a permit was asked for."""
    payload = PermitRequested(permit=request.Id, kind=PermitKind.PARKING)
    yield Fact(payload, f"permits:{request.Id}", context.read_at, request.Id, (request.Id,))


def decision(told: model.Decision, context: Context) -> Iterable[Fact]:  # noqa: ARG001
    """Tell where a permit stands; one that ends must say when."""
    subject, kind = f"permits:{told.permit}", KINDS[told.kind]
    if told.event == "requested":
        yield Fact(PermitRequested(permit=told.permit, kind=kind), subject, told.at, told.permit, (told.id,))
        return
    if told.event == "expiring" and told.valid_until is None:
        raise Unmappable("no last day", fields=("valid_until",))
    # A refusal has no zone and no day, and above all no reason.
    refused = told.event == "refused"
    payload = PermitStatusChanged(
        permit=told.permit,
        kind=kind,
        status=PermitStatus(told.event.upper()),
        zone="" if refused else told.zone,
        valid_until=None if refused else told.valid_until,
    )
    yield Fact(payload, subject, told.at, told.permit, (told.id,))

"""From a case to what happened in it; the payload is recognised by its content."""

from __future__ import annotations

from connectors.sources.civil_registry.hubee.model import Case, Envelope
from connectors.sources.civil_registry.hubee.moments import aware
from connectors.sources.civil_registry.hubee.payload import payload_of
from connectors.sources.civil_registry.hubee.requests import said_of
from connectors.sources.civil_registry.hubee.steps import steps_of
from hub.model.connector import Context, Mapped
from hub.model.errors import Unmappable
from hub.model.event import Fact


def case(envelope: Envelope, context: Context) -> Mapped:
    """Tell what was asked for, and every step since; telling it again gives the same facts."""
    if envelope.case is None:
        return "no_case"
    steps = list(steps_of(envelope.case, context))
    if len({step.entity for step in steps}) < len(steps):
        # One would hide the other: a step is known by its id.
        raise Unmappable("two steps have one id", fields=("case.events.id",))
    return [_request(envelope, envelope.case, context), *steps]


def _request(envelope: Envelope, found: Case, context: Context) -> Fact:
    subject, opened = f"hubee:{found.id}", aware(found.createDateTime, context)
    said = said_of(payload_of(envelope), found, context)
    return Fact(said, subject, opened, found.id, identity=(found.id,))

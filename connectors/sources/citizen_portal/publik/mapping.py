"""From the portal's messages, and the desk's, to requests that the hub runs as commands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from connectors.sources.citizen_portal.publik.evidence import compare, proven
from connectors.sources.citizen_portal.publik.model import Decided, Decision, Household, Link, Message
from hub.model.connector import Context
from hub.model.errors import Unmappable
from hub.model.event import Fact, Payload
from schemas.models.citizen_portal import (
    Channel,
    DecisionReason,
    LinkDecided,
    LinkProposed,
    LinkRequested,
    MoveRequested,
    PreferencesChanged,
    Role,
    UndoRequested,
    UnlinkRequested,
)

ROLES = {"self": Role.SELF, "parent": Role.PARENT, "mandate": Role.MANDATE}


def request(message: Message, _context: Context) -> Iterable[Fact]:
    """Say what the citizen asks for, at the moment at which it was asked."""
    payload: Payload
    entity = message.citizen
    if message.link is not None:
        entity = _linkable(message.link.subject, "link.subject")
        link = _linked(message.citizen, message.link)
        payload = LinkRequested(**link)
        if message.link.evidence is not None:
            evidence = compare(message.link.evidence.account, message.link.evidence.record)
            if not proven(evidence):
                payload = LinkProposed(**link, proposal=message.id, evidence=evidence)
    elif message.unlink is not None:
        entity = _linkable(message.unlink.subject, "unlink.subject")
        payload = UnlinkRequested(citizen=message.citizen, subject=entity)
    elif message.preferences is not None:
        wanted = message.preferences
        payload = PreferencesChanged(
            citizen=message.citizen,
            email=wanted.email,
            topics=tuple(dict.fromkeys(wanted.topics)),
            lines=tuple(dict.fromkeys(wanted.lines)),
            language=wanted.language,
            phone=wanted.phone,
            channel=Channel(wanted.channel.upper()),
            digest=wanted.digest,
        )
    yield Fact(payload, f"publik:{message.citizen}", message.at, entity, identity=(message.id,))


def decision(told: Decision, _context: Context) -> Iterable[Fact]:
    """Say what was decided, and ask for the link that was accepted."""
    link, subject = told.link, f"publik:{told.citizen}"
    decided = LinkDecided(
        citizen=told.citizen,
        subject=_linkable(link.subject, "link.subject"),
        proposal=told.proposal,
        accepted=told.accepted,
        reason=DecisionReason(told.reason.upper()),
        clerk=told.clerk,
    )
    yield Fact(decided, subject, told.at, told.proposal, identity=(told.id,))
    if told.accepted:
        requested = LinkRequested(**_linked(told.citizen, link), clerk=told.clerk)
        yield Fact(requested, subject, told.at, link.subject, identity=(told.id,))


def household(told: Household, _context: Context) -> Iterable[Fact]:
    """Say which link a clerk makes, changes or ends, which ones move, or which command is undone."""
    payload: Payload
    if told.move is not None:
        entity = told.move.to
        subjects = tuple(dict.fromkeys(_linkable(one, "move.subjects") for one in told.move.subjects or ()))
        payload = MoveRequested(citizen=told.citizen, to=told.move.to, subjects=subjects, clerk=told.clerk)
    elif told.undo is not None:
        entity = told.undo.command
        payload = UndoRequested(citizen=told.citizen, command=entity, clerk=told.clerk)
    elif told.link is not None:
        entity = _linkable(told.link.subject, "link.subject")
        payload = LinkRequested(**_linked(told.citizen, told.link), clerk=told.clerk)
    elif told.unlink is not None:
        entity = _linkable(told.unlink.subject, "unlink.subject")
        payload = UnlinkRequested(citizen=told.citizen, subject=entity, clerk=told.clerk)
    else:
        return
    yield Fact(payload, f"publik:{told.citizen}", told.at, entity, identity=(told.id,))


def _linked(citizen: str, link: Link | Decided) -> dict[str, Any]:
    scope = tuple(dict.fromkeys(link.scope))
    return {"citizen": citizen, "subject": link.subject, "role": ROLES[link.role], "scope": scope, "until": link.until}


def _linkable(subject: str, field: str) -> str:
    # An account that sees another account's requests would be a door, not a link.
    if subject.startswith("publik:"):
        raise Unmappable("an account cannot be linked to an account", fields=(field,))
    return subject

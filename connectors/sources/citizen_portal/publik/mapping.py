"""From the portal's messages to requests that the hub runs as commands."""

from __future__ import annotations

from collections.abc import Iterable

from connectors.sources.citizen_portal.publik.model import Message
from hub.model.connector import Context
from hub.model.errors import Unmappable
from hub.model.event import Fact, Payload
from schemas.models.citizen_portal import LinkRequested, PreferencesChanged, Role, UnlinkRequested

ROLES = {"self": Role.SELF, "parent": Role.PARENT, "mandate": Role.MANDATE}


def request(message: Message, _context: Context) -> Iterable[Fact]:
    """Say what the citizen asks for, at the moment at which it was asked."""
    payload: Payload
    entity = message.citizen
    if message.link is not None:
        entity = _linkable(message.link.subject, "link.subject")
        payload = LinkRequested(
            citizen=message.citizen,
            subject=entity,
            role=ROLES[message.link.role],
            scope=tuple(dict.fromkeys(message.link.scope)),
            until=message.link.until,
        )
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
        )
    yield Fact(payload, f"publik:{message.citizen}", message.at, entity, identity=(message.id,))


def _linkable(subject: str, field: str) -> str:
    # An account that sees another account's requests would be a door, not a link.
    if subject.startswith("publik:"):
        raise Unmappable("an account cannot be linked to an account", fields=(field,))
    return subject

"""Rows of the outbox in words: the first line of a template is the subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from hub.delivery.outbox import Row
from hub.model.sink import Message

_TEMPLATES = Environment(
    loader=PackageLoader("hub.delivery"),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701 - plain text
    trim_blocks=True,
    lstrip_blocks=True,
)
SHORT = 300
"""Letters of a short message: two of the network's."""


def compose(row: Row, unsubscribe: str | None) -> Message:
    """Write a row as a message; a short one is its subject, and where to read on."""
    payload = row.payload
    if "template" not in payload:
        return Message(row.id, row.channel, row.topic, "", "", "", row.begun, payload=payload)
    parts: Sequence[Mapping[str, Any]] = payload.get("parts") or [payload]
    said = [_render(part["template"], part["values"], part.get("more", ())) for part in parts]
    subject, body = said[0] if len(said) == 1 else _digest(said)
    if row.channel == "sms":
        body = f"{subject[: SHORT - 40]}. Détails : votre compte MonGrenoble."
    elif unsubscribe is not None:
        body += f"Ne plus recevoir ces messages : {unsubscribe}\n"
    return Message(row.id, row.channel, row.topic, payload["address"], subject, body, row.begun, unsubscribe)


def _digest(said: Sequence[tuple[str, str]]) -> tuple[str, str]:
    entries = [{"subject": subject, "body": _inner(body)} for subject, body in said]
    return _render("digest", {"entries": entries}, ())


def _inner(body: str) -> str:
    """Return a message without its greeting and its end: a digest has its own."""
    return body.removeprefix("Bonjour,\n").partition("\n\nVous recevez ce message")[0].strip()


def _render(template: str, values: Mapping[str, Any], more: Sequence[Mapping[str, str]]) -> tuple[str, str]:
    facts = [values, *more]
    text = _TEMPLATES.get_template(f"{template}.txt").render({**values, "facts": facts, "more": more})
    subject, _, body = text.partition("\n")
    # A value of a vendor must not be able to start a header of its own.
    return " ".join(subject.split()), body.strip() + "\n"

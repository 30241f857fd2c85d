"""The business document among the attachments, recognised by what it holds."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from pydantic import BaseModel, ValidationError

from connectors.sources.civil_registry.hubee.model import (
    CensusDeclaration,
    DeathCertificate,
    DeathDeclaration,
    Envelope,
    HolidayWatch,
    PartnershipFile,
    RecordDemand,
)
from hub.model.errors import Invalid, Unsupported
from hub.pipeline.decode import json, xml


def payload_of(envelope: Envelope) -> BaseModel:
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


NAMES = frozenset({"Code", "CodeINSEE", "Date", "Heure", "DateSoumission", "Commune", "CodeFinessOrganisme"})
"""Names of the format below the first level of a payload."""


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

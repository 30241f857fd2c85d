"""Permits: one order per permit, each message once, and no reason of a refusal anywhere."""

from __future__ import annotations

import json
from typing import Any

from connectors.sources.transport.permits import source
from hub import catalogue
from hub.model.intake import Call, Emit, Refusal
from hub.testing.samples import golden, samples

CONNECTOR = catalogue.connectors()["permits"]


def call(feed: str, body: bytes | dict[str, Any]) -> Emit | Refusal:
    """Hand something on."""
    return source.receive(Call(feed, body if isinstance(body, bytes) else json.dumps(body).encode(), {}, 1))


def test_a_request_and_its_decisions_stand_in_one_order() -> None:
    """Under the permit's number; a message has its own."""
    asked = call("park_card", b'<p:ParkCardRequest xmlns:p="u" Id="P-1"/>')
    told = call("decision", {"id": "m-1", "permit": "P-1"})
    assert isinstance(asked, Emit)
    assert isinstance(told, Emit)
    assert (asked.key, told.key) == ("permits:P-1", "permits:P-1")
    assert (asked.raw_id, told.raw_id) == ("park_card:P-1", "decision:m-1")


def test_what_cannot_be_placed_is_refused_by_name() -> None:
    """Without the value."""
    refused = [
        call("park_card", b"<ParkCardRequest/>"),
        call("park_card", b"{}"),
        call("decision", {"id": "m"}),
        call("decision", {"permit": "P", "id": 7}),
        call("decision", b"["),
        call("other", b""),
    ]
    assert [one.detail for one in refused if isinstance(one, Refusal)] == [
        "ParkCardRequest.Id: missing, or not a number of ours",
        "body: not XML",
        "permit: missing, or not a number of ours",
        "id: missing, or not a number of ours",
        "body: not JSON",
        "no such feed",
    ]


def test_no_plate_address_or_reason_goes_on() -> None:
    """Whatever a record says of them."""
    told = "".join(golden(CONNECTOR, sample) for sample in samples(CONNECTOR))
    assert "AA-000-AA" not in told
    assert "Essai" not in told
    assert "Justificatif" not in told

"""FranceConnect's odd shapes, each by its name: none of them makes a link by itself, and none is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.sources.citizen_portal.publik.model import Identity
from hub import catalogue
from hub.model.decision import Deliver
from hub.pipeline.process import process
from hub.testing.samples import record, samples
from schemas.models.citizen_portal import Agreement, Claim, LinkProposed, LinkRequested

CONNECTOR = catalogue.connectors()["publik"]
OFFICIAL = next(sample for sample in samples(CONNECTOR) if sample.name == "link_proven_official_introspection")
ANOTHER_SUB = "9" * 64 + "v1"


def request(
    account: dict[str, Any] | None = None, told: dict[str, Any] | None = None, citizen: str | None = None
) -> Any:
    """Return what becomes of the official example, with claims of the account and of the record changed."""
    message = json.loads(OFFICIAL.record.value or b"")
    evidence = message["link"]["evidence"]
    evidence["account"] |= account or {}
    evidence["record"] |= told or {}
    message["citizen"] = citizen or message["citizen"]
    value = json.dumps(message, ensure_ascii=False).encode()
    (decision,) = process(record(CONNECTOR, "request", value), CONNECTOR, catalogue.schemas()).decisions
    assert isinstance(decision, Deliver), decision
    return decision.event


def doubts(event: Any) -> dict[Claim, Agreement]:
    """Return what a clerk has to look at; nothing where the link is made."""
    if isinstance(event.payload, LinkRequested):
        return {}
    assert isinstance(event.payload, LinkProposed)
    return {one.what: one.agreement for one in event.payload.evidence if one.agreement is not Agreement.SAME}


def test_another_sub_in_the_same_account_changes_nothing() -> None:
    """After a change of civil status FranceConnect says another one; the account, and its links, are Publik's."""
    before, after = request(), request({"sub": ANOTHER_SUB})
    assert before == after
    assert isinstance(before.payload, LinkRequested)


def test_no_sub_leaves_the_edge() -> None:
    """Nor does the token's number: a service that followed either would lose people when it changes."""
    event = request({"sub": ANOTHER_SUB}, {"family_name": "Modele"})
    assert isinstance(event.payload, LinkProposed)
    assert "sub" not in Identity.model_fields
    assert ANOTHER_SUB not in repr(event)


def test_another_sub_that_made_another_account_inherits_no_link() -> None:
    """The portal took the person for a new one: that account asks like any other, and a clerk sees the new name."""
    newcomer = "5b0c2f1e-8d57-4a39-9c7e-0000000000ff"
    asked = request({"sub": ANOTHER_SUB, "given_name": "Thomasine", "gender": "female"}, citizen=newcomer)
    assert asked.subject == f"publik:{newcomer}"
    assert asked.payload.citizen == newcomer
    assert doubts(asked) == {Claim.GIVEN_NAMES: Agreement.DIFFERENT, Claim.SEX: Agreement.DIFFERENT}


@pytest.mark.parametrize(
    ("shape", "account", "told", "doubted"),
    [
        ("the official answer", {}, {}, {}),
        ("eidas3", {"acr": "eidas3"}, {}, {}),
        ("older answers have no array of given names", {"given_name_array": None}, {}, {}),
        ("several given names in one text", {"given_name": "Thomas Jean"}, {}, {}),
        ("padded with spaces", {"family_name": "  Delatour   ", "birthplace": " 75111 "}, {}, {}),
        ("a name of 60 characters", {"family_name": "Delatour" * 8}, {"family_name": "DELATOUR" * 8}, {}),
        ("a usage name that the record bears", {"preferred_username": "MODELE"}, {"family_name": "Modèle"}, {}),
        (
            "from another country: the family name is the one in use, the place a text, the sex unsaid",
            {"family_name": "Modele", "birthplace": "Grand-Place", "gender": "unspecified"},
            {},
            {
                Claim.FAMILY_NAME: Agreement.DIFFERENT,
                Claim.BIRTH_PLACE: Agreement.UNKNOWN,
                Claim.SEX: Agreement.UNKNOWN,
            },
        ),
        ("born abroad", {"birthplace": "", "birthcountry": "99139"}, {"birthplace": "99139"}, {}),
        (
            "a birth place that is the text « Alger »",
            {"birthplace": "Alger", "birthcountry": "99352"},
            {"birthplace": "Alger"},
            {Claim.BIRTH_PLACE: Agreement.UNKNOWN},
        ),
        ("born in Corsica since 1976", {"birthplace": "2B033"}, {"birthplace": "2b033"}, {}),
        (
            "born in Corsica before 1976",
            {"birthplace": "20033"},
            {"birthplace": "2B033"},
            {Claim.BIRTH_PLACE: Agreement.UNKNOWN},
        ),
        (
            "city and post code exchanged",
            {"birthplace": "75011"},
            {"birthplace": "75111"},
            {Claim.BIRTH_PLACE: Agreement.DIFFERENT},
        ),
        (
            "an unknown day is 00",
            {"birthdate": "1994-04-00"},
            {"birthdate": "1994-04-16"},
            {Claim.BIRTH_DATE: Agreement.UNKNOWN},
        ),
        (
            "unknown on both sides",
            {"birthdate": "1994-00-00"},
            {"birthdate": "1994-00-00"},
            {Claim.BIRTH_DATE: Agreement.UNKNOWN},
        ),
        (
            "a presumed day is 01",
            {"birthdate": "1994-01-01"},
            {"birthdate": "1994-00-00"},
            {Claim.BIRTH_DATE: Agreement.UNKNOWN},
        ),
        (
            "a presumed day is not the day of another record",
            {"birthdate": "1994-01-01"},
            {"birthdate": "1994-04-16"},
            {Claim.BIRTH_DATE: Agreement.DIFFERENT},
        ),
        ("no given name", {"given_name": ""}, {}, {Claim.GIVEN_NAMES: Agreement.UNKNOWN}),
        ("no given name, as null", {"given_name": None}, {}, {Claim.GIVEN_NAMES: Agreement.UNKNOWN}),
        (
            "a key with a typing error is no claim",
            {},
            {"birthdate": "", "birthdtae": "1994-04-16"},
            {Claim.BIRTH_DATE: Agreement.UNKNOWN},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_shape_links_only_where_five_claims_agree(
    shape: str, account: dict[str, Any], told: dict[str, Any], doubted: dict[Claim, Agreement]
) -> None:
    """Whatever is not known, or differs, is for a clerk."""
    assert doubts(request(account, told)) == doubted


def test_an_answer_that_is_handed_on_with_its_wrapping_proves_nothing() -> None:
    """Claims are read where the format has them: all five are unknown, and a clerk sees that."""
    wrapped = json.loads(OFFICIAL.record.value or b"")["link"]["evidence"]["account"]
    nothing = dict.fromkeys(wrapped, None)
    found = doubts(request({**nothing, "token_introspection": wrapped}))
    assert found == dict.fromkeys(found, Agreement.UNKNOWN)
    assert len(found) == 5

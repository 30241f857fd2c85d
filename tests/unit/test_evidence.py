"""A link is made by itself only where five claims agree; of the rest a clerk sees where the two sides differ."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sources.citizen_portal.publik.evidence import HIDDEN, compare, proven
from connectors.sources.citizen_portal.publik.model import Identity
from schemas.models.citizen_portal import Agreement, Claim

ELOISE = Identity(
    family_name="ESSAI-L'HÉRITIER",
    given_name="Éloïse Marie",
    birthdate="1991-04-16",
    gender="female",
    birthplace="38185",
    birthcountry="99100",
)
CLAIMS = ("family_name", "given_name", "birthdate", "gender", "birthplace")
names = st.text(st.sampled_from("ABCDÉÈéè '-"), min_size=1, max_size=20)
identities = st.builds(
    Identity,
    family_name=names,
    preferred_username=st.just("") | names,
    given_name=st.just("") | names,
    birthdate=st.just("") | st.from_regex(r"(19|20)[0-9]{2}-(0[0-9]|1[0-2])-[0-3][0-9]", fullmatch=True),
    gender=st.sampled_from(["male", "female", "unspecified", "M", "2", ""]),
    birthplace=st.sampled_from(["38185", "2A004", "20004", "Alger", ""]),
    birthcountry=st.sampled_from(["99100", "99352", ""]),
)


def told(account: Identity, record: Identity) -> dict[Claim, Agreement]:
    return {one.what: one.agreement for one in compare(account, record)}


@pytest.mark.parametrize("left_out", CLAIMS)
def test_no_four_claims_make_a_link(left_out: str) -> None:
    """A name and a birth date alone least of all."""
    assert proven(compare(ELOISE, ELOISE))
    nothing = {"birthplace": "", "birthcountry": ""} if left_out == "birthplace" else {left_out: ""}
    assert not proven(compare(ELOISE, ELOISE.model_copy(update=nothing)))
    assert not proven(compare(ELOISE.model_copy(update=nothing), ELOISE))


@pytest.mark.parametrize(
    "record",
    [
        {"family_name": "Essai L Heritier", "given_name": "eloise"},
        {"gender": "2"},
        {"gender": "F", "birthcountry": ""},
    ],
)
def test_accents_hyphens_and_codes_of_sexes_are_no_difference(record: dict[str, str]) -> None:
    """Registers write a name as their age did."""
    assert proven(compare(ELOISE, ELOISE.model_copy(update=record)))


def test_the_name_in_use_counts_as_well() -> None:
    """A card may bear either; FranceConnect tells both."""
    record = ELOISE.model_copy(update={"family_name": "Modèle"})
    assert not proven(compare(ELOISE, record))
    assert proven(compare(ELOISE.model_copy(update={"preferred_username": "MODELE"}), record))


@pytest.mark.parametrize(
    ("claim", "account", "record"),
    [
        (Claim.BIRTH_DATE, {"birthdate": "1950-00-00"}, {"birthdate": "1950-03-02"}),
        (Claim.BIRTH_DATE, {"birthdate": "1950-00-00"}, {"birthdate": "1950-00-00"}),
        (Claim.GIVEN_NAMES, {"given_name": ""}, {}),
        (Claim.SEX, {"gender": "unspecified"}, {}),
        (
            Claim.BIRTH_PLACE,
            {"birthplace": "Alger", "birthcountry": "99352"},
            {"birthplace": "", "birthcountry": "99352"},
        ),
        (Claim.BIRTH_PLACE, {"birthplace": "20004"}, {"birthplace": "2A004"}),
    ],
)
def test_what_is_not_known_proves_nothing_and_contradicts_nothing(
    claim: Claim, account: dict[str, str], record: dict[str, str]
) -> None:
    """Half a date, no given name, a town by its name, Corsica before 1976."""
    found = told(ELOISE.model_copy(update=account), ELOISE.model_copy(update=record))
    assert {what for what, agreement in found.items() if agreement is not Agreement.SAME} == {claim}
    assert found[claim] is Agreement.UNKNOWN


def test_half_a_date_can_differ() -> None:
    """The year is known, and it is another one."""
    other = ELOISE.model_copy(update={"birthdate": "1951-00-00"})
    assert told(ELOISE, other)[Claim.BIRTH_DATE] is Agreement.DIFFERENT


@given(identities, identities)
def test_a_clerk_sees_no_more_than_where_two_sides_differ(account: Identity, record: Identity) -> None:
    """What agrees is hidden whole; of what differs neither beginning nor end that both share is shown."""
    for one in compare(account, record):
        if one.agreement is Agreement.SAME:
            assert one.account == one.record == HIDDEN
        elif one.account and one.record:
            mine, theirs = one.account.strip(HIDDEN), one.record.strip(HIDDEN)
            assert mine != theirs or one.agreement is Agreement.UNKNOWN
            assert not (mine and theirs) or mine[0] != theirs[0] or one.account == one.record


@given(identities, identities)
def test_both_sides_are_treated_alike_but_for_the_name_in_use(account: Identity, record: Identity) -> None:
    """Nothing depends on who says it."""
    account = account.model_copy(update={"preferred_username": ""})
    assert told(account, record) == told(record.model_copy(update={"preferred_username": ""}), account)

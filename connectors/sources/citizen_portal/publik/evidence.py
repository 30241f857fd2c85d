"""What an account and a vendor's record say of a person, compared, and hidden as far as a clerk does not need it.

Only five claims that all agree make a link by themselves, as many as FranceConnect's pivot identity has; a name and a
birth date never do.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from itertools import takewhile

from connectors.sources.citizen_portal.publik.model import Identity
from schemas.models.citizen_portal import Agreement, Claim, Compared

HIDDEN = "•"
FRANCE = "99100"
SEXES = {"male": "M", "m": "M", "1": "M", "female": "F", "f": "F", "2": "F"}
PLACE = re.compile(r"[0-9][0-9AB][0-9]{3}")
"""INSEE's code of a commune or a country; abroad others write a name."""
LONGEST = 40
"""Characters shown of one side."""


def compare(account: Identity, record: Identity) -> tuple[Compared, ...]:
    """Compare claim by claim."""
    theirs = _plain(record.family_name)
    names = [name for name in (account.family_name, account.preferred_username) if _plain(name) == theirs]
    born, there = (_place(one.birthplace, one.birthcountry) for one in (account, record))
    return (
        _compared(Claim.FAMILY_NAME, _plain(names[0] if names else account.family_name), theirs),
        _compared(Claim.GIVEN_NAMES, _first(account.given_name), _first(record.given_name)),
        _compared(Claim.BIRTH_DATE, account.birthdate, record.birthdate, unknown=_partly_unknown),
        _compared(Claim.SEX, SEXES.get(account.gender.lower(), ""), SEXES.get(record.gender.lower(), "")),
        _compared(Claim.BIRTH_PLACE, born, there, unknown=_moved),
    )


def proven(evidence: tuple[Compared, ...]) -> bool:
    """Tell whether a link may be made without a clerk."""
    return bool(evidence) and all(one.agreement is Agreement.SAME for one in evidence)


def _compared(
    what: Claim, account: str, record: str, unknown: Callable[[str, str], bool] = lambda _one, _other: False
) -> Compared:
    if account and record and account == record and not unknown(account, record):
        return Compared(what=what, agreement=Agreement.SAME, account=HIDDEN, record=HIDDEN)
    open_ = not account or not record or unknown(account, record)
    mine, theirs = _apart(account[:LONGEST], record[:LONGEST])
    return Compared(
        what=what, agreement=Agreement.UNKNOWN if open_ else Agreement.DIFFERENT, account=mine, record=theirs
    )


def _apart(one: str, other: str) -> tuple[str, str]:
    """Hide what both begin and end with; where one says nothing, the other shows its first character."""
    if not one or not other:
        return _opening(one), _opening(other)
    start = _alike(one, other)
    end = _alike(one[start:][::-1], other[start:][::-1])
    return _hidden(one, start, end), _hidden(other, start, end)


def _alike(one: str, other: str) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _hidden(text: str, start: int, end: int) -> str:
    return HIDDEN * start + text[start : len(text) - end] + HIDDEN * end


def _opening(text: str) -> str:
    return text and text[0] + HIDDEN


def _plain(name: str) -> str:
    """Write a name as registers of all ages would: capitals without marks."""
    decomposed = unicodedata.normalize("NFD", name.upper().replace("Œ", "OE").replace("Æ", "AE"))
    letters = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return " ".join(re.sub(r"[^A-Z0-9]", " ", letters).split())


def _first(names: str) -> str:
    """Return the first given name; a hyphen does not end it."""
    return _plain(names.strip().split(" ")[0]) if names.strip() else ""


def _place(place: str, country: str) -> str:
    """Return the commune's code, or the country's for who was born abroad; nothing for a name that is no code."""
    code = place.strip().upper()
    if not code and country.strip() != FRANCE:
        code = country.strip()
    return code if PLACE.fullmatch(code) else ""


def _partly_unknown(one: str, other: str) -> bool:
    """Tell whether what is known of two dates agrees, and not all is known: `00` is what nobody knows."""
    pairs = list(zip(one.split("-"), other.split("-"), strict=False))
    unknown = [pair for pair in pairs if any(int(part) == 0 for part in pair)]
    return bool(unknown) and all(mine == yours for mine, yours in pairs if (mine, yours) not in unknown)


def _moved(one: str, other: str) -> bool:
    """Tell whether two codes may be one commune of Corsica, 20 until 1976 and 2A or 2B since."""
    departments = {one[:2], other[:2]}
    return one[2:] == other[2:] and "20" in departments and bool(departments & {"2A", "2B"})

"""Deaths and oppositions meet by the record they are about, whichever file comes first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from connectors.sources.civil_registry.insee_deaths import source
from hub import catalogue
from hub.model.decision import Deliver
from hub.model.intake import Answer, Emit, Get
from hub.pipeline.process import process
from hub.testing.samples import record

CONNECTOR = catalogue.connectors()["insee_deaths"]
HEADER = "Date de décès;Code du lieu de décès;Numéro d'acte de décès\r\n"


def line(number: int, name: str = "ESSAI*JEAN/") -> str:
    """Write a line of the monthly file."""
    return f"{name:80}119340512{'38185':5}{'GRENOBLE':30}{'':30}2026021438421{number:09}"


def read(files: dict[str, bytes], cursor: dict[str, Any] | None = None) -> list[Emit]:
    """Poll a folder once."""
    found: list[Emit] = []
    work = source.poll(cursor or {}, {})
    answer: Any = None
    try:
        while True:
            wish = work.send(answer)
            answer = None
            if isinstance(wish, Get):
                body = json.dumps(sorted(files)).encode() if wish.path == "/" else files[wish.path[1:]]
                answer = Answer(200, {"x-request-id": wish.path}, body, 1)
            elif isinstance(wish, Emit):
                found.append(wish)
    except StopIteration:
        return found


def told(emits: Sequence[Emit]) -> dict[str, list[str]]:
    """Decide records in their order; return what was told by key."""
    states: dict[str, bytes | None] = {}
    heard: dict[str, list[str]] = {}
    for number, wish in enumerate(emits):
        said = record(CONNECTOR, wish.feed, wish.value, offset=number, key=wish.key)
        outcome = process(said, CONNECTOR, catalogue.schemas(), states.get(wish.key))
        states[wish.key] = outcome.state if outcome.state is not None else states.get(wish.key)
        for one in outcome.decisions:
            if isinstance(one, Deliver):
                heard.setdefault(wish.key, []).append(type(one.event.payload).__name__)
    return heard


def test_both_files_name_a_death_alike() -> None:
    """So that Kafka keeps them in order; a line that nobody can read is a record all the same."""
    found = read(
        {
            "deces-2026-m02.txt": f"{line(7)}\r\nESSAI*COUPE\r\n".encode("iso-8859-1"),
            "fichier-opposition-deces-2026-02.csv": f"{HEADER}14/02/2026;38421;000000007\r\n".encode(),
            "lisez-moi.pdf": b"%PDF",
        }
    )
    key = "insee_deaths:2026-02-14:38421:000000007"
    assert [(wish.feed, wish.key, wish.answer) for wish in found] == [
        ("deaths", key, "/deces-2026-m02.txt:1"),
        ("deaths", "insee_deaths:?", "/deces-2026-m02.txt:2"),
        ("opposition", key, "/fichier-opposition-deces-2026-02.csv:1"),
    ]


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 3)), max_size=12))
def test_an_opposition_reaches_back_and_ahead(said: list[tuple[bool, int]]) -> None:
    """Whatever the order and the repeats: told at most once, withdrawn if it was told, and never again after that."""
    emits: list[Emit] = []
    for opposed, number in said:
        name, body = ("deces-1.txt", f"{line(number)}\n".encode())
        if opposed:
            name, body = "fichier-opposition-deces-1.csv", f"{HEADER}2026-02-14;38421;{number:09}\n".encode()
        emits += read({name: body})
    heard = told(emits)
    for number in (1, 2, 3):
        mine = [opposed for opposed, other in said if other == number]
        first = mine.index(True) if True in mine else len(mine)
        expected = ["DeathPublished"] * (first > 0) + ["DeathWithdrawn"] * (0 < first < len(mine))
        assert heard.get(f"insee_deaths:2026-02-14:38421:{number:09}", []) == expected

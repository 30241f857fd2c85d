"""A roll that is cut into shares says what the whole roll says."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from connectors.sources.civil_registry.electoral_roll import source
from connectors.sources.civil_registry.electoral_roll.simulator import HEADER
from hub import catalogue
from hub.model.decision import Deliver, Quarantine
from hub.model.intake import Answer, Emit, Get
from hub.pipeline.process import process
from hub.testing.samples import record

CONNECTOR = catalogue.connectors()["electoral_roll"]


def row(number: int, station: int, day: str) -> str:
    """Write an elector."""
    return (
        f"LP;Liste principale;{day};38;185;GRENOBLE;{number};F;ESSAI;;JEANNE;01/02/1980;GRENOBLE;38;FRANCE;Française;"
        f"École;{station};;;;;1;RUE;;;38000;GRENOBLE;FRANCE\r\n"
    )


def read(name: str, body: bytes) -> list[Emit]:
    """Poll a folder with one file."""
    found: list[Emit] = []
    work = source.poll({}, {})
    answer: Any = None
    try:
        while True:
            wish = work.send(answer)
            answer = None
            if isinstance(wish, Get):
                answer = Answer(200, {}, json.dumps([name]).encode() if wish.path == "/" else body, 1)
            elif isinstance(wish, Emit):
                found.append(wish)
    except StopIteration:
        return found


def fold(files: list[bytes]) -> tuple[dict[str, str], int]:
    """Read files one after another; return where everybody votes by the events, and how many shares were set aside."""
    states: dict[str, bytes | None] = {}
    votes: dict[str, str] = {}
    aside = 0
    for number, body in enumerate(files):
        for wish in read(f"liste-electorale-{number}.csv", body):
            said = record(CONNECTOR, wish.feed, wish.value, offset=number, key=wish.key)
            outcome = process(said, CONNECTOR, catalogue.schemas(), states.get(wish.key))
            states[wish.key] = outcome.state if outcome.state is not None else states.get(wish.key)
            for one in outcome.decisions:
                aside += isinstance(one, Quarantine)
                if isinstance(one, Deliver):
                    payload: Any = one.event.payload
                    if type(payload).__name__ == "ElectorRemoved":
                        del votes[payload.elector]
                    else:
                        votes[payload.elector] = payload.station
    return votes, aside


@given(st.lists(st.dictionaries(st.integers(1, 30), st.integers(1, 4)), max_size=3))
def test_the_last_roll_is_what_the_events_say(rolls: list[dict[int, int]]) -> None:
    """Whoever came, moved or went between two rolls."""
    files = [
        f"{HEADER}\r\n{''.join(row(number, station, f'0{day}/01/2026') for number, station in one.items())}".encode()
        for day, one in enumerate(rolls, 1)
    ]
    votes, aside = fold(files)
    if not aside:  # A roll that lost too much of a share is held there, and that share stays as it was.
        assert votes == {str(number): str(station) for number, station in (rolls[-1] if rolls else {}).items()}


def test_a_file_that_was_cut_short_strikes_nobody_off() -> None:
    """Half a roll is no roll."""
    everybody = [row(number, 1, "05/01/2026") for number in range(1000)]
    whole, half = (f"{HEADER}\r\n{''.join(some)}".encode() for some in (everybody, everybody[:500]))
    votes, aside = fold([whole, half])
    assert len(votes) > 990
    assert aside > 55

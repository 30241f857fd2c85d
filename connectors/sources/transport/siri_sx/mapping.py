"""From messages about situations to what began, changed and ended.

Memory, shared by both feeds:

    read_at  when the last delivery was asked for, ms
    open     by number: what was told of each, as plain values, with its `participant`
    closed   by number: the version that closed it, `at`, when that was read, ms, and `end`, a digest of the message
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Any

from connectors.sources.transport.siri_sx import model
from connectors.sources.transport.siri_sx.situation import milliseconds, said_of, told_of
from hub.model.connector import Context, Mapped
from hub.model.event import Fact
from hub.pipeline.disruption import brief, full
from schemas.models.transport import DisruptionEnded, DisruptionPublished, DisruptionUpdated

State = Mapping[str, Any]

DAY = int(timedelta(days=1) / timedelta(milliseconds=1))


def situations(previous: State | None, delivery: model.Delivery, context: Context) -> tuple[State, Mapped]:
    """Take each message as it comes, against what is known of its situation."""
    read_at = milliseconds(context.read_at)
    state = previous or {"read_at": 0, "open": {}, "closed": {}}
    if read_at < state["read_at"]:
        return state, "stale"
    known: dict[str, State] = dict(state["open"])
    closed = {code: end for code, end in state["closed"].items() if end["at"] > read_at - 2 * DAY}
    facts: list[Fact] = []
    unknown = False
    for message in delivery.situations:
        code = _code(message.number)
        if message.over:
            end = _digest(message)
            if code not in known and closed.get(code, {}).get("end") == end:
                continue  # Producers repeat an end, and under its strange number it might be taken for another's.
            ended = code if code in known else _meant(known, message)
            if ended is None:
                unknown = unknown or code not in closed
                continue
            facts.append(_fact(DisruptionEnded(**brief(ended, known.pop(ended))), ended, context))
            closed[ended] = closed[code] = {"version": message.version, "at": read_at, "end": end}
        elif not message.draft and not (code in closed and message.version <= closed[code]["version"]):
            closed.pop(code, None)
            now = told_of(message, context.zone)
            if code not in known:
                facts.append(_fact(DisruptionPublished(**full(code, said_of(now))), code, context))
            elif known[code] != now:
                facts.append(_fact(DisruptionUpdated(**full(code, said_of(now))), code, context))
            known[code] = now
    named = {_code(message.number) for message in delivery.situations}
    past = [code for code, one in known.items() if code not in named and (one["ends_at"] or read_at) < read_at - DAY]
    facts += [_fact(DisruptionEnded(**brief(code, known.pop(code))), code, context) for code in past]
    after = {"read_at": read_at, "open": known, "closed": closed}
    if not delivery.situations and not facts:
        return after, "no_situation"
    return after, "unknown_situation" if unknown and not facts else _numbered(facts)


situations_lite = situations


def _meant(known: Mapping[str, State], message: model.Situation) -> str | None:
    """Find the situation that an end under a strange number is about, if only one can be meant."""
    mine = [
        code
        for code, entry in known.items()
        if entry["participant"] == message.participant and set(entry["lines"]) & set(message.lines)
    ]
    return mine[0] if len(mine) == 1 else None


def _digest(message: model.Situation) -> str:
    said = (message.participant, message.created, message.version, message.title, message.description, *message.lines)
    return sha256("\x1f".join(map(str, said)).encode("utf-8", "replace")).hexdigest()[:16]


def _numbered(facts: list[Fact]) -> list[Fact]:
    """Tell facts of one delivery apart that are of one kind and about one situation: a version may repeat in it."""
    count: dict[tuple[str, str], int] = {}
    found = []
    for fact in facts:
        nth = count[fact.payload.TYPE, fact.entity] = count.get((fact.payload.TYPE, fact.entity), 0) + 1
        found.append(fact if nth == 1 else fact._replace(entity=f"{fact.entity}#{nth}"))
    return found


def _fact(payload: DisruptionPublished | DisruptionUpdated | DisruptionEnded, code: str, context: Context) -> Fact:
    return Fact(payload, f"siri_sx:{code}", context.read_at, code)


def _code(number: str) -> str:
    return number if len(number) <= 80 else sha256(number.encode()).hexdigest()

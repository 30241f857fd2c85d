"""The account's API: what stands now, what happened, and a word when it changes.

Whatever is delivered to a service is written down first, for the citizen to see.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, FastAPI, Header, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict

from hub.model.disclosure import Disclosure
from hub.store import Store
from hub.store.disclosures import Disclosures
from hub.store.paging import LostPlace, entries_after
from hub.web.accounts import Account, Accounts, Why
from hub.web.problems import Problem, documented
from hub.web.tokens import Token
from streams.account import SHOWS, Block

EXAMPLE = "3f0c8a52-3f0e-4c2e-9a55-6c1f6f0f7c11"
LOOK_SECONDS, BEAT_SECONDS = 2.0, 20.0
"""How often a stream looks for changes, and how often it says that it is alive."""
LIFE_SECONDS = 900.0
"""A stream ends after so long; its reader comes back, with a token that is still good."""
MOST_STREAMS = 200
"""Streams at once; each costs one read of an account per look."""


class _Body(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class WhyBody(_Body):
    """Where a line comes from."""

    product: str
    """The source."""
    occurred_at: datetime
    read_at: datetime
    """When the hub read it at the source."""
    mapping_revision: int
    next_update: datetime | None
    """When the source is asked again; null: it calls when it has something to say."""


class LineBody(_Body):
    """One line of a block."""

    what: str
    detail: str
    state: str
    until: str
    """Until when something can be done about it, in words; empty: nothing is known of that."""
    why: WhyBody | None


class BlockBody(_Body):
    """One block of the account."""

    name: str
    title: str
    as_of: datetime | None
    """Moment up to which the block's sources are known."""
    trouble: str
    """What keeps the block from being up to date, in a sentence; empty: nothing."""
    lines: list[LineBody]


class LinkBody(_Body):
    """An open link."""

    subject: str
    role: str
    scope: list[str]
    """Blocks that the link is limited to; empty: all."""
    since: datetime
    until: str | None


class AccountBody(_Body):
    """A citizen's account."""

    citizen: str
    links: list[LinkBody]
    blocks: list[BlockBody]


class EntryBody(_Body):
    """One thing that happened, in the words of its schema."""

    id: str
    type: str
    subject: str
    product: str
    occurred_at: datetime
    read_at: datetime
    mapping_revision: int
    data: dict[str, Any]


class EntriesBody(_Body):
    """A page of entries."""

    entries: list[EntryBody]
    next: str | None
    """To be sent as `after`; null: there are no more."""


_LINE = {
    "what": "Mardi 10 mars",
    "detail": "Déjeuner",
    "state": "Réservé",
    "until": "Modifiable jusqu'au lundi 9 mars, 10:00",
    "why": {
        "product": "chrono",
        "occurred_at": "2026-03-02T18:04:11+01:00",
        "read_at": "2026-03-02T18:05:00+01:00",
        "mapping_revision": 1,
        "next_update": "2026-03-10T08:41:00+01:00",
    },
}
ACCOUNT_EXAMPLE = {
    "citizen": EXAMPLE,
    "links": [
        {"subject": "chrono:E0001", "role": "PARENT", "scope": [], "since": "2026-03-10T07:40:00Z", "until": None}
    ],
    "blocks": [
        {
            "name": "canteen",
            "title": "Cantine cette semaine",
            "as_of": "2026-03-10T08:40:00+01:00",
            "trouble": "",
            "lines": [_LINE],
        }
    ],
}
ENTRIES_EXAMPLE = {
    "entries": [
        {
            "id": "0b7f3a0e-5f0e-5f57-9a6a-6a6f2d0b1c11",
            "type": "hub.school_catering.MealBooked",
            "subject": "chrono:E0001",
            "product": "chrono",
            "occurred_at": "2026-03-02T17:04:11Z",
            "read_at": "2026-03-02T17:05:00Z",
            "mapping_revision": 1,
            "data": {"booking_id": "4711", "meal_date": "2026-03-10", "activity": "LUNCH", "label": "Cantine"},
        }
    ],
    "next": "0b7f3a0e-5f0e-5f57-9a6a-6a6f2d0b1c11",
}
STREAM_EXAMPLE = 'id: 5d41402abc4b2a76b9719d91\nevent: changed\ndata: {"blocks": ["canteen"]}\n\n'
STREAM_EVENT = {
    "type": "object",
    "required": ["id", "event", "data"],
    "properties": {
        "id": {"type": "string"},
        "event": {"const": "changed"},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {
                "type": "object",
                "required": ["blocks"],
                "properties": {"blocks": {"type": "array", "items": {"type": "string"}}},
            },
        },
    },
}
"""Of each event, by the word of OpenAPI 3.2 that FastAPI writes as well."""
ETAG = {"ETag": {"schema": {"type": "string"}, "description": "Of what is answered, for `If-None-Match`."}}
UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "What you have is how it stands", "headers": ETAG}}
Match = Annotated[str | None, Header(description="The `ETag` of what you have.", examples=['"5d41402abc4b2a76"'])]


def add_api(
    app: FastAPI,
    store: Store,
    accounts: Accounts,
    service: Callable[..., Awaitable[Token]],
    clock: Callable[[], datetime],
) -> None:
    """Add the routes below `/api/v1/accounts`; `service` finds the token of a call, or refuses it."""
    disclosures = Disclosures(store)
    streams = _Bound(MOST_STREAMS)

    def answered(example: Any, media: str = "application/json") -> dict[int | str, dict[str, Any]]:
        return {200: {"content": {media: {"example": example}}, "headers": ETAG}}

    def granted(citizen: UUID, token: Token) -> Collection[str]:
        """Return the blocks that a token may read of a known account; empty: all."""
        only = _blocks(token)
        if not store.knows(str(citizen)):
            raise Problem(404, "no_account", "No such account", "Nobody with this id has linked anything.")
        return only

    def deliver(body: BaseModel, match: str | None, citizen: UUID, token: Token, what: Collection[str]) -> Response:
        content = body.model_dump_json().encode()
        # May be kept by who asked, and has to be asked about each time.
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"', "Cache-Control": "private, no-cache"}
        if match is not None and headers["ETag"] in [one.strip().removeprefix("W/") for one in match.split(",")]:
            return Response(status_code=304, headers=headers)
        moment = int(clock().timestamp() * 1000)
        disclosures.tell(Disclosure(str(citizen), moment, token.name, "api", what))
        return Response(content, headers=headers, media_type="application/json")

    @app.get(
        "/api/v1/accounts/{citizen}",
        responses={**answered(ACCOUNT_EXAMPLE), **UNCHANGED, **documented(401, 403, 404, 422, 503)},
        response_model=AccountBody,
        tags=["account"],
    )
    def account(citizen: UUID, token: Token = Depends(service), if_none_match: Match = None) -> Response:
        """Return a citizen's account as it stands now: all of it, or the blocks that the token may read."""
        with store.together():
            only = granted(citizen, token)
            found = accounts.read(str(citizen), clock(), only)
        shown = [part.name for part in found.blocks if part.lines]
        return deliver(_account(str(citizen), found), if_none_match, citizen, token, shown)

    @app.get(
        "/api/v1/accounts/{citizen}/entries",
        responses={**answered(ENTRIES_EXAMPLE), **UNCHANGED, **documented(401, 403, 404, 409, 422, 503)},
        response_model=EntriesBody,
        tags=["account"],
    )
    def entries(
        citizen: UUID,
        token: Token = Depends(service),
        after: Annotated[
            str | None,
            Query(max_length=36, description="`next` of the page before.", examples=[ENTRIES_EXAMPLE["next"]]),
        ] = None,
        limit: Annotated[int, Query(ge=1, le=500, description="Most entries of the page.", examples=[50])] = 100,
        if_none_match: Match = None,
    ) -> Response:
        """Return what happened to the citizen's subjects, a page at a time: by subject, each in its order."""
        shown = accounts.narrowed(str(citizen), clock(), granted(citizen, token))
        try:
            found, more = entries_after(store, shown, after, limit)
        except LostPlace:
            raise Problem(409, "lost_place", "The page cannot be found", "after: begin without it.") from None
        body = EntriesBody(
            entries=[
                EntryBody(
                    id=one.event_id,
                    type=one.type,
                    subject=one.subject,
                    product=one.product,
                    occurred_at=datetime.fromtimestamp(one.occurred_at / 1000, UTC),
                    read_at=datetime.fromtimestamp(one.read_at / 1000, UTC),
                    mapping_revision=one.rev,
                    data=dict(one.payload),
                )
                for one in found
            ],
            next=found[-1].event_id if more else None,
        )
        what = {name for name, starts in SHOWS.items() if any(one.type.startswith(starts) for one in found)}
        return deliver(body, if_none_match, citizen, token, what)

    @app.get(
        "/api/v1/accounts/{citizen}/changes",
        responses={
            200: {"content": {"text/event-stream": {"itemSchema": STREAM_EVENT, "example": STREAM_EXAMPLE}}},
            **documented(401, 403, 404, 422, 503),
        },
        response_class=StreamingResponse,
        tags=["account"],
    )
    async def changes(
        request: Request,
        citizen: UUID,
        token: Token = Depends(service),
        last_event_id: Annotated[
            str | None, Header(description="The `id` of the last event that was seen.", examples=["5d41402abc4b2a76"])
        ] = None,
    ) -> Response:
        """Tell when blocks of the account change, as server-sent events; no event says more than their names.

        `id` stands for how the account stands: whoever sends it as `Last-Event-ID` is told at once if that is
        not how it stands any more, with all blocks.
        """
        only = await asyncio.to_thread(granted, citizen, token)
        if not streams.enter():
            raise Problem(503, "too_many_streams", "Too many streams are open", "Come back later.", Retry_After="60")

        async def look() -> list[Block]:
            return (await asyncio.to_thread(accounts.read, str(citizen), clock(), only)).blocks

        async def told() -> AsyncIterator[str]:
            try:
                async for event in follow(look, request.is_disconnected, last_event_id):
                    yield event
            finally:
                streams.leave()

        return StreamingResponse(told(), media_type="text/event-stream")


async def follow(
    look: Callable[[], Awaitable[list[Block]]],
    gone: Callable[[], Awaitable[bool]],
    last: str | None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[str]:
    """Yield a server-sent event for each change of what `look` sees, until its reader is gone or it has lived long."""
    known = _stand(await look())
    if last is not None and last != _id(known):
        yield _event(known, sorted(known))
    else:
        # Headers go out with the first bytes: the reader knows that it is heard.
        yield ": listening\n\n"
    quiet = 0.0
    for _ in range(int(LIFE_SECONDS / LOOK_SECONDS)):
        await sleep(LOOK_SECONDS)
        if await gone():
            return
        now = _stand(await look())
        changed = sorted(name for name in known.keys() | now.keys() if known.get(name) != now.get(name))
        quiet += LOOK_SECONDS
        if changed:
            known, quiet = now, 0.0
            yield _event(now, changed)
        elif quiet >= BEAT_SECONDS:
            quiet = 0.0
            yield ": still here\n\n"


class _Bound:
    """Counts what is open; used by the event loop alone."""

    def __init__(self, most: int) -> None:
        self._left = most

    def enter(self) -> bool:
        """Take a place, if there is one."""
        if self._left == 0:
            return False
        self._left -= 1
        return True

    def leave(self) -> None:
        """Give a place back."""
        self._left += 1


def _blocks(token: Token) -> Collection[str]:
    if "account:read" in token.scopes:
        return ()
    named = [name for name in SHOWS if f"account:{name}" in token.scopes]
    if not named:
        raise Problem(403, "no_scope", "The token may not read accounts", "Ask for account:read or account:<block>.")
    return named


def _account(citizen: str, found: Account) -> AccountBody:
    return AccountBody(
        citizen=citizen,
        links=[
            LinkBody(
                subject=link.subject,
                role=link.role,
                scope=list(link.scope),
                since=datetime.fromtimestamp(link.since / 1000, UTC),
                until=link.until,
            )
            for link in found.links
        ],
        blocks=[
            BlockBody(
                name=part.name,
                title=part.title,
                as_of=part.as_of,
                trouble=part.trouble,
                lines=[
                    LineBody(
                        what=line.what,
                        detail=line.detail,
                        state=line.state,
                        until=line.until,
                        why=_why(found.why(part, line)),
                    )
                    for line in part.lines
                ],
            )
            for part in found.blocks
        ],
    )


def _why(why: Why | None) -> WhyBody | None:
    if why is None:
        return None
    return WhyBody(
        product=why.product,
        occurred_at=why.happened,
        read_at=why.read,
        mapping_revision=why.revision,
        next_update=why.expected,
    )


def _stand(parts: list[Block]) -> dict[str, str]:
    """Return what stands in each block, shortened; when it was last asked for does not count."""
    return {
        part.name: hashlib.sha256(
            json.dumps(
                [part.trouble, [[line.what, line.detail, line.state, line.until] for line in part.lines]]
            ).encode()
        ).hexdigest()
        for part in parts
    }


def _id(stand: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(sorted(stand.items())).encode()).hexdigest()[:24]


def _event(stand: dict[str, str], changed: list[str]) -> str:
    return f"id: {_id(stand)}\nevent: changed\ndata: {json.dumps({'blocks': changed})}\n\n"

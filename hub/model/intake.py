"""What a source may want, and what it is answered: intake without I/O.

A polling source is a generator of wishes.  The driver carries each out and sends the answer in:

    def poll(cursor: Cursor) -> Intake:
        listing = yield Get("/notifications", params={"maxResult": "25"})
        for item in listing.json(): ...
            yield Emit(feed="case", key=..., value=..., read_at=listing.started_at)
            yield Delete(f"/notifications/{item['id']}")

Rules.  The driver waits for the broker's acknowledgement before it answers an `Emit`.  Whatever is
temporary (no connection, 5xx, 429) never reaches the generator: the driver closes it, waits, and
polls again from the last checkpoint; so a source must be safe to abandon at every `yield`.
A source that finds an answer useless for now raises `Transient` itself.  Refused credentials
(401, 403, no token) are raised as `Denied` at the `yield`: a source with several of them goes on with
the others, and raises `Transient` at its end, so that the poll is not taken for a good one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """A vendor's answer with a final status (2xx, 3xx, or 4xx other than 429).

    One that is larger than the hub reads comes with status 413 and without its body: it would be as large again.
    """

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    started_at: int
    """When the request was started, UTC milliseconds."""

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def id(self) -> str | None:
        """The vendor's request id, for support calls and for the ledger."""
        return self.headers.get("x-request-id")

    def json(self) -> Any:
        """Parse the body; ValueError when it is not JSON, or nested without end."""
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("nested too deeply") from None


@dataclass(frozen=True, slots=True)
class Request:
    """A request to the vendor, relative to its `base_url`; answered with an `Answer`."""

    path: str
    """Below `base_url`, or an address of its own; then `auth` names the credentials that may go there."""
    params: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    """Of the query; a tuple repeats its name."""
    headers: Mapping[str, str] = field(default_factory=dict)
    auth: str = "default"
    """Name of the credentials in the connector's settings."""
    body: Any = None
    """Sent as JSON."""
    content: bytes | None = None
    """Sent as it is, instead of a body; its type is a header."""


class Get(Request):
    """Read."""


class Post(Request):
    """Write; not idempotent: read before repeating."""


class Patch(Request):
    """Change."""


class Delete(Request):
    """Remove; most often the acknowledgement of a queue item."""


@dataclass(frozen=True, slots=True)
class Login:
    """How a conversation is opened; the driver alone reads the secret, and opens without where no credentials are."""

    write: Callable[[str, str], bytes]
    """`(name, secret) -> line`; raises `Denied` for what the protocol cannot carry."""
    accepted: bytes
    """How the answer begins when the other side lets us in."""
    refused: bytes
    """How it begins when the credentials are `Denied`; any other is no answer to a login."""


@dataclass(frozen=True, slots=True)
class Line:
    """One answer of a conversation, with the mark that ended it."""

    text: bytes
    started_at: int
    """When the line that it answers was sent, UTC milliseconds."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """Lines over one TCP connection to `base_url` (`tcp://host:port`), each sent once the one before is answered.

    Answered with a `Line` each; with fewer if the other side hung up, or wrote more than the hub reads: then
    nothing is known of the rest.  A connection that cannot be had, or is silent for too long, is temporary.
    """

    lines: tuple[bytes, ...]
    """Each with its end."""
    login: Login | None = None
    auth: str = "default"
    """Name of the credentials in the connector's settings."""
    end: bytes = b"\r"
    """What ends a line."""


@dataclass(frozen=True, slots=True)
class Emit:
    """Write a raw record; answered with None once the broker has acknowledged it.

    One that is too large for Kafka is set aside by the driver, with its bytes, as `too_large`.
    """

    feed: str
    key: str
    """The raw key: one subject, one key.  A feed that cannot tell the subject uses a constant."""
    value: bytes
    read_at: int
    content_type: str
    raw_id: str | None = None
    """Identity at the vendor where there is one (a notification id); None: intake makes one up."""
    answer: str | None = None
    """`Answer.id` of the answer that brought it."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Keep bytes beside Kafka; answered with their SHA-256, in hexadecimal digits, once they are safe."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Subjects:
    """Ask whom to ask about; answered with the linked subject ids of this product, without prefix, sorted.

    No one else's data is fetched.
    """

    product: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Remember the cursor; answered once it is safe."""

    cursor: Mapping[str, Any]


Wish = Request | Exchange | Emit | Keep | Subjects | Checkpoint
Cursor = Mapping[str, Any]
Intake = Generator[Wish, Any, None]


@dataclass(frozen=True, slots=True)
class Call:
    """An incoming webhook call, its signature already verified by the shell."""

    feed: str
    body: bytes
    headers: Mapping[str, str]
    received_at: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """The call is refused with a 4xx: `detail` names fields, never values."""

    status: int
    detail: str

"""What a sink may want, and what it is answered: delivery without I/O.

A sink is a generator of wishes, one run for one row of the outbox, that returns what became of it:

    def deliver(message: Message, settings: Mapping[str, str]) -> Delivery:
        if message.begun:                                   # a former try may have arrived: ask first
            found = yield Get("/v2/notifications", params={"reference": message.id})
            ...
        yield Begin()                                       # answered once SQL remembers it
        answer = yield Post("/v2/notifications/email", body={..., "reference": message.id})
        return Sent()

Rules.  The driver throws what went wrong in at the `yield`: `Lost` when a request may have been carried out and
the answer did not come, `Denied` for refused credentials, `Transient` when the other side certainly did nothing.
What a sink does not catch ends the turn: the row is tried again later, and `message.begun` says whether `Begin`
had been reached.  A process can be killed at every `yield`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from hub.model.connector import Stability
from hub.model.errors import Transient
from hub.model.intake import Answer, Request


class Lost(Transient):
    """The request went out, and no whole answer came: nobody knows whether it was carried out."""


class Repeats(StrEnum):
    """What keeps a message from arriving twice when a try is repeated after a crash."""

    ASKED = "asked"
    """The provider is asked by our reference first: exactly once."""
    SAME_ID = "same_id"
    """Sent again under the same id, by which the receiver knows it: at least once."""
    ONCE = "once"
    """The provider cannot be asked: sent at most once, and what is unsure is told to the city."""


class SinkManifest(BaseModel):
    """`connector.toml` of a sink."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    summary: str
    """One sentence for the list of connectors."""
    vendor: str
    """Who makes the outside system."""
    owner: str
    """Who in the city answers for the sink."""
    stability: Stability
    carries: tuple[str, ...] = Field(min_length=1)
    """Channels of the outbox that it can take: `mail`, `sms`, `app`, `hubee`."""
    repeats: Repeats
    """What keeps a message from arriving twice: `asked`, `same_id` or `once`."""
    rate_per_second: float | None = Field(default=None, gt=0)
    """Most messages per second, of all lanes together; empty: as many as it takes."""
    settings: Mapping[str, str] = Field(default_factory=dict)
    """Settings that it needs beside `base_url`, each with its meaning; `optional: ` if it may be left out."""
    credentials: Mapping[str, str] = Field(default_factory=dict)
    """Credentials by name, each with its kind: `oauth2`, `basic`, `bearer`, `jwt`, or `hmac` for the secret that
    signs what goes out."""
    documentation: str = ""
    """Where the format is described, or why it is ours."""


@dataclass(frozen=True, slots=True)
class Message:
    """One row of the outbox in words."""

    id: str
    """Of the row: our reference, the same at every try."""
    channel: str
    topic: str
    address: str
    subject: str
    """One line; of a short message, all of it."""
    text: str
    begun: bool = False
    """Whether a former try reached `Begin` and nobody knows what came of it."""
    unsubscribe: str | None = None
    """Address for ending messages of this kind by one click."""
    payload: Mapping[str, Any] | None = None
    """What a row says that is no message to a person."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Remember that the provider may have the message from now on; answered once that is safe."""


@dataclass(frozen=True, slots=True)
class Sign:
    """Sign bytes by Standard Webhooks; answered with the headers `webhook-id`, `-timestamp` and `-signature`."""

    id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Mail:
    """Hand a message to the mail server; answered with its `Reply`."""

    message: Message


class Reply(NamedTuple):
    """A mail server's answer to a message."""

    status: int
    enhanced: str = ""
    """RFC 3463, `5.1.1`, where it says one."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The provider has it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider will never take it."""

    code: str
    bounced: bool = False
    """Whether nothing will ever reach this address."""


@dataclass(frozen=True, slots=True)
class Later:
    """The provider has it not, and may take it later."""

    code: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Unsure:
    """Nobody knows whether the provider has it, and it must not be sent twice."""

    code: str


Wish = Request | Begin | Sign | Mail
Outcome = Sent | Refused | Later | Unsure
Delivery = Generator[Wish, Any, Outcome]


class Receipt(NamedTuple):
    """What a provider says later about a message that it took."""

    reference: str
    """Of the row."""
    arrived: bool
    code: str
    bounced: bool = False


class OptOut(NamedTuple):
    """Somebody answered a short message: no more of them."""

    number: str
    """As it is written to, `+33…`."""


STOP_WORDS = frozenset({"STOP", "ARRET", "ARRÊT"})
_NUMBER = re.compile(r"\+?[1-9][0-9]{6,14}")


def opt_out(number: str, text: str) -> OptOut | None:
    """Read what somebody answered; anything but the word that every operator teaches says nothing."""
    word = re.match(r"\W*(\w*)", text.upper())
    if not word or word[1] not in STOP_WORDS or not _NUMBER.fullmatch(number):
        return None
    return OptOut(f"+{number.removeprefix('+')}")


@dataclass(frozen=True)
class Sink:
    """One product that takes what the hub has to say."""

    product: str
    manifest: SinkManifest
    deliver: Callable[[Message, Mapping[str, str]], Delivery]
    receive: Callable[[bytes], Receipt | OptOut | None] | None = None
    """`(body of a call) -> what it says`; None: it says nothing that has an end."""


def retry_after(answer: Answer) -> float | None:
    """Return the seconds that a provider asked to wait, if it did."""
    try:
        return max(float(answer.headers["retry-after"]), 0.0)
    except (KeyError, ValueError):
        return None

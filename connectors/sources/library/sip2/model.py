"""The three answers about a patron.  Names, addresses, titles, charges and messages end at this edge."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from connectors.sources.library.sip2.protocol import PATRON, Message, read
from hub.model.errors import Invalid, VendorError

LISTED = {"AS": 0, "AT": 1, "AU": 2}
"""Field of a list, and which of the counts in the fixed part is its own."""
_DATE = re.compile(r"[0-9]{8}( {4}| {3}Z)[0-9]{6}")
_COUNT = re.compile(r"[0-9]{4}")


class Answers(BaseModel):
    """What is said of one patron."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    AA: str = Field(pattern=r"^[0-9A-Za-z._-]{1,64}$")
    """Whom it is about."""
    AS: tuple[str, ...]
    """What can be fetched."""
    AT: tuple[str, ...]
    """What is overdue."""
    AU: tuple[str, ...]
    """What is lent; some leave out what is overdue."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, text: Any) -> Any:
        """Read the lines, and believe a list that is as long as its count says."""
        if not isinstance(text, str):
            return text
        lines = [line for line in text.encode("cp850").replace(b"\n", b"").split(b"\r") if line]
        if len(lines) != len(LISTED):
            raise Invalid("three answers are one record", fields=("64",))
        messages = [_patron(line) for line in lines]
        patrons = {message.one("AA") for message in messages}
        if len(patrons) > 1:
            raise Invalid("answers about several patrons", fields=("AA",))
        return {"AA": patrons.pop(), **{code: _listed(code, messages) for code in LISTED}}


def _patron(line: bytes) -> Message:
    message = read(line)
    if message.number == "96":
        raise VendorError("asks to repeat: it read a wrong checksum", fields=("96",))
    if message.number != PATRON:
        raise Invalid("no patron information", fields=("64",))
    if message.one("BL") == "N":
        raise VendorError("BL N: the library does not know the patron", fields=("BL",))
    date = message.fixed[17:35]
    if not _DATE.fullmatch(date):
        raise Invalid("not a date", fields=("64",))
    try:
        datetime.strptime(date[:8] + date[12:], "%Y%m%d%H%M%S")  # noqa: DTZ007 # whether it is one, not when
    except ValueError:
        raise Invalid("not a date", fields=("64",)) from None
    return message


def _listed(code: str, messages: list[Message]) -> tuple[str, ...]:
    """Gather a list from whichever answers hold it, each entry once."""
    found = tuple(dict.fromkeys(entry for message in messages for entry in message.all(code)))
    at = 35 + 4 * LISTED[code]
    counts = [message.fixed[at : at + 4] for message in messages]
    counted = [int(count) for count in counts if _COUNT.fullmatch(count)]
    if not counted and not found:
        raise Invalid("no entries, and no count that says so", fields=(code,))
    # Between two answers something may have come back: the smallest count is what must be there.
    if counted and len(found) < min(counted):
        raise Invalid("fewer entries than are counted", fields=(code,))
    return found

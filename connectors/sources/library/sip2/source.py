"""Asks about linked patrons, each on a connection of its own, and about nobody else."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from connectors.sources.library.sip2.protocol import END, STATUS, read, written
from hub.model.errors import Cause, Denied, Invalid, Transient
from hub.model.intake import Cursor, Emit, Exchange, Intake, Line, Login, Subjects

PATRON = re.compile(r"[0-9A-Za-z._-]{1,64}")
"""What may stand in a field whatever the delimiter."""
FRENCH = "003"
LISTS = ("Y         ", " Y        ", "  Y       ")
"""Summary flags: what can be fetched, what is overdue, what is lent; more than one at once is not allowed."""
ALL = ("BP1", "BQ9999")
"""From the first entry to the last: some list ten unless they are asked for more."""


def poll(cursor: Cursor, settings: Mapping[str, str]) -> Intake:  # noqa: ARG001
    """Take the library's clock, then ask three lists of each patron; they go on as they came, as one record."""
    patrons: list[str] = yield Subjects("sip2")
    known = [patron for patron in patrons if PATRON.fullmatch(patron)]
    if not known:
        return
    delimiter = settings.get("delimiter", "|")
    login = _login(settings.get("location", ""), delimiter)
    greeting: tuple[Line, ...] = yield Exchange((written("9900802.00", 1),), login)
    clock = _clock(greeting)
    silent = 0
    for patron in known:
        fields = (f"AO{settings['institution']}", f"AA{patron}", "AC", "AD", *ALL)
        variable = "".join(field + delimiter for field in fields)
        questions = tuple(
            written(f"63{FRENCH}{clock}{summary}{variable}", number) for number, summary in enumerate(LISTS, 1)
        )
        lines: tuple[Line, ...] = yield Exchange(questions, login)
        if len(lines) < len(questions):
            silent += 1  # Nothing whole was said about this patron; the others are asked all the same.
            continue
        value = b"".join(line.text for line in lines)
        yield Emit(
            feed="patron",
            key=f"sip2:{patron}",
            value=value,
            read_at=lines[0].started_at,
            content_type="text/plain; charset=ibm850",
            # SIP2 numbers no answers: this one is known by what it holds, its second included.
            answer=hashlib.sha256(value).hexdigest(),
        )
    if silent:
        raise Transient(f"hung up at {silent} of {len(known)} patrons", cause=Cause.TRUNCATED)


def _clock(greeting: tuple[Line, ...]) -> str:
    """Return the library's date and time; without a clock of its own, the hub dates its questions by them."""
    if not greeting:
        raise Transient("hung up when asked for its status", cause=Cause.TRUNCATED)
    try:
        status = read(greeting[0].text.strip(b"\r\n"))
    except Invalid as error:
        raise Transient(f"status: {error.detail}") from None
    if status.number != STATUS:
        raise Transient("no answer to 99")
    if status.fixed[0] != "Y":
        raise Transient("says that it is off line")
    return status.fixed[12:30]


def _login(location: str, delimiter: str) -> Login:
    def write(name: str, secret: str) -> bytes:
        fields = [f"CN{name}", f"CO{secret}", *([f"CP{location}"] if location else [])]
        if any(delimiter in field or END.decode() in field for field in fields):
            raise Denied("the name, the password or the location holds the delimiter: change it, or `delimiter`")
        try:
            return written("9300" + "".join(field + delimiter for field in fields), 0)
        except UnicodeEncodeError:
            raise Denied("the name, the password or the location has characters that IBM850 lacks") from None

    return Login(write, b"941", b"940")

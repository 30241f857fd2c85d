"""SIP2's messages: fields, and the sum at their end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from hub.model.errors import Invalid

END = b"\r"
_FOOT = re.compile(rb"(?s)(?P<delimiter>.)AY[0-9]AZ(?P<sum>[0-9A-Fa-f]{4})\Z")


STATUS, PATRON = "98", "64"
_FIXED = {STATUS: 34, PATRON: 59}
"""Characters of the fixed part behind a message's number."""


class Message(NamedTuple):
    """A message that is what its sum says."""

    number: str
    fixed: str
    fields: tuple[tuple[str, str], ...]
    """Every field in its order; the same code may come again and again."""

    def all(self, code: str) -> tuple[str, ...]:
        """Return the values of a field, without those that are empty."""
        return tuple(value for name, value in self.fields if name == code and value)

    def one(self, code: str) -> str:
        """Return the first value of a field, empty without one."""
        return next(iter(self.all(code)), "")


def written(text: str, sequence: int) -> bytes:
    """Write a message, whose last field is ended, with its number in the conversation, its sum and its end."""
    line = f"{text}AY{sequence % 10}AZ".encode("cp850")
    return line + b"%04X" % checksum(line) + END


def checksum(line: bytes) -> int:
    """Return the two's complement of the sum of bytes."""
    return -sum(line) & 0xFFFF


def read(line: bytes) -> Message:
    """Read a line without its end; `Invalid` where its sum is wrong or its fixed part too short."""
    foot = _FOOT.search(line)
    body, delimiter = line, line[-1:]
    if foot is not None:
        if checksum(line[: foot.start("sum")]) != int(foot["sum"], 16):
            raise Invalid("wrong checksum", fields=("AZ",))
        body, delimiter = line[: foot.start() + 1], foot["delimiter"]
    text = body.decode("cp850")
    number = text[:2]
    length = _FIXED.get(number, 0)
    if len(text) < 2 + length:
        raise Invalid("shorter than its fixed part", fields=(number,) if length else ())
    variable = text[2 + length :]
    return Message(number, text[2 : 2 + length], tuple(_fields(variable, delimiter.decode("cp850"))))


def _fields(text: str, delimiter: str) -> Iterator[tuple[str, str]]:
    for part in text.split(delimiter):
        if len(part) >= 2:
            yield part[:2], part[2:].strip()

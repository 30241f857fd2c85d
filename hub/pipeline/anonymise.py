"""What a system sent, without anybody in it: the same shape, the same defects, other letters and digits.

Works on the text and not on what it means, so that whatever is odd stays odd: the encoding and its mistakes, white
space, escapes, a document that breaks off, nulls, a 31 February.  Of values, only the words of the format are kept.

One secret replaces the same letters and digits by the same others, so that an id still is the same id wherever it
stands.  The secret is forgotten after the capture: nothing leads back.
"""

from __future__ import annotations

import binascii
import hmac
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from html import unescape
from re import Match
from typing import Final
from xml.sax.saxutils import escape

from hub.model.errors import Undecodable
from hub.pipeline.decode import characters

NEAR: Final = timedelta(days=400)
"""Days around the reading within which a day is one of business; others may be of a life, and move further."""

_STRING = r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)'
_JSON = re.compile(rf"(?P<key>{_STRING})(?=\s*:)|(?P<string>{_STRING})|(?P<number>-?[0-9][0-9.eE+-]*)", re.DOTALL)
_XML = re.compile(
    r"(?P<kept><\?.*?\?>|<!DOCTYPE[^>]*>)|<!--(?P<comment>.*?)-->|<!\[CDATA\[(?P<cdata>.*?)(?:\]\]>|\Z)"
    r"|(?P<tag><[A-Za-z_/][^<>]*>?)|(?P<text>[^<]+|<)",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(r"""(?P<name>[\w:.-]+)(?P<is>\s*=\s*)(?P<quote>["'])(?P<value>.*?)(?P=quote)""", re.DOTALL)
_ENTITY = re.compile(r"(&\#?\w{1,10};)")
_NAME = re.compile(r"[A-Za-z_@$#][A-Za-z_@$#.:-]{0,60}")
_UUID = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")
_HEX = re.compile(r"[0-9a-f]{32,}|[0-9A-F]{32,}")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4}){16,}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_PIECE = re.compile(
    r"(?P<uuid>(?<![0-9A-Fa-f])" + _UUID.pattern + r"(?![0-9A-Fa-f]))"
    r"|(?P<scheme>https?://)"
    r"|(?P<iso>(?<!\d)(?P<iy>\d{4})-(?P<im>\d\d)-(?P<id>\d\d)(?!\d))"
    r"|(?P<slash>(?<!\d)(?P<sd>\d\d)/(?P<sm>\d\d)/(?P<sy>\d{4})(?!\d))"
    r"|(?P<clock>(?<!\d)\d\d:\d\d(?::\d\d)?(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?(?!\d))"
    r"|(?P<between>(?<=\d)T(?=\d\d:))"
    r"|(?P<island>(?<=2)[AB](?=\d))"
    r"|(?P<digits>\d+)"
    r"|(?P<word>[A-Za-z\u0250-\U0010ffff]+)",
    re.ASCII,
)
_MEDIA = re.compile(r"(application|audio|font|image|message|multipart|text|video)/[\w.+-]{1,80}(;.{0,80})?", re.ASCII)
_NEARLY = re.compile(r"(18[5-9][0-9]|19[0-9]{2}|20[0-4][0-9])(0[0-9]|1[0-3])([0-2][0-9]|3[01])")
"""A day, or what somebody wrote for one: `00` for what is not known, month 13, a 31 February."""
_CLOCK = re.compile(r"([01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]")
_BEGIN, _END = datetime(2000, 1, 1, tzinfo=UTC).timestamp(), datetime(2100, 1, 1, tzinfo=UTC).timestamp()


@dataclass(frozen=True)
class Anonymiser:
    """Takes people out of what one capture holds."""

    secret: bytes
    """At least 16 bytes of chance, made for one capture."""
    words: Collection[str]
    """Words of the format, in lower case: kept where a whole value or a name is one."""
    moved: timedelta
    """Whole days by which days of business move."""
    read_on: date
    """When it was read."""

    def document(self, value: bytes, content_type: str) -> bytes:
        """Return `value` without anybody in it; raises `Undecodable` for bytes that are not text."""
        text, encoding = characters(value)
        if "\0" in text:
            raise Undecodable("not text")
        match content_type:
            case "application/json":
                changed = self._json(text)
            case "application/xml":
                changed = self._xml(text)
            case "text/csv":
                changed = self._csv(text)
            case "text/plain":
                lines = text.splitlines(keepends=True)
                marked = text.lstrip("\ufeff \t\r\n").startswith("<")
                changed = self._xml(text) if marked else "".join(self.text(line, fixed=True) for line in lines)
            case _:
                raise Undecodable("not text")
        # What was an entity may have no place among the characters of the document.
        return changed.encode(encoding, "xmlcharrefreplace")

    def text(self, value: str, *, fixed: bool = False) -> str:
        """Replace one value; `fixed`: columns stand side by side, and a day may be anywhere in digits."""
        bare = value.strip()
        if len(bare) <= 1 or bare.casefold() in self.words or _MEDIA.fullmatch(bare):
            return value
        if not fixed:
            if bare[0] == "<" and bare[-1] == ">":
                return self._xml(value)
            if bare[0] in "{[" and bare[-1] in "}]":
                return self._json(value)
            if _HEX.fullmatch(bare):
                return value.replace(bare, self._hex(bare))
            if _BASE64.fullmatch(bare):
                return value.replace(bare, self._base64(bare))
        return _PIECE.sub(lambda found: self._piece(found, fixed=fixed), value)

    # -- by content type --------------------------------------------------------------------------------

    def _json(self, text: str) -> str:
        def change(found: Match[str]) -> str:
            if found["number"] is not None:
                return self._number(found["number"])
            token = found[0]
            if found["key"] is not None:
                name = token[1:-1]
                return token if self._is_name(name) else f'"{self._escaped(name)}"'
            whole = len(token) > 1 and token.endswith('"')
            return f'"{self._escaped(token[1:-1] if whole else token[1:])}' + ('"' if whole else "")

        return _JSON.sub(change, text)

    def _escaped(self, inner: str) -> str:
        """Replace what a string holds, and write it with escapes if it had some."""
        try:
            said = json.loads(f'"{inner}"', strict=False)
        except ValueError:
            said = None
        if said is None or said == inner:
            return self.text(inner)
        changed = self.text(said)
        return inner if changed == said else json.dumps(changed, ensure_ascii="\\u" in inner)[1:-1]

    def _xml(self, text: str) -> str:
        def change(found: Match[str]) -> str:
            match found.lastgroup:
                case "comment":
                    return f"<!--{self._plain(found['comment'])}-->"
                case "cdata":
                    return found[0].replace(found["cdata"], self.text(found["cdata"])) if found["cdata"] else found[0]
                case "tag":
                    return _ATTRIBUTE.sub(attribute, found["tag"])
                case "text":
                    return self._characters(found["text"])
                case _:
                    return found[0]

        def attribute(found: Match[str]) -> str:
            name = found["name"]
            if name.startswith(("xmlns", "xsi:", "xml:")):
                return found[0]
            return f"{name}{found['is']}{found['quote']}{self._characters(found['value'])}{found['quote']}"

        return _XML.sub(change, text)

    def _plain(self, text: str) -> str:
        return _PIECE.sub(self._piece, text)

    def _characters(self, text: str) -> str:
        """Replace what stands between tags; a document that was escaped into it stays a document."""
        if "&" not in text:
            return self.text(text)
        said = unescape(text)
        if "&lt;" in text:
            return escape(self.text(said))
        if said.strip().casefold() in self.words:
            return text
        parts = _ENTITY.split(text)
        return "".join(self._entity(part) if number % 2 else self._plain(part) for number, part in enumerate(parts))

    def _entity(self, entity: str) -> str:
        said = unescape(entity)
        return f"&#{ord(self._plain(said)[0])};" if len(said) == 1 and said.isalpha() else entity

    def _csv(self, text: str) -> str:
        first = text.partition("\n")[0]
        separator = max(";,\t|", key=first.count)
        cells = re.compile(rf'"(?:[^"]|"")*"|[^{re.escape(separator)}"\r\n]+')
        names = [name.strip().strip('"\ufeff') for name in first.split(separator)]
        # Without a header the first line is somebody's.
        header = sum(name.casefold() in self.words for name in names) * 2 >= len(names)
        kept = len(first) if header else 0

        def change(found: Match[str]) -> str:
            inner = found[0]
            return (
                f'"{self.text(inner[1:-1])}"' if len(inner) > 1 and inner[0] == inner[-1] == '"' else self.text(inner)
            )

        return text[:kept] + cells.sub(change, text[kept:])

    # -- pieces of a value ------------------------------------------------------------------------------

    def _is_name(self, name: str) -> bool:
        return name.casefold() in self.words or bool(_NAME.fullmatch(name))

    def _piece(self, found: Match[str], *, fixed: bool = False) -> str:
        piece = found[0]
        match found.lastgroup:
            case "uuid":
                return "-".join(self._hex(part, of=piece) for part in piece.split("-"))
            case "iso":
                return self._day(piece, found["iy"], found["im"], found["id"], "%Y-%m-%d")
            case "slash":
                return self._day(piece, found["sy"], found["sm"], found["sd"], "%d/%m/%Y")
            case "digits":
                return self._digits(piece, fixed=fixed)
            case "word":
                return self._word(piece)
            case _:
                return piece

    def _number(self, number: str) -> str:
        whole, point, rest = number.partition(".")
        digits = whole.removeprefix("-")
        if not digits.isdigit() or not (rest.isdigit() or not point):
            return number
        # A place on earth must stay one: its degrees are kept, what is finer is not.
        changed = digits if len(rest) >= 4 and len(digits) < 4 else self._digits(digits)
        return ("-" if number.startswith("-") else "") + changed + point + self._digits(rest)

    def _digits(self, digits: str, *, fixed: bool = False) -> str:
        if len(digits) < 2 or (len(digits) == 4 and abs(int(digits) - self.read_on.year) <= 2):
            return digits  # A flag, a year of business.
        if len(digits) in (10, 13) and not fixed:
            moment = int(digits) / (1 if len(digits) == 10 else 1000)
            if _BEGIN <= moment < _END:
                seconds = int(self._moved(datetime.fromtimestamp(moment, UTC).date()).total_seconds())
                return str(int(digits) + seconds * (1 if len(digits) == 10 else 1000))
        whole = len(digits) == 8 or (len(digits) == 14 and _CLOCK.fullmatch(digits[8:]) is not None)
        places = range(len(digits) - 7) if fixed else [0] if whole else []
        for place in places:
            day = digits[place : place + 8]
            changed = self._day(day, day[:4], day[4:6], day[6:], "%Y%m%d")
            if changed != day or _NEARLY.fullmatch(day):
                before, after = digits[:place], digits[place + 8 :]
                return self._digits(before) + changed + (self._digits(after, fixed=True) if fixed else after)
        changed = "".join(
            # A nought stays one: it says how long a number really is.
            digit if digit == "0" else str(1 + byte % 9)
            for digit, byte in zip(digits, self._stream(digits, len(digits)), strict=True)
        )
        if len(digits) in (9, 14) and _luhn(digits):
            changed = next(c for last in "0123456789" if _luhn(c := changed[:-1] + last))
        return changed

    def _day(self, written: str, year: str, month: str, day: str, form: str) -> str:
        try:
            found = date(int(year), int(month), int(day))
        except ValueError:
            return written
        if not 1850 < found.year < 2049:
            return written  # Somebody's word for « never ».
        return (found + self._moved(found)).strftime(form)

    def _moved(self, day: date) -> timedelta:
        if abs(day - self.read_on) <= NEAR:
            return self.moved
        return self.moved - timedelta(weeks=5 + self._stream("days of a life", 1)[0] % 40)

    def _word(self, word: str) -> str:
        stream = self._stream(word.casefold(), len(word))
        return "".join(_letter(letter, byte) for letter, byte in zip(word, stream, strict=True))

    def _hex(self, digits: str, of: str = "") -> str:
        stream = self._stream(f"{of or digits}:{digits}".lower(), len(digits))
        changed = "".join("0123456789abcdef"[byte % 16] for byte in stream)
        return changed.upper() if digits.isupper() else changed

    def _base64(self, packed: str) -> str:
        try:
            data = b64decode(packed, validate=True)
            said = data.decode("utf-8")
        except (binascii.Error, ValueError):
            return b64encode(self._stream(packed, len(packed) * 3 // 4)).decode()
        return b64encode(self.text(said).encode()).decode()

    def _stream(self, of: str, length: int) -> bytes:
        found = b""
        while len(found) < length:
            found += hmac.digest(self.secret, f"{len(found)}:{of}".encode("utf-8", "surrogatepass"), "sha256")
        return found[:length]


def _letter(letter: str, byte: int) -> str:
    if letter.isascii():
        return chr((ord("A") if letter.isupper() else ord("a")) + byte % 26)
    # Another of its row: as many bytes, and most often the same script.
    other = chr(ord(letter) & ~0xF | byte % 16)
    return other if other.isalnum() else letter


def _luhn(digits: str) -> bool:
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0

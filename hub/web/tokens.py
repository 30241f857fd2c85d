"""Bearer tokens of services: a file of hashes with scopes, read again when it changes."""

from __future__ import annotations

import hashlib
import hmac
import tomllib
from pathlib import Path
from typing import NamedTuple

from streams.account import SHOWS

SCOPES = (
    "account:read",
    *(f"account:{name}" for name in SHOWS),
    "accounts:assist",
    "links:decide",
    "households:change",
    "operations:read",
    "requests:decide",
)
"""`account:read` is every block of every account; `account:<block>` is one."""


class Token(NamedTuple):
    """One service."""

    name: str
    scopes: frozenset[str]


class Tokens:
    """The file `tokens.toml`: `[<name>]`, `sha256 = "…"`, `scopes = [...]`."""

    def __init__(self, path: Path) -> None:
        """Remember the place; a file that is not there yet lets nobody in."""
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._known: dict[str, Token] = {}

    def find(self, secret: str) -> Token | None:
        """Return whose token it is."""
        self._refresh()
        digest = hash_of(secret)
        found = None
        for known, token in self._known.items():
            if hmac.compare_digest(known.encode(), digest.encode()):
                found = token
        return found

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
        except OSError:
            self._seen, self._known = None, {}
            return
        seen = (status.st_mtime_ns, status.st_size)
        if seen == self._seen:
            return
        try:
            document = tomllib.loads(self._path.read_text("utf-8"))
            known = {
                entry["sha256"]: Token(name, frozenset(entry.get("scopes", ()))) for name, entry in document.items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # A file that somebody is editing: what was known stays, and the next call looks again.
            return
        self._known, self._seen = known, seen


def hash_of(secret: str) -> str:
    """Return what is stored of a token."""
    return hashlib.sha256(secret.encode()).hexdigest()

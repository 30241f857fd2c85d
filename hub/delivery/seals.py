"""Seals of links that go out in messages: whoever follows one did receive it."""

from __future__ import annotations

import hmac
from pathlib import Path


def of(secret_file: Path | None, row_id: str) -> str | None:
    """Return the seal of a row, if there is a secret."""
    try:
        secret = secret_file.read_bytes().strip() if secret_file is not None else b""
    except OSError:
        secret = b""
    return hmac.digest(secret, row_id.encode(), "sha256").hex()[:32] if secret else None

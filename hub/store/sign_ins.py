"""Sign-ins by an identity provider: those that are under way, and which identity opens which account."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import delete, insert, select

from hub.store import tables as t
from hub.store.store import Store

MINUTES = 10
"""How long a person may take at the provider."""


class SignIn(NamedTuple):
    """A sign-in under way."""

    provider: str
    nonce: str
    verifier: str
    citizen: str | None
    """Whose account was open when it began."""


class SignIns:
    """Keeps hashes of states and of identities, never these themselves."""

    def __init__(self, store: Store) -> None:
        """Share the store's database."""
        self._store = store

    def begin(self, state: str, sign_in: SignIn, now: datetime) -> None:
        """Remember a sign-in until its person comes back."""
        expires = int((now + timedelta(minutes=MINUTES)).timestamp() * 1000)
        with self._store.transaction(write=True) as connection:
            connection.execute(
                insert(t.sign_ins).values(state_hash=_hash(state), expires_at=expires, **sign_in._asdict())
            )

    def take(self, state: str, now: datetime) -> SignIn | None:
        """Return a sign-in, once; None when it is unknown, used or too old."""
        s = t.sign_ins.c
        with self._store.transaction(write=True) as connection:
            row = connection.execute(
                select(s.provider, s.nonce, s.verifier, s.citizen, s.expires_at).where(s.state_hash == _hash(state))
            ).first()
            taken = connection.execute(delete(t.sign_ins).where(s.state_hash == _hash(state))).rowcount
        if row is None or not taken or row.expires_at <= now.timestamp() * 1000:
            return None
        return SignIn(*row[:4])

    def citizen_of(self, provider: str, sub: str) -> str | None:
        """Return whose account an identity opens."""
        i = t.identities.c
        with self._store.transaction(write=False) as connection:
            return connection.execute(
                select(i.citizen).where(i.provider == provider, i.sub_hash == _hash(sub))
            ).scalar()

    def attach(self, provider: str, sub: str, citizen: str, now: datetime) -> None:
        """Let an identity open an account; one that opens another already goes on doing so."""
        i = t.identities.c
        with self._store.transaction(write=True) as connection:
            known = select(i.citizen).where(i.provider == provider, i.sub_hash == _hash(sub))
            if connection.execute(known).first() is None:
                connection.execute(
                    insert(t.identities).values(
                        provider=provider, sub_hash=_hash(sub), citizen=citizen, since=int(now.timestamp() * 1000)
                    )
                )

    def open(self, citizen: str, now: datetime) -> str:
        """Open a session and return its token."""
        with self._store.transaction(write=True) as connection:
            return Store.open_session(connection, citizen, now)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

"""The breaker: a product whose records are rejected by the dozen is stopped before it fills the quarantine.

It looks at what parks, and at failures of a connector's own code.  An answer that the next one supersedes does not
count: to wait for somebody would only make it worse.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from hub.model.connector import Connector
from hub.model.decision import Decision, Quarantine
from hub.model.errors import Code
from hub.pipeline.parking import parks

WINDOW_SECONDS = 60.0
SHARE = 0.2
"""Above this share of rejected records the breaker opens."""
LEAST = 20
"""Fewer rejected records than this say nothing."""


class Looked(NamedTuple):
    """A batch, as the breaker sees it."""

    at: float
    records: int
    rejected: int


class Breaker:
    """One product's breaker; moments are seconds of any clock that does not go back."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self._seen: deque[Looked] = deque()
        self._records = 0
        self._rejected = 0
        self.off_until = 0.0
        """Until then it does not open: somebody has looked and wants what is bad to be set aside."""

    def opens(self, at: float, records: int, decisions: Iterable[Decision], connector: Connector) -> str | None:
        """Look at a batch that was decided and not written yet; return why nothing of it may be written."""
        rejected = sum(1 for decision in decisions if isinstance(decision, Quarantine) and _counts(decision, connector))
        while self._seen and self._seen[0].at < at - WINDOW_SECONDS:
            gone = self._seen.popleft()
            self._records -= gone.records
            self._rejected -= gone.rejected
        bad, all_of_them = self._rejected + rejected, self._records + records
        if at >= self.off_until and rejected and bad >= LEAST and bad > SHARE * all_of_them:
            return f"{bad} of {all_of_them} records rejected within {WINDOW_SECONDS:.0f} s"
        self._seen.append(Looked(at, records, rejected))
        self._records, self._rejected = all_of_them, bad
        return None

    def reset(self, off_until: float) -> None:
        """Forget what was seen, and stay closed for a while."""
        self._seen.clear()
        self._records = self._rejected = 0
        self.off_until = off_until


def _counts(decision: Quarantine, connector: Connector) -> bool:
    if decision.code is Code.BEHIND:
        return False
    return decision.code is Code.BUG or parks(decision, connector)

"""That somebody was told something about a citizen."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, NamedTuple


class Disclosure(NamedTuple):
    """One delivery of a citizen's data."""

    citizen: str
    at: int
    """UTC milliseconds."""
    recipient: str
    """A service or a desk, by the name of its token; of a notice the channel by which the citizen got it."""
    purpose: str
    """`api`, `notice`, `assistance`, `desk` for a look at links, `decision` for one about a request."""
    what: Collection[str]
    """Names of the blocks that it was about; of a look at links none."""

    def row(self, name: str) -> dict[str, Any]:
        """Return it as a row of that id."""
        return {"id": name, **self._asdict(), "what": json.dumps(sorted(self.what))}

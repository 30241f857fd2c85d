"""From what a patron has to what the patron did.

Memory of a patron:

    loans_read, requests_read  when the last list of each that was believed was asked for, ms
    loans     by id: item, branch, record, kind, due (a day), overdue (it was told)
    requests  by id: record, branch, ready (it was told); open ones only
"""

from __future__ import annotations

from connectors.sources.library.folio.lent import loans
from connectors.sources.library.folio.reserved import requests

__all__ = ["loans", "requests"]

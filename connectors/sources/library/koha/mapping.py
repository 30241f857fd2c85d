"""From what a patron has to what the patron did.

Memory of a patron:

    loans_read, holds_read  when the last list of each that was believed was asked for, ms
    loans   by checkout: item, branch, due, renewed, issued, overdue (it was told)
    holds   by number: record, branch, priority, until, ready (it was told)
"""

from __future__ import annotations

from connectors.sources.library.koha.holds import holds, notice
from connectors.sources.library.koha.loans import checkouts

__all__ = ["checkouts", "holds", "notice"]

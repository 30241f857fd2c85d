"""BiblixNet: no numbers of works, and states in French."""

from __future__ import annotations

from connectors.sources.library.ils_di.profiles import Profile

BIBLIXNET = Profile(
    patron="patronId",
    loan={"itemnumber": "itemId", "date_due": "dueDate"},
    hold={"reservenumber": "itemId", "priority": "priority"},
    ready_field="state",
    ready_words=frozenset({"disponible"}),
)

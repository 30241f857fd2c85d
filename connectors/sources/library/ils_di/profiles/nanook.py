"""Nanook, of Afi: the text `null`, and two ways to say that something is there."""

from __future__ import annotations

from connectors.sources.library.ils_di.profiles import Profile

NANOOK = Profile(
    patron="patronId",
    loan={"itemnumber": "itemId", "biblionumber": "bibId", "branchcode": "locationLabel", "date_due": "dueDate"},
    hold={"reservenumber": "bibId", "biblionumber": "bibId", "priority": "priority"},
    # `availabilityDate` is when it is hoped for, as DD/MM/YYYY.
    ready_field="available",
    ready_words=frozenset({"1", "true"}),
    nulls=frozenset({"", "null"}),
)

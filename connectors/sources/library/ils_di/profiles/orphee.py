"""Orphée, of C3rb: a service of its own, French days, empty CDATA, and answers wrapped twice."""

from __future__ import annotations

from connectors.sources.library.ils_di.profiles import Profile

ORPHEE = Profile(
    patron="no",
    loan={"itemnumber": "cb", "biblionumber": "ntc", "date_due": "date_ret"},
    hold={
        "reservenumber": "no_dmt",
        "biblionumber": "no_ntc",
        "reservedate": "date_crea",
        "priority": "rang",
    },
    # The bar code of the item that was assigned; empty until then.
    ready_field="cb",
)
COUNT = "nb_prets"
"""How many loans the patron has."""

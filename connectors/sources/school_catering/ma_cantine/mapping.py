"""From rows to purchases and canteens, which are public.

Memory of a canteen, by SIRET: `read_at`, and `told`, what it was last described as.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, time
from typing import Any

from connectors.sources.school_catering.ma_cantine import model
from hub.model.connector import Context, Mapped
from hub.model.errors import Unmappable
from hub.model.event import Fact
from schemas.models.school_catering import CanteenDescribed, PurchaseDeclared

State = Mapping[str, Any]

SAME = (
    *("siret", "date", "prix_ht", "famille_produits", "categories_egalim", "origine"),
    *("est_circuit_court", "est_local", "description", "fournisseur"),
)
"""Columns that tell purchases apart."""


def purchases(table: model.Purchases, context: Context) -> Mapped:
    """Tell each purchase; one that is alike in everything is the same, in this file or another."""
    facts: dict[tuple[str, ...], Fact] = {}
    for row in table.rows:
        payload = PurchaseDeclared(
            siret=row.siret,
            bought_on=row.date,
            amount_cents=row.prix_ht,
            family=row.famille_produits,
            categories=row.categories_egalim,
            origin=row.origine,
            short_circuit=row.est_circuit_court,
            local=row.est_local,
        )
        same = tuple(str(getattr(row, name)) for name in SAME)
        moment = min(datetime.combine(row.date, time(23, 59, 59), context.zone), context.read_at)
        facts[same] = Fact(payload, f"ma_cantine:{row.siret}", moment, row.siret, identity=same)
    return list(facts.values())


def canteens(previous: State | None, table: model.Canteens, context: Context) -> tuple[State, Mapped]:
    """Tell a canteen that is new, or described otherwise than before."""
    read_at = int(context.read_at.astimezone(UTC).timestamp() * 1000)
    if previous is not None and read_at < previous["read_at"]:
        return previous, "stale"
    told = dict(previous["told"]) if previous is not None else {}
    facts, seen = [], set()
    for row in table.rows:
        if row.siret in seen:
            raise Unmappable("a SIRET is listed twice", fields=("rows.*.siret",))
        if row.siret == row.siret_cuisine_centrale:
            raise Unmappable("its own central kitchen", fields=("rows.*.siret_cuisine_centrale",))
        seen.add(row.siret)
        payload = CanteenDescribed(
            siret=row.siret,
            name=row.nom,
            central_siret=row.siret_cuisine_centrale,
            meals_per_day=row.nombre_repas_jour,
            meals_per_year=row.nombre_repas_an,
            sectors=row.secteurs,
            production=row.type_production,
            management=row.type_gestion,
        )
        described = {**asdict(payload), "sectors": list(row.secteurs)}
        if told.get(row.siret) != described:
            facts.append(Fact(payload, f"ma_cantine:{row.siret}", context.read_at, row.siret))
        told[row.siret] = described
    return {"read_at": read_at, "told": told}, facts

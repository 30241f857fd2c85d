"""The gate: what of a table of counts may be told, so that nothing else can be computed from it.

Datasets that share a total are one tree: a cell of a coarser one is the sum of its cells in the finer.  A cell
below the threshold is not told (primary suppression).  Whoever adds and subtracts what is told knows bounds of
what is not; where they are closer together than the threshold, more is kept back (secondary suppression).  On a
tree these bounds are exact.

A period is told once.  Every later publication of it is a part of the first, so that two of them together tell
nothing that the first did not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

Cell = tuple[str, ...]
Counts = Mapping[Cell, int]
Level = tuple[int, int]
"""How many dimensions a dataset has, and its threshold."""


def tell(counts: Counts, levels: Sequence[Level]) -> list[dict[Cell, int]]:
    """Return the cells that each level may tell; `counts` are of the finest, `levels` go from coarse to fine."""
    tree = _Tree(counts, [depth for depth, _ in levels])
    told = [
        {cell for cell, count in total.items() if count >= threshold}
        for total, (_, threshold) in zip(tree.totals, levels, strict=True)
    ]
    while (found := _exposed(tree, told, levels)) is not None:
        level, cell = found
        told[level].discard(cell)
    return [{cell: total[cell] for cell in sorted(cells)} for total, cells in zip(tree.totals, told, strict=True)]


def still(told: Sequence[Counts], counts: Counts, levels: Sequence[Level]) -> list[dict[Cell, int]]:
    """Return what is left of a period that was told: without cells of which something was taken back.

    What was counted later is not told: a difference to what was told before would be about those few.  A cell
    that shrank is left out with every sum that contains it, and so is one that a higher threshold forbids.
    """
    tree = _Tree(counts, [depth for depth, _ in levels])
    gone: list[set[Cell]] = [set() for _ in levels]
    left: list[dict[Cell, int]] = [{} for _ in levels]
    for level in reversed(range(len(levels))):
        depth, threshold = levels[level]
        total = tree.totals[level]
        below = gone[level + 1] if level + 1 < len(levels) else set()
        gone[level] = {cell[:depth] for cell in below}
        for cell, count in told[level].items():
            if cell in gone[level] or total.get(cell, 0) < count or count < threshold:
                gone[level].add(cell)
            else:
                left[level][cell] = count
    return left


class _Tree:
    """Sums of a table at each level, and which cell is whose part."""

    def __init__(self, counts: Counts, depths: Sequence[int]) -> None:
        self.depths = depths
        self.totals: list[dict[Cell, int]] = []
        for depth in depths:
            total: dict[Cell, int] = {}
            for cell, count in counts.items():
                if count > 0:
                    total[cell[:depth]] = total.get(cell[:depth], 0) + count
            self.totals.append(total)
        self.parts: list[dict[Cell, list[Cell]]] = []
        for level in range(len(depths) - 1):
            parts: dict[Cell, list[Cell]] = {}
            for cell in sorted(self.totals[level + 1], key=lambda cell: (self.totals[level + 1][cell], cell)):
                parts.setdefault(cell[: depths[level]], []).append(cell)
            self.parts.append(parts)


def _exposed(tree: _Tree, told: Sequence[set[Cell]], levels: Sequence[Level]) -> tuple[int, Cell] | None:
    """Return a told cell that has to be kept back because it gives another one away, if there is one."""
    bounds = _bounds(tree, told)
    # From fine to coarse: what is exposed by its own parts is then covered by them.
    for level in reversed(range(len(levels))):
        for cell in sorted(tree.totals[level].keys() - told[level]):
            low, high = bounds[level][cell]
            if high - low < levels[level][1]:
                return _cover(tree, told, level, cell)
    return None


def _cover(tree: _Tree, told: Sequence[set[Cell]], level: int, cell: Cell) -> tuple[int, Cell]:
    """Choose what to keep back for a cell: its smallest part, else its smallest neighbour, else what contains it."""
    parts = tree.parts[level].get(cell, ()) if level < len(tree.parts) else ()
    if parts and told[level + 1].issuperset(parts):
        return level + 1, parts[0]
    # A cell of the coarsest level is bounded by its parts alone, so that there is something that contains this one.
    parent = cell[: tree.depths[level - 1]]
    beside = [other for other in tree.parts[level - 1][parent] if other in told[level]]
    if beside:
        return level, beside[0]
    return (level - 1, parent) if parent in told[level - 1] else _cover(tree, told, level - 1, parent)


def _bounds(tree: _Tree, told: Sequence[set[Cell]]) -> list[dict[Cell, tuple[float, float]]]:
    """Return what whoever sees the told cells knows of every cell: no less than, no more than."""
    bounds: list[dict[Cell, tuple[float, float]]] = [{} for _ in tree.totals]
    for level in reversed(range(len(tree.totals))):
        for cell, count in tree.totals[level].items():
            if cell in told[level]:
                bounds[level][cell] = (count, count)
            elif level < len(tree.parts):
                known = [bounds[level + 1][part] for part in tree.parts[level][cell]]
                bounds[level][cell] = (sum(low for low, _ in known), sum(high for _, high in known))
            else:
                bounds[level][cell] = (0, inf)
    for level, parts_of in enumerate(tree.parts):
        for cell, parts in parts_of.items():
            low, high = bounds[level][cell]
            lows = sum(bounds[level + 1][part][0] for part in parts)
            endless = [part for part in parts if bounds[level + 1][part][1] == inf]
            highs = sum(bounds[level + 1][part][1] for part in parts if part not in endless)
            narrowed = {}
            for part in parts:
                least, most = bounds[level + 1][part]
                others = inf if set(endless) - {part} else highs - (0 if most == inf else most)
                narrowed[part] = (max(least, low - others), min(most, high - (lows - least)))
            bounds[level + 1].update(narrowed)
    return bounds

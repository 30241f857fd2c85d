"""The gate: nothing that is kept back can be computed from what is told, by sum, difference or a later publication."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strength import examples

from hub import catalogue
from streams.open_data.dataset import BrokenDataset, families, load, not_public
from streams.open_data.gate import Cell, Level, still, tell

KEYS = [(branch, kind) for branch in "AB" for kind in "xyz"]
tables = st.dictionaries(st.sampled_from(KEYS), st.integers(1, 9), min_size=1)
trees = st.sampled_from([[(2, 3)], [(1, 3), (2, 3)], [(0, 3), (1, 3), (2, 3)], [(0, 5), (2, 3)], [(1, 2), (2, 4)]])
Told = Sequence[Mapping[Cell, int]]


def sums(counts: Mapping[Cell, int], depth: int) -> dict[Cell, int]:
    found: dict[Cell, int] = {}
    for cell, count in counts.items():
        found[cell[:depth]] = found.get(cell[:depth], 0) + count
    return found


def tables_that_look_the_same(
    counts: Mapping[Cell, int], levels: Sequence[Level], told: Told
) -> Iterator[Mapping[Cell, int]]:
    """Enumerate, without any cleverness, what else could have been counted; a few more than the largest is enough."""
    cells = sorted(counts)
    secret = [cell for cell in cells if cell not in told[-1]]
    room = max(threshold for _, threshold in levels) + 1
    for values in product(*(range(counts[cell] + room) for cell in secret)):
        other = {**{cell: counts[cell] for cell in cells if cell in told[-1]}, **dict(zip(secret, values, strict=True))}
        if all(
            sums(other, depth).get(cell) == count
            for (depth, _), level in zip(levels, told, strict=True)
            for cell, count in level.items()
        ):
            yield other


small = st.dictionaries(
    st.sampled_from([("A", "x"), ("A", "y"), ("B", "x"), ("B", "y")]), st.integers(1, 5), min_size=1
)


@settings(max_examples=examples(40), deadline=None)
@example({("A", "x"): 1, ("A", "y"): 1}, [(1, 2), (2, 4)])
@example({("A", "x"): 5, ("A", "y"): 1, ("B", "x"): 4}, [(0, 3), (1, 3), (2, 3)])
@given(small, trees)
def test_what_is_kept_back_could_be_anything_within_a_threshold(
    counts: Mapping[Cell, int], levels: list[Level]
) -> None:
    """Of every cell that is not told, values as far apart as the threshold explain what is told."""
    told = tell(counts, levels)
    others = list(tables_that_look_the_same(counts, levels, told))
    for (depth, threshold), level in zip(levels, told, strict=True):
        for cell in sums(counts, depth).keys() - level.keys():
            possible = {sums(other, depth)[cell] for other in others}
            assert max(possible) - min(possible) >= threshold


def solved(equations: list[tuple[set[Cell], int]], cells: Sequence[Cell]) -> set[Cell]:
    """Return the cells that linear algebra finds: Gauss and Jordan, with fractions."""
    rows = [[Fraction(cell in part) for cell in cells] + [Fraction(total)] for part, total in equations]
    done = 0
    for column in range(len(cells)):
        pivot = next((row for row in range(done, len(rows)) if rows[row][column]), None)
        if pivot is None:
            continue
        rows[done], rows[pivot] = rows[pivot], rows[done]
        rows[done] = [value / rows[done][column] for value in rows[done]]
        for row in range(len(rows)):
            if row != done and rows[row][column]:
                rows[row] = [a - rows[row][column] * b for a, b in zip(rows[row], rows[done], strict=True)]
        done += 1
    return {cells[row.index(1)] for row in rows[:done] if sum(map(bool, row[:-1])) == 1}


def equations(told: Told, cells: Sequence[Cell], levels: Sequence[Level]) -> list[tuple[set[Cell], int]]:
    return [
        ({leaf for leaf in cells if leaf[:depth] == cell}, count)
        for (depth, _), level in zip(levels, told, strict=True)
        for cell, count in level.items()
    ]


@settings(deadline=None)
@given(tables, trees, st.lists(tables, max_size=3))
def test_no_number_of_publications_gives_a_cell_away(
    counts: Mapping[Cell, int], levels: list[Level], later: list[Mapping[Cell, int]]
) -> None:
    """Facts come late or are taken back: all publications together tell no cell that the first did not."""
    first = tell(counts, levels)
    publications = [first, *(still(first, now, levels) for now in later)]
    cells = sorted(counts)
    known = [equation for told in publications for equation in equations(told, cells, levels)]
    assert solved(known, cells) <= first[-1].keys()


@given(tables, trees, tables)
def test_what_is_taken_back_leaves_with_every_sum_that_contains_it(
    counts: Mapping[Cell, int], levels: list[Level], later: Mapping[Cell, int]
) -> None:
    """A later publication is a part of the first, and holds no more than is still there."""
    first = tell(counts, levels)
    left = still(first, later, levels)
    for (depth, _), before, after in zip(levels, first, left, strict=True):
        assert after.items() <= before.items()
        assert all(sums(later, depth).get(cell, 0) >= count for cell, count in after.items())
    for coarse, before, after in zip(left, first[1:], left[1:], strict=False):
        assert not {cell[: len(next(iter(coarse), ()))] for cell in before.keys() - after.keys()} & coarse.keys()


@given(tables, trees)
def test_nothing_below_the_threshold_is_told_and_nothing_is_zero(
    counts: Mapping[Cell, int], levels: list[Level]
) -> None:
    """A small cell is absent; what is told is true."""
    for (depth, threshold), level in zip(levels, tell(counts, levels), strict=True):
        assert all(count == sums(counts, depth)[cell] >= threshold for cell, count in level.items())


def test_a_lone_small_cell_takes_its_smallest_neighbour_with_it() -> None:
    """Else the total would tell it."""
    counts = {("A", "x"): 12, ("A", "y"): 3, ("A", "z"): 20, ("B", "x"): 9}
    assert tell(counts, [(1, 5), (2, 5)]) == [{("A",): 35, ("B",): 9}, {("A", "z"): 20, ("B", "x"): 9}]


def test_what_is_not_public_is_refused() -> None:
    """By the class that the schema of its event gives it."""
    prets = catalogue.datasets()["prets"]
    columns = {**prets.manifest.columns, "type_document": "hub.library.LoanStarted.item_id"}
    broken = load("prets", {**prets.manifest.model_dump(), "columns": columns}, prets.schema)
    (problem,) = not_public(broken, lambda _event, field: {"branch": "public", "item_id": "quasi"}.get(field))
    assert "type_document" in problem
    assert "quasi" in problem


def test_two_datasets_that_share_a_total_refine_one_another() -> None:
    """Else it could not be decided exactly what the two tell together."""
    prets = catalogue.datasets()["prets"]
    schema = {**prets.schema, "fields": [f for f in prets.schema["fields"] if f["name"] != "bibliotheque"]}
    columns = {name: origin for name, origin in prets.manifest.columns.items() if name != "bibliotheque"}
    other = load("prets_types", {**prets.manifest.model_dump(), "columns": columns}, schema)
    with pytest.raises(BrokenDataset, match="shares a total"):
        families([prets, other])


def test_another_threshold_needs_its_reason() -> None:
    """So that it can be read later why."""
    prets = catalogue.datasets()["prets"]
    with pytest.raises(ValueError, match="threshold_reason"):
        load("prets", {**prets.manifest.model_dump(), "threshold": 2}, prets.schema)

"""Files become rows, each once, whatever happens between two polls."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.intake.driver import Vendor
from hub.model.errors import Transient
from hub.model.intake import Answer, Checkpoint, Emit, Get
from hub.pipeline import decode, files


def kind_of(name: str) -> files.Kind | None:
    """Know tables, and nothing else."""
    if name.endswith(".csv"):
        return files.Kind("table", "text/csv", lambda row: f"k:{files.columns(row).get('id', '')}", header=True)
    return None


def run(folder: Mapping[str, bytes], cursor: Mapping[str, Any], crash_after: int = 10**9) -> tuple[list[Emit], Any]:
    """Poll once, perhaps with a crash after so many rows; return what was written and the cursor that is left."""
    source = files.poll(cursor, kind_of)
    written: list[Emit] = []
    answer: Any = None
    while True:
        try:
            wish = source.send(answer)
        except StopIteration:
            return written, cursor
        answer = None
        if isinstance(wish, Get):
            body = json.dumps(list(folder)).encode() if wish.path == "/" else folder[wish.path[1:]]
            answer = Answer(200, {}, body, 7)
        elif isinstance(wish, Emit):
            if len(written) == crash_after:
                return written, cursor
            written.append(wish)
        elif isinstance(wish, Checkpoint):
            cursor = json.loads(json.dumps(wish.cursor))


def polled(folder: Mapping[str, bytes], cursor: Mapping[str, Any]) -> tuple[list[Emit], Any]:
    """Poll once, well or not."""
    source = files.poll(cursor, kind_of)
    written: list[Emit] = []
    answer: Any = None
    with suppress(StopIteration, Transient):
        while True:
            wish = source.send(answer)
            answer = None
            if isinstance(wish, Get):
                body = json.dumps(list(folder)).encode() if wish.path == "/" else folder[wish.path[1:]]
                answer = Answer(200, {}, body, 7)
            elif isinstance(wish, Emit):
                written.append(wish)
            elif isinstance(wish, Checkpoint):
                cursor = json.loads(json.dumps(wish.cursor))
    return written, cursor


def table(count: int) -> bytes:
    """Write a table."""
    return b"id;text\r\n" + b"".join(b'%d;"a;\r\nb"\r\n' % number for number in range(count))


def test_a_row_carries_its_header_and_its_key() -> None:
    """Each can be read by itself, and its line break in quotes is part of it."""
    written, _ = run({"a.csv": table(2), "notes.txt": b"x"}, {})
    assert [wish.key for wish in written] == ["k:0", "k:1"]
    assert decode.csv(written[1].value)["rows"] == [{"id": "1", "text": "a;\nb"}]


def test_a_file_that_comes_twice_counts_once() -> None:
    """Under its own name or another; with other contents it is another file."""
    written, cursor = run({"a.csv": table(3)}, {})
    assert len(written) == 3
    assert run({"a.csv": table(3), "b.csv": table(3)}, cursor)[0] == []
    assert len(run({"a.csv": table(4)}, cursor)[0]) == 4


@given(count=st.integers(0, 40), crash=st.integers(0, 40), every=st.integers(1, 9))
def test_a_crash_repeats_ids_and_loses_no_row(count: int, crash: int, every: int) -> None:
    """What is written again has the id that it had."""
    before, files.EVERY = files.EVERY, every
    try:
        first, cursor = run({"a.csv": table(count)}, {}, crash)
        again, cursor = run({"a.csv": table(count)}, cursor)
        assert len({wish.raw_id for wish in (*first, *again)}) == count
        assert len(first) + len(again) <= count + every
        assert run({"a.csv": table(count)}, cursor)[0] == []
    finally:
        files.EVERY = before


@given(
    cells=st.lists(st.lists(st.text("aé\"';, \n", max_size=6), min_size=2, max_size=2), max_size=6),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    separator=st.sampled_from(",;\t"),
)
def test_rows_together_are_the_table(cells: list[list[str]], encoding: str, separator: str) -> None:
    """Cutting a table into rows changes nothing of what is read of it."""
    written = io.StringIO()
    csv.writer(written, delimiter=separator).writerows([["x", "y"], *cells])
    data = written.getvalue().encode(encoding)
    whole = decode.csv(data)["rows"]
    assert [row for one in files.rows(data, header=True) for row in decode.csv(one)["rows"]] == [
        {name: cell.replace("\r\n", "\n") for name, cell in row.items()} for row in whole
    ]


@given(st.lists(st.integers(0, 99), max_size=30))
def test_shares_together_are_the_table(numbers: list[int]) -> None:
    """Each row is in the record of its key, and a key without rows is a record all the same."""
    kind = files.Kind(
        "t", "text/csv", lambda row: f"k:{int(files.columns(row)['id']) % 3}", header=True, shares=("k:0", "k:1", "k:2")
    )
    source = files.poll({}, lambda _name: kind)
    next(source)
    source.send(Answer(200, {}, b'["a.csv"]', 0))
    wish: Any = source.send(Answer(200, {}, "".join(["id\n", *(f"{number}\n" for number in numbers)]).encode(), 0))
    found: dict[str, list[int]] = {}
    while isinstance(wish, Emit):
        found[wish.key] = [int(row["id"]) for row in decode.csv(wish.value)["rows"]]
        wish = source.send(None)
    assert found == {f"k:{share}": [number for number in numbers if number % 3 == share] for share in range(3)}


def test_a_broken_file_does_not_hold_back_the_others() -> None:
    """The poll ends as a bad one once the others were read."""
    source = files.poll({}, kind_of)
    next(source)
    assert source.send(Answer(200, {}, b'["a.csv", "b.csv"]', 0)) == Get("/a.csv")
    assert source.send(Answer(404, {}, b"", 0)) == Get("/b.csv")
    wish = source.send(Answer(200, {}, table(1), 0))
    assert isinstance(wish, Emit)
    source.send(None)
    with pytest.raises(Transient, match="404 for 1 of the files"):
        source.send(None)


def test_half_a_file_waits_for_its_end_and_a_last_line_may_stay_without_one() -> None:
    """Whoever copies it is given time; what stays as it is was meant so, and holds back no other file."""
    whole = table(3)
    half, cursor = polled({"a.csv": whole[:-9], "b.csv": table(2)}, {})
    assert len(half) == 2
    grown, cursor = polled({"a.csv": whole, "b.csv": table(2)}, cursor)
    assert [wish.value for wish in grown] == [wish.value for wish in run({"a.csv": whole}, {})[0]]
    unended = table(4).removesuffix(b"\r\n")
    assert polled({"c.csv": unended}, cursor)[0] == []
    read, cursor = polled({"c.csv": unended}, polled({"c.csv": unended}, cursor)[1])
    assert len(read) == 4
    assert polled({"c.csv": unended}, cursor)[0] == []


@pytest.mark.parametrize("body", [b"<!DOCTYPE html>\n<html></html>\n", "id;text\r\n1;a\r\n".encode("utf-16")[:-1]])
def test_what_is_no_file_is_not_read_by_rows_and_holds_back_no_other(body: bytes) -> None:
    """A page, and text that is not what its mark says: said at the end of the poll, and read once it is mended."""
    written, cursor = polled({"a.csv": body, "b.csv": table(2)}, {})
    assert len(written) == 2
    assert len(polled({"a.csv": table(3)}, cursor)[0]) == 3


def test_a_listing_that_is_nested_too_deeply_is_no_listing() -> None:
    """What cannot be read is waited for, and ends no process."""
    source = files.poll({}, kind_of)
    next(source)
    with pytest.raises(Transient):
        source.send(Answer(200, {}, b"[" * 100_000, 0))


def test_a_folder_answers_as_a_vendor(tmp_path: Path) -> None:
    """It lists what is finished, and reads it; what is not there is not found, and a folder that is away is away."""
    (tmp_path / "été 1.csv").write_bytes(b"x")
    (tmp_path / "b.part").write_bytes(b"x")
    (tmp_path / ".hidden").write_bytes(b"x")
    vendor = Vendor(f"file://{tmp_path}/", "hub", 1e9, {})
    assert vendor.ask(Get("/")).json() == ["été 1.csv"]
    assert vendor.ask(Get("/été 1.csv")).body == b"x"
    assert vendor.ask(Get("/gone")).status == 404
    with pytest.raises(Transient, match="503"):
        Vendor(f"file://{tmp_path}/away/", "hub", 1e9, {}).ask(Get("/"))

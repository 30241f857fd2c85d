"""OAI-PMH: a list is read to its end, gone on with, and never told twice."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.sources.library.oai_pmh import source
from hub import catalogue
from hub.model.decision import Deliver
from hub.model.errors import Transient
from hub.model.intake import Answer, Checkpoint, Emit, Get
from hub.pipeline.process import process
from hub.testing.samples import record

CONNECTOR = catalogue.connectors()["oai_pmh"]
SETTINGS = {"path": "/oai"}


def page(inner: str) -> bytes:
    """Write a page."""
    head = "<responseDate>2026-03-10T07:40:00Z</responseDate>"
    return f'<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/">{head}{inner}</OAI-PMH>'.encode()


def listed(number: int, token: str = "") -> bytes:
    """Write a page with a record."""
    header = f"<identifier>oai:x:{number}</identifier><datestamp>2026-03-09</datestamp>"
    more = f"<resumptionToken>{token}</resumptionToken>" if token else "<resumptionToken/>"
    return page(f"<ListRecords><record><header>{header}</header></record>{more}</ListRecords>")


def poll(cursor: dict[str, Any], bodies: list[bytes]) -> tuple[list[dict[str, str]], int, Any, str]:
    """Poll; return what was asked, how many pages were written, the cursor that is left and the complaint."""
    asked: list[dict[str, str]] = []
    written = 0
    answer: Any = None
    work = source.poll(cursor, SETTINGS)
    try:
        while True:
            wish = work.send(answer)
            answer = None
            if isinstance(wish, Get):
                asked.append(dict(wish.params))  # type: ignore[arg-type]
                answer = Answer(200, {}, bodies.pop(0), 1)
            elif isinstance(wish, Emit):
                written += 1
            elif isinstance(wish, Checkpoint):
                cursor = dict(wish.cursor)
    except StopIteration:
        return asked, written, cursor, ""
    except Transient as error:
        return asked, written, cursor, error.reason


def test_a_list_is_read_to_its_end_and_the_next_begins_a_day_before_it() -> None:
    """By its tokens, which say all that there is to say."""
    asked, written, cursor, _ = poll({}, [listed(1, "t1"), listed(2)])
    assert asked == [
        {"verb": "ListRecords", "metadataPrefix": "oai_dc"},
        {"verb": "ListRecords", "resumptionToken": "t1"},
    ]
    assert (written, cursor) == (2, {"from": "2026-03-09"})
    assert poll(cursor, [page('<error code="noRecordsMatch"/>')])[:3] == (
        [{"verb": "ListRecords", "metadataPrefix": "oai_dc", "from": "2026-03-09"}],
        0,
        {"from": "2026-03-09"},
    )


def test_a_list_that_was_broken_off_is_gone_on_with() -> None:
    """Unless the repository has forgotten its token: then the list begins anew, from where it had begun."""
    half = {"from": "2026-03-01", "began": "2026-03-09", "token": "t1"}
    asked, _, cursor, _ = poll(half, [listed(2)])
    assert asked == [{"verb": "ListRecords", "resumptionToken": "t1"}]
    assert cursor == {"from": "2026-03-09"}
    asked, written, _, _ = poll(half, [page('<error code="badResumptionToken"/>'), listed(1)])
    assert (asked[1]["from"], written) == ("2026-03-01", 1)


@pytest.mark.parametrize("body", [b"<html><body>503</body></html>", page('<error code="badArgument"/>'), b"{}"])
def test_what_is_no_page_is_set_aside_and_the_cursor_stays(body: bytes) -> None:
    """It can be looked at, and the poll does not count as a good one."""
    assert poll({"from": "2026-03-01"}, [body])[1:] == (1, {"from": "2026-03-01"}, "not a page of records")


def test_a_day_that_is_read_again_is_no_news() -> None:
    """And another datestamp of the same record is."""
    state, told = None, []
    for number, stamp in enumerate(("2026-03-09", "2026-03-09", "2026-03-10", "2026-03-10")):
        body = listed(1).replace(b"2026-03-09<", f"{stamp}<".encode())
        outcome = process(record(CONNECTOR, "records", body, offset=number), CONNECTOR, catalogue.schemas(), state)
        state = outcome.state
        told.append(sum(isinstance(one, Deliver) for one in outcome.decisions))
    assert told == [1, 0, 1, 0]

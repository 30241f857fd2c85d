"""What is remembered of datasets: answers to requests, changes of files, publications at portals."""

from __future__ import annotations

from typing import NamedTuple


class Answered(NamedTuple):
    """A request and what answered it first."""

    event_id: str
    """Of the answer."""
    request: str
    """Type of the request."""
    asked_at: int
    answered_at: int
    rev: int


class DatasetChange(NamedTuple):
    """One change of a dataset's file."""

    at: int
    added: int
    removed: int
    changed: int
    sha256: str


class Publication(NamedTuple):
    """How a dataset stands at a portal."""

    portal: str
    dataset: str
    sha256: str
    """Of what is there, when the state is `sent`; of what is tried, else."""
    state: str
    """`sent`, `later` or `refused`."""
    attempts: int
    next_at: int
    code: str | None

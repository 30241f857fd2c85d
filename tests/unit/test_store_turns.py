"""Writers of one SQLite file come to their turn, and are told when it does not come."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from databases import store_in

from hub.model.errors import Transient
from hub.store import Store
from hub.store import store as store_module


def test_who_writes_now_and_then_is_not_passed_by_who_writes_all_the_time(tmp_path: Path) -> None:
    """A page writes down what it tells while project writes: it is passed a few times at most, never dozens."""
    worker, page = store_in(tmp_path), Store(f"sqlite:///{tmp_path}/hub.sqlite")
    turns, over = 0, threading.Event()

    def work() -> None:
        nonlocal turns
        while not over.is_set():
            with worker.transaction(write=True):
                turns += 1
                time.sleep(0.02)
            time.sleep(0.005)

    working = threading.Thread(target=work)
    working.start()
    passed = []
    for _ in range(10):
        time.sleep(0.011)
        before = turns
        with page.transaction(write=True):
            passed.append(turns - before)
    over.set()
    working.join()
    assert sum(passed) < 50
    for store in (worker, page):
        store.close()


def test_a_writer_that_never_comes_to_its_turn_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The work is done again later; what reads meanwhile is patient as before."""
    monkeypatch.setattr(store_module, "_PATIENCE", 1)
    one, other = store_in(tmp_path), Store(f"sqlite:///{tmp_path}/hub.sqlite")
    with one.transaction(write=True):
        with pytest.raises(Transient, match="^database: another process holds it$"), other.transaction(write=True):
            pass
        with other.transaction(write=False) as connection:
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 1000
    for store in (one, other):
        store.close()

"""Roles under their supervisor: started again when killed or hung, and never left behind.  Needs no Kafka."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub.catalogue import ROOT
from hub.process import spawn

pytestmark = pytest.mark.kill
# A broker that never answers: the roles wait for it, visibly, and are healthy.
PROGRAM = """
import sys
import hub.roles.supervisor as supervisor
from hub.config import load
supervisor.HUNG_SECONDS = 3.0
sets = ["kafka.bootstrap=127.0.0.1:1", "data_dir=" + sys.argv[1], "store.url=sqlite:///" + sys.argv[1] + "/hub.sqlite",
        "telemetry.discovery_file=" + sys.argv[1] + "/prometheus.json"]
sys.exit(supervisor.supervise(("intake", "deliver"), load(None, sets).settings, None, sets, None))
"""


class Supervised:
    """Two roles under a supervisor."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = spawn([sys.executable, "-c", PROGRAM, str(folder)], cwd=ROOT, log=folder / "log")

    def roles(self) -> dict[str, dict[str, int]]:
        """Read who runs where."""
        try:
            found: dict[str, dict[str, int]] = json.loads((self.folder / "roles.json").read_text("utf-8"))
        except OSError:
            return {}
        return found

    def pid(self, role: str) -> int:
        """Return a role's pid, 0 while it has none."""
        return self.roles().get(role, {}).get("pid") or 0

    def log(self) -> str:
        """Return what all said."""
        return (self.folder / "log").read_text("utf-8")


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that nobody has waited for yet does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text("utf-8")
    except OSError:
        return False


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Supervised]:
    """Start both roles and wait until they wait."""
    running = Supervised(tmp_path)
    try:
        until(lambda: running.log().count('"waiting"') + running.log().count("no broker answers") >= 2)
        # One that is quick says it twice before the other has begun.
        until(lambda: all(running.pid(role) for role in ("intake", "deliver")))
        yield running
    finally:
        running.process.kill()
        running.process.wait()


def test_a_killed_role_is_started_again_and_a_stop_ends_all(supervised: Supervised) -> None:
    """Another pid, the same address; SIGTERM ends everything with exit code 0."""
    before = supervised.roles()
    os.kill(before["intake"]["pid"], signal.SIGKILL)
    until(lambda: supervised.pid("intake") not in (0, before["intake"]["pid"]))
    assert supervised.roles()["intake"]["port"] == before["intake"]["port"]
    assert supervised.pid("deliver") == before["deliver"]["pid"]
    pids = [entry["pid"] for entry in supervised.roles().values()]
    supervised.process.send_signal(signal.SIGTERM)
    assert supervised.process.wait(20) == 0
    assert not any(alive(pid) for pid in pids)
    assert not (supervised.folder / "prometheus.json").exists()


def test_a_role_that_hangs_is_started_again(supervised: Supervised) -> None:
    """One that answers nothing any more is killed; the other is left alone."""
    before = supervised.roles()
    time.sleep(1)
    os.kill(before["deliver"]["pid"], signal.SIGSTOP)
    until(lambda: supervised.pid("deliver") not in (0, before["deliver"]["pid"]))
    assert "role hangs" in supervised.log()
    assert supervised.pid("intake") == before["intake"]["pid"]


def test_no_role_outlives_a_killed_supervisor(supervised: Supervised) -> None:
    """The kernel ends them."""
    pids = [entry["pid"] for entry in supervised.roles().values()]
    supervised.process.kill()
    supervised.process.wait()
    until(lambda: not any(alive(pid) for pid in pids), 5)


def test_a_log_that_grows_is_set_aside_while_its_role_works(tmp_path: Path) -> None:
    """The supervisor looks by itself; nothing is started again for it."""
    program = PROGRAM.replace("None))", "Path(sys.argv[1])))").replace("HUNG_SECONDS = 3.0", "LARGEST_LOG = 10")
    child = spawn([sys.executable, "-c", f"from pathlib import Path\n{program}", str(tmp_path)], cwd=ROOT)
    try:
        until(lambda: all((tmp_path / f"{role}.log.1").exists() for role in ("deliver", "intake")))
        assert '"waiting"' in (tmp_path / "intake.log.1").read_text()
        assert (tmp_path / "deliver.log").exists()
    finally:
        child.terminate()
        assert child.wait(20) == 0


@pytest.mark.parametrize(
    ("sets", "code", "words"),
    [
        (["connectors.nobody.base_url=http://127.0.0.1:1"], 2, "connectors.nobody"),
        (["kafka.password_file=/nowhere"], 3, "kafka.password_file"),
        (["kafka.bootstrap=nonsense"], 3, "kafka.bootstrap"),
    ],
)
def test_what_has_to_be_put_right_is_told_and_not_tried_again(
    tmp_path: Path, sets: list[str], code: int, words: str
) -> None:
    """The supervisor ends with the code, and the line names the key."""
    values = [*sets, f"data_dir={tmp_path}", f"telemetry.discovery_file={tmp_path}/prometheus.json"]
    arguments = [part for value in values for part in ("--set", value)]
    ended = subprocess.run(
        [sys.executable, "-m", "hub.cli", *arguments, "run", "normalise", "deliver"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert ended.returncode == code, ended.stderr
    told = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert told
    assert all(words in line for line in told)

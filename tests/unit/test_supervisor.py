"""Logs that the supervisor keeps for its roles stay bounded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hub.process import spawn
from hub.roles import supervisor


def test_a_log_is_set_aside_while_its_role_goes_on_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line stands once, in the log or in what was set aside; the oldest is forgotten."""
    monkeypatch.setattr(supervisor, "LARGEST_LOG", 1000)
    log = tmp_path / "web.log"
    for word in ("one", "two", "three", "four"):
        child = spawn([sys.executable, "-c", f"print('{word} ' * 300)"], log=log)
        assert child.wait(20) == 0
        supervisor.bound_log(log)
        supervisor.bound_log(log)
    assert log.read_bytes() == b""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["web.log", "web.log.1", "web.log.2"]
    assert [(tmp_path / f"web.log.{number}").read_text("utf-8")[:5] for number in (1, 2)] == ["four ", "three"]


def test_a_role_that_holds_its_log_open_writes_on_at_its_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No hole of zeros is left where the cut part was."""
    monkeypatch.setattr(supervisor, "LARGEST_LOG", 10)
    log = tmp_path / "web.log"
    program = "import sys; print('x' * 50, flush=True); sys.stdin.readline(); print('after', flush=True)"
    with log.open("ab") as output:
        child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=output)
    while not log.stat().st_size:
        assert child.poll() is None
    supervisor.bound_log(log)
    child.communicate(b"\n", 20)
    assert log.read_bytes() == b"after\n"


def test_a_log_that_cannot_be_set_aside_is_still_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A full disk is the reason to cut it, not a reason to go down."""
    monkeypatch.setattr(supervisor, "LARGEST_LOG", 10)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    log = tmp_path / "web.log"
    log.write_bytes(b"x" * 50)
    supervisor.bound_log(log)
    assert log.read_bytes() == b""
    assert "No space left on device" in capfd.readouterr().err

"""Roles as children on one machine: started again when they end, ended when they hang, never left behind."""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hub.config import Settings
from hub.process import FORKS, Child, end, fork, free_port, is_free, stop_requested
from hub.roles.warm import warm

DRAIN_SECONDS = 15.0
HUNG_SECONDS = 30.0
STEADY_SECONDS = 30.0
"""A child that worked so long is started again at once."""
LONGEST_PAUSE = 30.0
LARGEST_LOG = 10_000_000
"""Bytes of a role's log at which it is set aside."""
KEPT_LOGS = 2
"""How many that were set aside are kept, `.1` being the newest."""


@dataclass
class _Child:
    role: str
    host: str
    port: int
    process: Child | None = None
    started: float = 0.0
    failures: int = 0
    again_at: float = 0.0
    healthy_at: float | None = None


def supervise(roles: Sequence[str], settings: Settings, env: str | None, sets: Sequence[str], logs: Path | None) -> int:
    """Run until SIGTERM; return 2 or 3 when a child says that something has to be put right, else 0."""
    stop = stop_requested()
    if FORKS:
        # Before there is a thread, a loop or a connection.
        warm(roles)
    children = [_Child(role, _reachable(settings.telemetry.host), free_port()) for role in roles]
    _write_discovery(settings, children)
    try:
        while not stop.is_set():
            for child in children:
                if child.process is None:
                    if time.monotonic() >= child.again_at:
                        _start(child, env, sets, logs)
                        _write_discovery(settings, children)
                    continue
                ended = child.process.poll()
                if ended is None:
                    _watch(child)
                elif ended in (2, 3):
                    # The child has said in one line what is wrong; starting it again says nothing new.
                    return ended
                else:
                    _plan_restart(child, ended)
                if logs is not None:
                    bound_log(_log_of(child, logs))
            stop.wait(0.1)
    finally:
        _end_all(children)
        settings.telemetry.discovery_file.unlink(missing_ok=True)
    return 0


def _reachable(host: str) -> str:
    """Return where to ask what listens there: a server on all addresses is asked on loopback."""
    return "127.0.0.1" if host in ("", "0.0.0.0", "::") else host  # noqa: S104 - compared, not bound


def _start(child: _Child, env: str | None, sets: Sequence[str], logs: Path | None) -> None:
    if not is_free(child.port):
        # Somebody took it meanwhile; else the role keeps its address over restarts.
        child.port = free_port()
    arguments = ["--env", env] if env else []
    for item in (*sets, f"telemetry.port={child.port}"):
        arguments += ["--set", item]
    if logs is not None:
        logs.mkdir(parents=True, exist_ok=True)
    log = _log_of(child, logs) if logs is not None else None
    child.process = fork("hub.cli", [*arguments, "run", child.role], name=f"hub {child.role}", log=log)
    child.started = time.monotonic()
    child.healthy_at = None


def _log_of(child: _Child, logs: Path) -> Path:
    return logs / f"{child.role}.log"


def bound_log(log: Path) -> None:
    """Set a log aside once it is large.

    The role holds it open for appending, so it is copied and cut: a line between the two is lost, and a full
    disk loses what could not be copied; neither stops anything.
    """
    try:
        if log.stat().st_size < LARGEST_LOG:
            return
        try:
            for number in range(KEPT_LOGS, 1, -1):
                younger = log.with_name(f"{log.name}.{number - 1}")
                if younger.exists():
                    younger.replace(log.with_name(f"{log.name}.{number}"))
            shutil.copyfile(log, log.with_name(f"{log.name}.1"))
        finally:
            os.truncate(log, 0)
    except FileNotFoundError:
        # Somebody took it away; the role writes on into what has no name any more.
        return
    except OSError as error:
        line = {"event": "log not set aside", "role": "supervisor", "name": log.stem, "level": "warning"}
        print(json.dumps({**line, "reason": error.strerror}), file=sys.stderr, flush=True)


def _plan_restart(child: _Child, code: int) -> None:
    worked = time.monotonic() - child.started
    child.failures = 0 if worked > STEADY_SECONDS else child.failures + 1
    pause = min(0.1 * 2 ** min(child.failures - 1, 9), LONGEST_PAUSE) if child.failures > 1 else 0.0
    pause *= 0.5 + random.random() / 2
    child.process, child.again_at = None, time.monotonic() + pause
    _say("role ended", child, exit_code=code, seconds=round(pause, 2))


def _watch(child: _Child) -> None:
    """End a child that once was healthy and has been silent or stalled for too long: it is started again."""
    now = time.monotonic()
    if child.healthy_at is not None and now - child.healthy_at < HUNG_SECONDS / 10:
        return
    try:
        with urllib.request.urlopen(f"http://{child.host}:{child.port}/healthz", timeout=1):
            child.healthy_at = time.monotonic()
    except (http.client.HTTPException, OSError):
        if child.healthy_at is not None and now - child.healthy_at > HUNG_SECONDS and child.process is not None:
            _say("role hangs", child)
            child.process.kill()


def _end_all(children: Sequence[_Child]) -> None:
    running = [child for child in children if child.process is not None]
    enders = [
        threading.Thread(target=end, args=(child.process, DRAIN_SECONDS), name=f"end-{child.role}") for child in running
    ]
    for ender in enders:
        ender.start()
    for ender in enders:
        ender.join()


def _write_discovery(settings: Settings, children: Sequence[_Child]) -> None:
    """Write Prometheus' file-based list, and beside it who runs where, for people and tests."""
    path = settings.telemetry.discovery_file
    path.parent.mkdir(parents=True, exist_ok=True)
    targets = [{"targets": [f"{child.host}:{child.port}"], "labels": {"role": child.role}} for child in children]
    people = {
        child.role: {"port": child.port, "pid": child.process.pid if child.process is not None else None}
        for child in children
    }
    for name, document in ((path, targets), (path.with_name("roles.json"), people)):
        beside = name.with_suffix(".new")
        beside.write_text(json.dumps(document, indent=1), "utf-8")
        beside.replace(name)


def _say(event: str, child: _Child, **more: float) -> None:
    line = {"event": event, "role": "supervisor", "name": child.role, "level": "warning", **more}
    print(json.dumps(line), file=sys.stderr, flush=True)

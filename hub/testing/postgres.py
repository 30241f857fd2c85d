"""A PostgreSQL of one's own: on a free loopback port, for an unprivileged user, gone with its parent."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import psycopg

from hub.catalogue import ROOT
from hub.process import end, free_port, spawn

USER = "hub"
UNPRIVILEGED = "nobody"
"""Whom root becomes: PostgreSQL refuses to run as root."""


class PostgresFailed(Exception):
    """PostgreSQL could not be found or started; the text says why."""


class Postgres:
    """One server.  `with Postgres() as server: server.url`."""

    def __init__(self) -> None:
        """Nothing is made before the start."""
        self.port = 0
        self.folder = Path()
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return the database's URL, with its password."""
        return self.database("postgres")

    def database(self, name: str) -> str:
        """Return the URL of a database of this server."""
        password = (self.folder / "password").read_text("utf-8").strip()
        return f"postgresql+psycopg://{USER}:{password}@127.0.0.1:{self.port}/{name}"

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and forget everything."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, seconds: float = 40.0) -> None:
        """Start the server, over its data if there are any, and wait until it takes connections."""
        programs = _programs()
        if not (self.folder / "data").exists() or self.folder == Path():
            self._make(programs)
        command = [
            *_become(),
            str(programs / "postgres"),
            *("-D", str(self.folder / "data"), "-p", str(self.port), "-h", "127.0.0.1"),
            *("-k", str(self.folder)),
            # What a kill of the server loses does not depend on fsync, only what a power cut does.
            *("-c", "fsync=off", "-c", "jit=off", "-c", "max_connections=60"),
        ]
        self._child = spawn(command, log=self.folder / "log", environment=_environment(programs), cwd=self.folder)
        limit = time.monotonic() + seconds
        while time.monotonic() < limit and self._child.poll() is None:
            try:
                psycopg.connect(self.url.replace("+psycopg", ""), connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        self.kill()
        raise PostgresFailed(f"PostgreSQL did not start; see {self.folder / 'log'}")

    def stop(self, seconds: float = 15.0) -> None:
        """Stop in order, without waiting for clients."""
        if self._child is not None:
            if self._child.poll() is None:
                self._child.send_signal(signal.SIGINT)
            end(self._child, seconds)
            self._child = None

    def kill(self) -> None:
        """Stop as the kernel would that is out of memory."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None

    def _make(self, programs: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hub-postgres-"))
        self.port = free_port()
        password = self.folder / "password"
        password.write_text(secrets.token_urlsafe(18) + "\n", "utf-8")
        if os.geteuid() == 0:
            owner = pwd.getpwnam(UNPRIVILEGED)
            for path in (self.folder, password):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        done = subprocess.run(
            [
                *_become(),
                str(programs / "initdb"),
                *("-D", str(self.folder / "data"), "-U", USER, "--pwfile", str(password)),
                *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"),
            ],
            env=_environment(programs),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise PostgresFailed(done.stderr.strip() or done.stdout.strip())


def _programs() -> Path:
    found = subprocess.run(
        ["bash", str(ROOT / "deploy" / "local" / "tools.sh"), "postgres"], capture_output=True, text=True, check=False
    )
    if found.returncode:
        raise PostgresFailed(found.stderr.strip())
    return Path(found.stdout.strip())


def _become() -> list[str]:
    """Begin a command that root may not run as root; the parent's death must be set after that."""
    if os.geteuid() != 0:
        return []
    if sys.platform != "linux":
        raise PostgresFailed("PostgreSQL does not run as root: be somebody else")
    owner = pwd.getpwnam(UNPRIVILEGED)
    return [
        *("setpriv", "--reuid", str(owner.pw_uid), "--regid", str(owner.pw_gid), "--clear-groups"),
        *("--pdeathsig", "KILL", "--"),
    ]


def _environment(programs: Path) -> Mapping[str, str]:
    libraries = ROOT / ".hub" / "tools" / "usr" / "lib"
    found = sorted(path for path in libraries.glob("*-linux-gnu*") if path.is_dir())
    places = [str(path) for path in (*found, *(path / "llvm" for path in found))]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(places)} if places and ROOT in programs.parents else os.environ

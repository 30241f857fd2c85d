"""Hosts the town: every vendor's simulator under `/<product>`, a mail server, and a control API under `/town`.

    python -m hub.testing.town.host --dir .hub/town --hooks-url http://127.0.0.1:8080/hooks

Everything of the town lies in one folder: its journal, its mailbox, the vendors' saved states and the
secrets that they gave the city.  Started again over it, the town goes on where it was.

    GET  /town                    addresses, run number, products
    POST /town/day/start?seconds= play a school day
    GET  /town/settings           what the city writes under `connectors` to reach the vendors
    GET  /town/sign_in            what the city writes under `sign_in`: residents sign in at /openid/<kind> of the town
    GET  /town/progress           how far the day is, and what was told since `?since=`
    GET  /town/journal            entries since `?since=`
    GET  /town/mails              what the mail server took
    POST /town/quiet?on=          let the town go on quietly, or stop
    POST /town/rush?rate=         let as many things happen in a second; 0 ends it
    POST /town/faults             {product, path, kind, times, retry_after, seconds, method};
                                  for the mail server {product: "mail", kind, times}
    POST /town/note               {what, ...}: whoever breaks something on purpose says so
    POST /town/act                {product, action, args}: one action of a simulator, for tests
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import inspect
import json
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Literal, Self

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from hub.testing.simulator import Simulator
from hub.testing.town.clock import TownClock
from hub.testing.town.day import Day
from hub.testing.town.journal import Journal
from hub.testing.town.mailbox import Mailbox
from hub.testing.town.people import Town
from hub.testing.town.provider import Provider
from hub.testing.town.rush import Rush
from hub.testing.town.schedule import quiet_tick
from hub.testing.town.world import World

ROOT = Path(__file__).resolve().parents[3]
KINDS: tuple[Literal["publik", "franceconnect"], ...] = ("publik", "franceconnect")


class Server:
    """An ASGI app served on loopback by a thread."""

    def __init__(self, app: ASGIApp, port: int = 0) -> None:
        """`port` 0: a free one."""
        # Named, or asyncio lets the kernel hold each answer's body back for 40 ms.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(app, log_level="critical", access_log=False, lifespan="off", timeout_keep_alive=60)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="town-http", daemon=True
        )

    def __enter__(self) -> Self:
        """Serve; requests wait in the socket until the server is up."""
        self._socket.listen(128)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, at most after a few seconds."""
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(timeout=5)
        self._socket.close()


def find_simulators() -> Mapping[str, type[Simulator]]:
    """Find `Simulator` of every `connectors/sources/*/*/simulator.py`, by product."""
    found = {}
    for path in sorted(ROOT.glob("connectors/sources/*/*/simulator.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        simulator: type[Simulator] = importlib.import_module(name).Simulator
        found[simulator.product] = simulator
    return found


class Host:
    """The town with all its vendors, its mail server and its control API."""

    def __init__(self, folder: Path, *, seed: int, families: int, hooks_url: str) -> None:
        """Build the town, or wake up the one that lies in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        about = folder / "town.json"
        if about.exists():
            known = json.loads(about.read_text("utf-8"))
            seed, families = known["seed"], known["families"]
        else:
            about.write_text(json.dumps({"seed": seed, "families": families}), "utf-8")
        self.journal = Journal(folder / "journal.jsonl")
        self.mailbox = Mailbox(folder / "mails.jsonl", self.journal)
        clock = TownClock()
        town = Town.build(seed, families)
        simulators = {
            product: simulator(town, self.journal, clock, self._settings(product, hooks_url))
            for product, simulator in find_simulators().items()
        }
        days = len([entry for entry in self.journal.entries("note") if entry["what"] == "day"])
        self.world = World(
            town=town,
            simulators=simulators,
            mailbox=self.mailbox,
            journal=self.journal,
            clock=clock,
            states=folder / "state",
            days=days,
        )
        self.providers = {kind: self._provider(kind, town) for kind in KINDS}
        self.day: Day | None = None
        self.rush = Rush(self.world)
        self.app = Starlette(
            routes=[
                Mount("/town", routes=self._routes()),
                *(Mount(f"/openid/{kind}", app=provider.app) for kind, provider in self.providers.items()),
                *(Mount(f"/{product}", app=simulator.app) for product, simulator in simulators.items()),
            ]
        )

    def start(self) -> None:
        """Wake up: seed a new town, restore an old one; listen for mail, and for what else is not HTTP."""
        self.world.wake()
        for simulator in self.world.simulators.values():
            simulator.listen()
        self.mailbox.start()

    def stop(self) -> None:
        """End the day and the vendors' calls."""
        self.rush.go(0)
        self.world.stop()
        for simulator in self.world.simulators.values():
            simulator.close()
        self.mailbox.stop()

    def _settings(self, product: str, hooks_url: str) -> dict[str, str]:
        """Tell a vendor what it agreed with the city: addresses, and secrets as files, made at the first start."""
        folder = self.folder / "secrets" / product
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        hook = folder / "hook"
        if not hook.exists():
            hook.write_text(secrets.token_urlsafe(32) + "\n", "utf-8")
            hook.chmod(0o600)
        return {
            "hooks_url": f"{hooks_url.rstrip('/')}/{product}",
            "hook_secret_file": str(hook),
            "secrets_dir": str(folder),
        }

    def _provider(self, kind: Literal["publik", "franceconnect"], town: Town) -> Provider:
        """Let the cast sign in: at Publik by their account, at FranceConnect by the pseudonym that it has for them."""
        secret = self.folder / "secrets" / f"openid_{kind}"
        if not secret.exists():
            secret.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            secret.touch(0o600)
            secret.write_text(secrets.token_urlsafe(32) + "\n", "utf-8")
        cast = (town.cast.reader, *town.cast.separated, town.cast.four_children)
        subs = {one.name: one.citizen if kind == "publik" else f"{one.citizen.replace('-', '')}v1" for one in cast}
        return Provider(kind, "hub", secret.read_text("utf-8").strip(), subs)

    def _sign_in(self, request: Request) -> Response:
        base = str(request.base_url).rstrip("/").removesuffix("/town")
        return JSONResponse(
            {
                kind: {
                    "kind": kind,
                    "issuer": f"{base}/openid/{kind}",
                    "client_id": provider.client_id,
                    "client_secret_file": str(self.folder / "secrets" / f"openid_{kind}"),
                }
                for kind, provider in self.providers.items()
            }
        )

    def _routes(self) -> list[Route]:
        return [
            Route("/", self._about),
            Route("/settings", self._city_settings),
            Route("/sign_in", self._sign_in),
            Route("/day/start", self._start_day, methods=["POST"]),
            Route("/progress", self._progress),
            Route("/journal", self._journal),
            Route("/mails", self._mails),
            Route("/quiet", self._quiet, methods=["POST"]),
            Route("/rush", self._rush, methods=["POST"]),
            Route("/faults", self._faults, methods=["POST"]),
            Route("/note", self._note, methods=["POST"]),
            Route("/act", self._act, methods=["POST"]),
        ]

    def _about(self, request: Request) -> Response:
        cast = self.world.town.cast
        return JSONResponse(
            {
                "families": len(self.world.town.families),
                "products": sorted(self.world.simulators),
                "days": self.world.days,
                "today": self.world.clock.today.isoformat(),
                "smtp_port": self.mailbox.port,
                "journal": str(self.journal.path),
                "reader": {"citizen": cast.reader.citizen, "name": cast.reader.name},
                "family": _family(self.world.town),
                "late": {"citizen": cast.late.citizen, "name": cast.late.name},
            }
        )

    def _city_settings(self, request: Request) -> Response:
        base = str(request.base_url).rstrip("/").removesuffix("/town")
        simulators = self.world.simulators
        return JSONResponse({name: vendor.city_settings(f"{base}/{name}") for name, vendor in simulators.items()})

    def _start_day(self, request: Request) -> Response:
        if self.world.playing:
            return JSONResponse({"detail": "the day has begun"}, 409)
        self.day = Day(self.world, float(request.query_params.get("seconds", "60")))
        self.day.start()
        return JSONResponse({"steps": len(self.day.steps)}, 202)

    def _progress(self, request: Request) -> Response:
        since = int(request.query_params.get("since", "0"))
        return JSONResponse(self.day.progress(since) if self.day is not None else {"state": "asleep"})

    def _journal(self, request: Request) -> Response:
        return JSONResponse(self.journal.entries(since=int(request.query_params.get("since", "0"))))

    def _mails(self, request: Request) -> Response:
        return JSONResponse(
            [{"at": mail.at, "message_id": mail.message_id, "subject": mail.subject} for mail in self.mailbox.mails]
        )

    def _quiet(self, request: Request) -> Response:
        self.world.quiet(quiet_tick if request.query_params.get("on", "1") == "1" else None)
        return Response(status_code=204)

    def _rush(self, request: Request) -> Response:
        self.rush.go(float(request.query_params.get("rate", "0")))
        return JSONResponse({"done": self.rush.done})

    async def _faults(self, request: Request) -> Response:
        wanted = await request.json()
        product = wanted.pop("product")
        try:
            if product == "mail":
                self.mailbox.fail(wanted["kind"], int(wanted.get("times", 1)))
            else:
                path, kind = wanted.pop("path", "/"), wanted.pop("kind")
                self.world.simulators[product].faults.add(path, kind, **wanted)
        except (KeyError, ValueError, TypeError) as error:
            return JSONResponse({"detail": f"{type(error).__name__}: {error}"}, 422)
        return Response(status_code=204)

    async def _note(self, request: Request) -> Response:
        said = await request.json()
        self.journal.write("note", **said)
        return Response(status_code=204)

    async def _act(self, request: Request) -> Response:
        wanted = await request.json()
        try:
            simulator = self.world.simulators[wanted["product"]]
            action = getattr(simulator, wanted["action"])
            inspect.signature(action).bind(**wanted.get("args", {}))
        except (KeyError, AttributeError, TypeError) as error:
            return JSONResponse({"detail": f"{type(error).__name__}: {error}"}, 422)
        result = await run_in_threadpool(self.world.act, wanted["product"], wanted["action"], **wanted.get("args", {}))
        return JSONResponse({"result": result if isinstance(result, str | int | None) else str(result)})


def _family(town: Town) -> dict[str, Any]:
    """Say who the family is that the story follows, and which subjects are whose."""
    family = next(one for one in town.families if town.cast.reader in one.parents)
    subjects = {f"chrono:{child.external_id}": child.given_names[0] for child in family.children}
    for parent in family.parents:
        subjects[f"publik:{parent.citizen}"] = parent.given_names[0]
        if parent.borrowernumber is not None:
            subjects[f"ils_di:{parent.borrowernumber}"] = parent.given_names[0]
    return {
        "name": ", ".join([*(one.name for one in family.parents), *(one.given_names[0] for one in family.children)]),
        "parents": [{"citizen": parent.citizen, "name": parent.name} for parent in family.parents],
        "subjects": subjects,
    }


def main(argv: list[str] | None = None) -> int:
    """Host a town until told to stop, or until the parent is gone."""
    parser = argparse.ArgumentParser(prog="town", description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--dir", type=Path, required=True, help="folder of everything that is the town's")
    parser.add_argument("--hooks-url", required=True, help="the hub's address for callbacks, http://…/hooks")
    parser.add_argument("--seed", type=int, default=38185)
    parser.add_argument("--families", type=int, default=200)
    parser.add_argument("--port", type=int, default=0, help="0: a free one, told in the port file")
    parser.add_argument("--port-file", type=Path, help="default: <dir>/ports.json")
    options = parser.parse_args(argv)
    stop = threading.Event()

    def told_to_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, told_to_stop)
    signal.signal(signal.SIGINT, told_to_stop)
    host = Host(options.dir, seed=options.seed, families=options.families, hooks_url=options.hooks_url)
    host.start()
    try:
        with Server(host.app, options.port) as server:
            ports = options.port_file or options.dir / "ports.json"
            ports.parent.mkdir(parents=True, exist_ok=True)
            half = ports.with_suffix(".half")
            half.write_text(json.dumps({"http": server.port, "smtp": host.mailbox.port, "pid": os.getpid()}), "utf-8")
            half.replace(ports)
            stop.wait()
    finally:
        with contextlib.suppress(Exception):
            host.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())

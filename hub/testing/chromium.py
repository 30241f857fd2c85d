"""A browser of one's own: a headless Chromium that is told what to do by a pipe, gone with its parent."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from base64 import b64decode
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Self

from hub.catalogue import ROOT
from hub.process import end

TOOLS = ROOT / ".hub" / "tools"
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa")
"""What the law asks of a city's pages: WCAG 2.1, level AA."""
OPTIONS = (
    "--headless=new",
    "--remote-debugging-pipe",
    # Only pages of our own are opened, and as root there is no other way.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--force-color-profile=srgb",
)
KEYS: Mapping[str, tuple[str, int, str]] = {"Tab": ("Tab", 9, ""), "Enter": ("Enter", 13, "\r")}
FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{tools}/usr/share/fonts</dir><dir>/usr/share/fonts</dir><cachedir>{cache}</cachedir></fontconfig>
"""


class ChromiumFailed(Exception):
    """Chromium could not be found or started, or does not answer; the text says why."""


class Violation(NamedTuple):
    """A rule that a page breaks, with the elements that break it."""

    rule: str
    help: str
    elements: tuple[str, ...]


class Chromium:
    """One browser with one page.  `with Chromium() as browser: browser.open(url)`."""

    def __init__(self) -> None:
        """Nothing is started before `with`."""
        self._folder = Path()
        self._child: subprocess.Popen[bytes] | None = None
        self._number = 0
        self._session: str | None = None
        self._held = b""
        self._events: list[str] = []

    def __enter__(self) -> Self:
        """Start."""
        program = _program()
        self._folder = Path(tempfile.mkdtemp(prefix="hub-chromium-"))
        fonts = self._folder / "fonts.conf"
        fonts.write_text(FONTS.format(tools=TOOLS, cache=self._folder / "fonts"), "utf-8")
        # Chromium reads from 3 and writes to 4; it ends when the pipe does.
        script = 'exec "$@" 3<&0 4>&1 0</dev/null 1>&2'
        with (self._folder / "log").open("wb") as log:
            self._child = subprocess.Popen(
                ["bash", "-c", script, "chromium", program, *OPTIONS, f"--user-data-dir={self._folder / 'profile'}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_environment(program, self._folder, fonts),
                start_new_session=True,
            )
        try:
            target = self._call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Network", "Runtime"):
                self._call(f"{domain}.enable")
        except ChromiumFailed:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and forget everything."""
        if self._child is not None:
            for pipe in (self._child.stdin, self._child.stdout):
                if pipe is not None:
                    pipe.close()
            end(self._child, 10.0)
            # Its own children may outlive it by a moment, and write on into the folder.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child = None
        shutil.rmtree(self._folder, ignore_errors=True)

    # -- what a person does -------------------------------------------------------------------------

    def looks(self, width: int, height: int = 900, scheme: str = "light") -> None:
        """Have a window of a width, and a wish for `light` or `dark`."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        # As on a telephone: else they take a part of the width.
        self._call("Emulation.setScrollbarsHidden", hidden=True)
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def sends(self, **headers: str) -> None:
        """Send headers with every request, these and no others."""
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        self._call("Network.setExtraHTTPHeaders", headers=told)

    def forgets(self) -> None:
        """Drop every cookie."""
        self._call("Network.clearBrowserCookies")

    def open(self, url: str) -> None:
        """Go to an address, and wait until its page is there."""
        self._events.clear()
        problem = self._call("Page.navigate", url=url).get("errorText")
        if problem:
            raise ChromiumFailed(f"{url}: {problem}")
        self.arrives()

    def press(self, key: str) -> None:
        """Press a key of `KEYS`."""
        self._events.clear()
        code, number, text = KEYS[key]
        about = {"key": code, "code": code, "windowsVirtualKeyCode": number}
        self._call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **about)
        self._call("Input.dispatchKeyEvent", type="keyUp", **about)

    def arrives(self, seconds: float = 20.0) -> None:
        """Wait until a page is there that something done before leads to."""
        limit = time.monotonic() + seconds
        while "Page.loadEventFired" not in self._events:
            self._take(self._read(limit))

    # -- what is seen -------------------------------------------------------------------------------

    def evaluate(self, expression: str) -> Any:
        """Return what an expression of JavaScript is on the page."""
        told = self._call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in told:
            raise ChromiumFailed(str(told["exceptionDetails"].get("exception", {}).get("description", "it failed")))
        return told["result"].get("value")

    def picture(self) -> bytes:
        """Return what the window shows, as PNG."""
        return b64decode(self._call("Page.captureScreenshot", format="png")["data"])

    def violations(self) -> list[Violation]:
        """Return what axe finds against WCAG 2.1 at levels A and AA."""
        self.evaluate(f"{_axe()};0")
        asked = {"runOnly": {"type": "tag", "values": list(RULES)}, "resultTypes": ["violations"]}
        found = self.evaluate(f"axe.run(document, {json.dumps(asked)}).then(told => told.violations)")
        return [Violation(one["id"], one["help"], tuple(node["html"] for node in one["nodes"])) for one in found]

    # -- the pipe -----------------------------------------------------------------------------------

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        child = self._running()
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        assert child.stdin is not None
        try:
            child.stdin.write(json.dumps(message).encode() + b"\0")
            child.stdin.flush()
        except BrokenPipeError:
            raise self._failed("ended") from None
        limit = time.monotonic() + 30
        while True:
            told = self._read(limit)
            if told.get("id") == self._number:
                if "error" in told:
                    raise ChromiumFailed(f"{method}: {told['error'].get('message')}")
                answer: dict[str, Any] = told["result"]
                return answer
            self._take(told)

    def _take(self, told: Mapping[str, Any]) -> None:
        self._events.append(str(told.get("method")))

    def _read(self, limit: float) -> dict[str, Any]:
        child = self._running()
        assert child.stdout is not None
        while b"\0" not in self._held:
            ready, _, _ = select.select([child.stdout], [], [], max(limit - time.monotonic(), 0))
            some = os.read(child.stdout.fileno(), 1 << 20) if ready else b""
            if not some:
                raise self._failed("ended" if ready else "does not answer")
            self._held += some
        message, _, self._held = self._held.partition(b"\0")
        told: dict[str, Any] = json.loads(message)
        return told

    def _failed(self, what: str) -> ChromiumFailed:
        log = (self._folder / "log").read_text("utf-8", "replace")[-2000:]
        return ChromiumFailed(f"Chromium {what}: {log}")

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            raise ChromiumFailed("not started")
        return self._child


def _program() -> str:
    found = subprocess.run(
        ["bash", str(ROOT / "deploy" / "local" / "tools.sh"), "chromium"], capture_output=True, text=True, check=False
    )
    if found.returncode:
        raise ChromiumFailed(found.stderr.strip())
    return found.stdout.strip()


def _environment(program: str, home: Path, fonts: Path) -> Mapping[str, str]:
    # What it keeps for its user goes with everything else.
    mine = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_CACHE_HOME": str(home)}
    if TOOLS not in Path(program).parents:
        return mine
    places = sorted({path.parent for path in (TOOLS / "usr" / "lib").glob("*-linux-gnu*/**/*.so*")})
    return {**mine, "LD_LIBRARY_PATH": ":".join(map(str, places)), "FONTCONFIG_FILE": str(fonts)}


def _axe() -> str:
    spec = find_spec("axe_playwright_python")
    if spec is None or spec.origin is None:
        raise ChromiumFailed("axe is missing: run `make venv`")
    return (Path(spec.origin).parent / "axe.min.js").read_text("utf-8")

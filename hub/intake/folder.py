"""A folder as a vendor: `base_url = "file:///srv/hub/deaths"` lists its files and answers with them."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote

import httpx

UNFINISHED = (".part", ".tmp", ".filepart")
"""Endings of files that somebody is still writing: write under such a name, then rename."""


class Folder(httpx.BaseTransport):
    """Answers `GET <folder>/` with a JSON list of names, and `GET <folder>/<name>` with the file."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Read; 404 for what is not there, 405 for anything but reading, 503 for a folder that is away."""
        if request.method != "GET":
            return httpx.Response(405)
        path = request.url.raw_path.partition(b"?")[0].decode("ascii")
        place = Path(unquote(path))
        try:
            if path.endswith("/"):
                names = [
                    file.name
                    for file in place.iterdir()
                    if file.is_file() and not file.name.startswith(".") and file.suffix not in UNFINISHED
                ]
                return httpx.Response(200, content=json.dumps(sorted(names)).encode())
            return httpx.Response(200, content=place.read_bytes())
        except FileNotFoundError:
            return httpx.Response(503 if path.endswith("/") else 404)
        except OSError:
            return httpx.Response(503)

"""Portals in a box: CKAN's action API and udata's, as far as publishing needs them; they refuse as the real ones do."""

from __future__ import annotations

import copy
import json
import re
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

import httpx
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

NAME = re.compile(r"[a-z0-9_-]{2,100}")
HOSTED = ("url", "format", "mime", "filesize", "checksum")
"""What udata knows of a file that it hosts, and takes from nobody else."""
TAG = re.compile(r"[\w .-]{2,100}")


class _Box(httpx.BaseTransport):
    """Answers in memory; `away` calls fail before anything is done, `lost` ones after it was."""

    def __init__(self) -> None:
        self.token = "secret"  # noqa: S105 - of a portal in a box
        self.away: list[int] = []
        self.lost = 0
        self.calls: list[str] = []
        self.files: dict[str, bytes] = {}

    def app(self) -> Starlette:
        raise NotImplementedError

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a call to the portal."""
        import anyio

        self.calls.append(f"{request.method} {request.url.path}")
        if self.away and (status := self.away.pop(0)):
            return httpx.Response(status, text="<html>indisponible</html>", headers={"Retry-After": "7"})

        async def answered() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app())
            passed = httpx.Request(request.method, request.url, headers=request.headers, content=request.read())
            answer = await transport.handle_async_request(passed)
            return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())

        answer = anyio.run(answered)
        if self.lost:
            self.lost -= 1
            raise httpx.ReadTimeout("no answer", request=request)
        return answer


class CkanBox(_Box):
    """CKAN: answers `{success, result | error}`, and changes a dataset wholly or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.packages: dict[str, dict[str, Any]] = {}

    def app(self) -> Starlette:
        """Return the application."""
        return Starlette(routes=[Route("/api/3/action/{name}", self._action, methods=["POST"])])

    async def _action(self, request: Request) -> Response:
        if request.headers.get("authorization") != self.token:
            return _error(403, {"__type": "Authorization Error", "message": "Access denied"})
        name = request.path_params["name"]
        if name == "package_revise":
            return self._revise(await request.form())
        values = await request.json()
        if name == "package_show":
            found = self.packages.get(values["id"])
            return _ok(found) if found else _error(404, {"__type": "Not Found Error", "message": "Not found"})
        if name == "package_create":
            if problem := self._wrong(values, new=True):
                return _error(409, {"__type": "Validation Error", **problem})
            made = {"resources": [], "tags": [], "extras": [], **values}
            self.packages[values["name"]] = made
            return _ok(made)
        return _error(400, {"message": f"Action name not known: {name}"})

    def _revise(self, form: Any) -> Response:
        match = json.loads(form["match"])
        before = self.packages.get(match.get("name", ""))
        if before is None:
            return _error(404, {"__type": "Not Found Error", "message": "Not found"})
        after = copy.deepcopy(before)
        for pattern in json.loads(form.get("filter", "[]")):
            after.pop(pattern.removeprefix("-"), None)
        update = json.loads(form["update"])
        resources = after.setdefault("resources", [])
        for index, resource in enumerate(update.pop("resources", [])):
            if index < len(resources):
                resources[index].update(resource)
            else:
                resources.append({"id": str(uuid5(NAMESPACE_URL, f"{match['name']} {index}")), **resource})
        after.update(update)
        taken: dict[str, bytes] = {}
        for key, value in form.multi_items():
            if isinstance(value, UploadFile):
                index = int(key.split("__")[2])
                if index >= len(resources):
                    return _error(409, {"__type": "Validation Error", "update__resources": ["Unmatched key"]})
                taken[resources[index]["id"]] = value.file.read()
                resources[index]["url"] = value.filename
        if problem := self._wrong(after, new=False):
            return _error(409, {"__type": "Validation Error", **problem})
        self.files.update(taken)
        self.packages[match["name"]] = after
        return _ok({"package": after})

    def _wrong(self, package: Any, *, new: bool) -> dict[str, list[str]]:
        if not NAME.fullmatch(package.get("name", "")):
            return {"name": ["Must be purely lowercase alphanumeric (ascii) characters and these symbols: -_"]}
        if new and package["name"] in self.packages:
            return {"name": ["That URL is already in use."]}
        if not package.get("owner_org"):
            return {"owner_org": ["A organization must be provided"]}
        if any(not TAG.fullmatch(tag["name"]) for tag in package.get("tags", ())):
            return {"tags": ["Tag must be alphanumeric characters or symbols: -_."]}
        return {}


class UdataBox(_Box):
    """udata: datasets and resources by id; a private one is seen by the organisation alone."""

    def __init__(self) -> None:
        super().__init__()
        self.datasets: dict[str, dict[str, Any]] = {}

    def app(self) -> Starlette:
        """Return the application."""
        each = "/api/1/datasets/{id}"
        return Starlette(
            routes=[
                Route("/api/1/organizations/{org}/datasets/", self._list),
                Route("/api/1/datasets/", self._create, methods=["POST"]),
                Route(f"{each}/", self._update, methods=["PUT"]),
                Route(f"{each}/upload/", self._upload, methods=["POST"]),
                Route(f"{each}/resources/{{rid}}/", self._remove, methods=["DELETE"]),
            ]
        )

    def _denied(self, request: Request) -> Response | None:
        if request.headers.get("x-api-key") == self.token:
            return None
        return JSONResponse({"message": "Invalid API Key"}, 401)

    async def _list(self, request: Request) -> Response:
        mine = [d for d in self.datasets.values() if d["organization"]["id"] == request.path_params["org"]]
        shown = mine if self._denied(request) is None else [d for d in mine if not d["private"]]
        at = int(request.query_params.get("page", "1"))
        more = f"{request.url.path}?page={at + 1}" if at < len(shown) else None
        # One on a page, so that nobody forgets to turn it.
        return JSONResponse({"data": shown[at - 1 : at], "next_page": more, "total": len(shown)})

    async def _create(self, request: Request) -> Response:
        if denied := self._denied(request):
            return denied
        values = await request.json()
        if problem := _invalid(values):
            return problem
        made = {"id": f"{len(self.datasets) + 1:024x}", "resources": [], **values}
        self.datasets[made["id"]] = made
        return JSONResponse(made, 201)

    async def _update(self, request: Request) -> Response:
        if denied := self._denied(request):
            return denied
        values = await request.json()
        dataset = self.datasets[request.path_params["id"]]
        if problem := _invalid(values):
            return problem
        if "resources" in values:
            # As udata does: an id that it knows keeps what is not said, and what the upload said of the file;
            # any other is a new resource, which needs an address.
            known = {one["id"]: one for one in dataset["resources"]}
            listed = [{**known.get(told.get("id"), {}), **_without(told, HOSTED)} for told in values.pop("resources")]
            if any(not one.get("url") or not one.get("title") for one in listed):
                return JSONResponse({"message": "Validation error", "errors": {"resources": ["required"]}}, 400)
            dataset["resources"] = listed
        dataset.update(values)
        return JSONResponse(dataset)

    async def _upload(self, request: Request) -> Response:
        if denied := self._denied(request):
            return denied
        dataset = self.datasets.get(request.path_params["id"])
        if dataset is None:
            return PlainTextResponse("Not found", 404)
        file = (await request.form())["file"]
        assert isinstance(file, UploadFile)
        made = str(uuid4())
        # Its address bears the moment: no file replaces another one.
        resource = {"id": made, "title": file.filename, "url": f"https://static.example/{made}/{file.filename}"}
        dataset["resources"].insert(0, resource)
        self.files[made] = file.file.read()
        return JSONResponse(resource, 201)

    async def _remove(self, request: Request) -> Response:
        if denied := self._denied(request):
            return denied
        dataset = self.datasets[request.path_params["id"]]
        left = [one for one in dataset["resources"] if one["id"] != request.path_params["rid"]]
        if len(left) == len(dataset["resources"]):
            return JSONResponse({"message": "Resource does not exist"}, 404)
        dataset["resources"] = left
        del self.files[request.path_params["rid"]]
        return Response(status_code=204)


def _without(values: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _ok(result: Any) -> Response:
    return JSONResponse({"success": True, "result": result})


def _error(status: int, error: dict[str, Any]) -> Response:
    return JSONResponse({"success": False, "error": error}, status)


def _invalid(values: dict[str, Any]) -> Response | None:
    wrong = {name: ["This field is required."] for name in ("title", "description") if not values.get(name)}
    return JSONResponse({"message": "Validation error", "errors": wrong}, 400) if wrong else None

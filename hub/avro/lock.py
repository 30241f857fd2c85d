"""Schema ids and fingerprints: a published version never changes, an id is never used twice."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from hub.avro.parse import BrokenSchema, Version

_Kind = TypeVar("_Kind", int, str)


class Locked(NamedTuple):
    """What the lock says of a version."""

    id: int
    fingerprint: str


Lock = Mapping[str, Locked]
"""`<full name>/v<N>` to its id and fingerprint."""


def read(text: str, path: str = "schemas/lock.toml") -> dict[str, Locked]:
    """Read what `write` wrote; raise `BrokenSchema`, most often for the marks of a merge."""
    try:
        return {
            name: Locked(_of(entry, "id", int), _of(entry, "fingerprint", str))
            for name, entry in tomllib.loads(text).items()
        }
    except (ValueError, LookupError, TypeError) as error:
        raise BrokenSchema(
            f"{path}: not a lock ({error}); take it from its history and run `hub schemas lock`"
        ) from None


def _of(entry: Any, name: str, kind: type[_Kind]) -> _Kind:
    value = entry[name]
    if type(value) is not kind:
        raise TypeError(f"{name} is not of its kind")
    return value


def key(version: Version) -> str:
    """Name a version in the lock."""
    return f"{version.full_name}/v{version.number}"


def check(lock: Lock, versions: Iterable[Version]) -> list[str]:
    """Return what is wrong, one line each with its code and remedy."""
    found = {key(version): version for version in versions}
    problems = []
    for name, version in sorted(found.items()):
        locked = lock.get(name)
        if locked is None:
            problems.append(f"{version.path}: S201 not in lock.toml; run `hub schemas lock`")
        elif locked.fingerprint != version.fingerprint:
            problems.append(
                f"{version.path}: S202 a published version changed; restore it and add v{version.number + 1}"
            )
        if version.number > 1 and f"{version.full_name}/v{version.number - 1}" not in found:
            problems.append(f"{version.path}: S204 there is no v{version.number - 1}; number versions without a gap")
    numbers = Counter(locked.id for locked in lock.values())
    for name, locked in sorted(lock.items()):
        if numbers[locked.id] > 1:
            problems.append(
                f"schemas/lock.toml: S205 {name} shares its id; remove what is not published and run `hub schemas lock`"
            )
    gone = sorted(lock.keys() - found.keys())
    return problems + [f"schemas/lock.toml: S203 {name} is published and its file is gone; restore it" for name in gone]


def extend(lock: Lock, versions: Iterable[Version]) -> dict[str, Locked]:
    """Give new versions the next ids; leave all others as they are."""
    extended = dict(lock)
    following = max((locked.id for locked in lock.values()), default=0) + 1
    for version in sorted(versions, key=lambda version: (version.domain, version.name, version.number)):
        if key(version) not in extended:
            extended[key(version)] = Locked(following, version.fingerprint)
            following += 1
    return extended


def write(lock: Lock) -> str:
    """Write the lock as TOML, in the order of ids."""
    lines = ["# Ids and fingerprints of published schemas. Written by `hub schemas lock`; never edited.", ""]
    for name, locked in sorted(lock.items(), key=lambda item: item[1].id):
        lines += [f'["{name}"]', f"id = {locked.id}", f'fingerprint = "{locked.fingerprint}"', ""]
    return "\n".join(lines)

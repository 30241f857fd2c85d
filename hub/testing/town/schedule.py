"""What happens in the town on a school day, vendor by vendor.

Each chapter yields steps: a time of the day, a sentence, an action.  A vendor whose connector is not there
has no chapter.
The same vendors meet the same people every day, and each day a little different.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from hub.testing.town.clock import school_days
from hub.testing.town.people import Child, Person
from hub.testing.town.world import World

FIRST, LAST = 7 * 60 + 30, 18 * 60 + 30
"""Minutes of the day between which the story plays."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens at a time of the day."""

    time: str
    text: str
    do: Callable[[World], Any]
    account: Person | None = None
    """Whose account is worth a look afterwards."""

    @property
    def share(self) -> float:
        """How much of the day has passed, 0 to 1."""
        hours, minutes = self.time.split(":")
        return min(max((int(hours) * 60 + int(minutes) - FIRST) / (LAST - FIRST), 0.0), 1.0)


Chapter = Iterator[Step]


def school_day(world: World) -> Chapter:
    """Yield every step of the day."""
    for product, chapter in CHAPTERS.items():
        if product in world.simulators:
            yield from chapter(world)


def portal(world: World) -> Chapter:
    """Tell how a link that is made late shows its history at once, and how it goes again."""
    late, reader = world.town.cast.late, world.town.cast.reader
    card = f"ils_di:{late.borrowernumber}"
    yield Step(
        "13:50",
        f"{late.name} links her library card",
        lambda w: w.act("publik", "link", late, card, "self", twice=True),
    )
    yield Step(
        "16:50",
        f"{late.name} unlinks it again",
        lambda w: w.act("publik", "unlink", late, card),
    )
    yield Step(
        "17:40",
        f"{reader.name} changes what she wants to be told",
        lambda w: w.act("publik", "preferences", reader, reader.email, lines=reader.lines),
    )
    yield Step(
        "17:45",
        "The portal sends nonsense, in due form",
        lambda w: w.act("publik", "babble", w.town.cast.never_links),
    )


def canteen(world: World) -> Chapter:
    """Let linked children be booked, eat, stay away; lose some callbacks, and let some overtake a poll."""
    town = world.town
    day = school_days(world.clock.today, world.days + 1)[-1]
    later = school_days(day + timedelta(days=1), 2)
    children = [child for child in town.children if f"chrono:{child.external_id}" in world.linked()]
    cast = town.cast
    own = cast.reader.children
    twins = list(cast.twins)
    special = {child.external_id for child in (*own, *twins, cast.two_households, *cast.four_children.children)}
    others = [child for child in children if child.external_id not in special]
    unknown = next((child for child in cast.never_links.children), None)

    def booking(w: World, child: Child, on: Any = day, activity: str = "LUNCH") -> int:
        found: int | None = w.simulators["chrono"].find(child, on, activity)  # type: ignore[attr-defined]
        number: int = found if found is not None else w.act("chrono", "book", child, on, activity)
        return number

    def book_all(w: World) -> None:
        for child in children:
            booking(w, child)

    yield Step("07:32", "The canteen takes the day's bookings", book_all)
    yield Step(
        "08:20",
        "Camille Charvet cancels Zoé's meal of tomorrow: a callback",
        lambda w: w.act("chrono", "cancel", booking(w, own[0], later[0])),
    )
    yield Step(
        "08:40",
        "… and books it again: only a poll can tell",
        lambda w: w.act("chrono", "book", own[0], later[0]),
    )
    yield Step(
        "09:20",
        "The twins are booked for evening care",
        lambda w: [w.act("chrono", "book", child, day, "EVENING_CARE") for child in twins],
    )

    def overtaken(w: World) -> None:
        w.simulators["chrono"].faults.add("/api/bookings/", "slow", 3, seconds=1.2)

    yield Step("10:25", "Chrono answers slowly", overtaken)
    yield Step(
        "10:40",
        "A cancellation overtakes a poll that is still under way",
        lambda w: [w.act("chrono", "cancel", booking(w, child, later[1])) for child in others[:12]],
    )

    def eat(w: World) -> None:
        for index, child in enumerate([*twins, *others]):
            here = (index + w.days) % 9 != 0
            w.act("chrono", "attend" if here else "absent", booking(w, child), callback=index % 6 != 5)

    yield Step("11:35", "Lunch: most children come, some do not; every sixth callback gets lost", eat)
    yield Step(
        "11:50",
        "Noé is at the table, his sister is not",
        lambda w: (w.act("chrono", "attend", booking(w, own[1])), w.act("chrono", "absent", booking(w, own[0]))),
    )
    yield Step(
        "12:00",
        "Lila, who has two homes, eats; the callback comes twice",
        lambda w: w.act("chrono", "attend", booking(w, cast.two_households), twice=True),
    )
    yield Step(
        "12:10",
        "All four children of Fatou Diallo eat, and every callback gets lost",
        lambda w: [
            w.act("chrono", "attend", booking(w, child), callback=False) for child in cast.four_children.children
        ],
    )
    if unknown is not None:
        yield Step(
            "12:20",
            "A child whom nobody has linked eats too",
            lambda w: w.act("chrono", "attend", booking(w, unknown)),
        )
    yield Step(
        "14:10",
        "Chrono answers « err: 1 » with status 200",
        lambda w: w.act("chrono", "refuse", own[0]),
    )
    yield Step(
        "15:30",
        "An absence was a mistake: she did eat",
        lambda w: w.act("chrono", "attend", booking_of(w, own[0], day)),
    )


def booking_of(world: World, child: Child, day: Any) -> int:
    """Find the child's last meal of a day, whatever became of it."""
    bookings = world.simulators["chrono"].bookings.values()  # type: ignore[attr-defined]
    found: int = max(
        place.id
        for place in bookings
        if (place.child, place.day, place.activity) == (child.external_id, day, "LUNCH") and place.status != "cancelled"
    )
    return found


def quiet_tick(world: World) -> None:
    """Let one small thing happen."""
    reader: Person = world.town.cast.reader
    chance = world.chance
    if "publik" in world.simulators and chance.random() < 0.5:
        world.act("publik", "preferences", reader, reader.email, lines=reader.lines)


CHAPTERS: dict[str, Callable[[World], Chapter]] = {"publik": portal, "chrono": canteen}

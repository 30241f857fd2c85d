"""What happens in the town on a school day, vendor by vendor.

Each chapter yields steps: a time of the day, a sentence, an action.  A vendor whose connector is not there
has no chapter.  Chapters in which vendors meet are here; what happens at one alone is its simulator's own `day`.
The same vendors meet the same people every day, and each day a little different.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from hub.testing.town.clock import school_days
from hub.testing.town.people import Child, Person
from hub.testing.town.step import Step
from hub.testing.town.world import World

Chapter = Iterator[Step]


def school_day(world: World) -> Chapter:
    """Yield every step of the day."""
    for product, chapter in CHAPTERS.items():
        if product in world.simulators:
            yield from chapter(world)
    for simulator in world.simulators.values():
        yield from simulator.day(world)


def registry(world: World) -> Chapter:
    """Let residents ask for records, clerks answer, a hospital declare, and the queue be as queues are."""
    cast = world.town.cast

    def ask(name: str, person: Person, kind: str = "NAISSANCE") -> Callable[[World], None]:
        def do(w: World) -> None:
            w.remembered[name] = w.act("hubee", "demand", person, kind)

        return do

    def move(name: str, status: str) -> Callable[[World], None]:
        return lambda w: w.act("hubee", "set_status", w.remembered[name], status)

    yield Step("07:40", f"HubEE: {cast.apostrophe.name} asks for her birth record", ask("birth", cast.apostrophe))
    yield Step("07:42", f"HubEE: {cast.reader.name} asks for her birth record", ask("reader", cast.reader))
    yield Step("07:45", f"HubEE: {cast.late.name} asks for a marriage record", ask("late", cast.late, "MARIAGE"))
    yield Step("08:00", "HubEE answers 503 …", lambda w: w.fail("hubee", "/notifications", "503"))
    yield Step(
        "08:01",
        "… and then 429: wait two seconds",
        lambda w: w.fail("hubee", "/notifications", "429", retry_after=2.0),
    )
    yield Step("08:02", f"HubEE: {cast.unknown_day.name}, day of birth unknown, asks", ask("kaci", cast.unknown_day))
    yield Step("08:30", "HubEE: a hospital declares a death, in XML that lies about its encoding", _declare)
    yield Step(
        "08:55",
        "HubEE: a birth in Ajaccio and one in Viêt Nam are asked for",
        lambda w: (ask("corsican", cast.corsican)(w), ask("foreign", cast.foreign)(w)),
    )
    yield Step(
        "09:35",
        "HubEE tells of a demand twice",
        lambda w: w.act("hubee", "duplicate_notification", w.remembered["birth"]),
    )
    yield Step("09:50", "HubEE: a notification names no case", lambda w: w.act("hubee", "caseless_notification"))
    yield Step("10:05", f"{cast.late.name}'s demand is taken up", move("late", "IN_PROGRESS"))
    yield Step("10:50", f"{cast.apostrophe.name}'s demand is taken up", move("birth", "IN_PROGRESS"))
    yield Step("11:15", f"{cast.reader.name}'s demand is taken up", move("reader", "IN_PROGRESS"))
    yield Step("13:10", f"{cast.apostrophe.name}'s record is sent", move("birth", "DONE"))
    yield Step("13:15", f"… and so is {cast.reader.name}'s", move("reader", "DONE"))
    yield Step("13:20", f"{cast.unknown_day.name} must send a document", move("kaci", "ADD_AWAITING"))
    yield Step(
        "14:20",
        "HubEE answers an error page with status 200",
        lambda w: w.fail("hubee", "/notifications", "html200"),
    )
    yield Step("14:40", "HubEE: a demand whose payload is garbage", lambda w: w.act("hubee", "garbage"))
    yield Step(
        "14:50", "HubEE: a certificate of a kind that is not handled yet", lambda w: w.act("hubee", "unsupported")
    )
    yield Step("15:50", "A case that was done is opened again, with a late attachment", _reopen)
    yield Step("17:10", f"{cast.corsican.name}'s demand is refused", move("corsican", "REFUSED"))


def _declare(world: World) -> None:
    world.remembered["death"] = world.act("hubee", "declare_death")


def _reopen(world: World) -> None:
    # The case is read in two requests; the connection breaks in the first of them.
    world.fail("hubee", "/cases/", "truncate")
    world.act("hubee", "reopen", world.remembered["birth"])


def portal(world: World) -> Chapter:
    """Tell how a link that is made late shows its history at once, and how it goes again."""
    cast = world.town.cast
    late, reader, asker, born = cast.late, cast.reader, cast.apostrophe, cast.unknown_day
    card = f"ils_di:{late.borrowernumber}"
    if "hubee" in world.simulators:

        def case(w: World, name: str) -> str:
            return f"hubee:{w.remembered[name]}"

        yield Step(
            "09:10",
            f"{asker.name} links her demand",
            lambda w: w.act("publik", "link", asker, case(w, "birth"), "self"),
            asker,
        )
        yield Step(
            "09:11",
            f"… and so does {reader.name}",
            lambda w: w.act("publik", "link", reader, case(w, "reader"), "self"),
            reader,
        )
        yield Step(
            "09:12",
            f"{born.name}'s demand knows a day of birth, FranceConnect does not: a clerk has to look",
            _propose,
            born,
        )
        yield Step("10:25", "… and finds that it is him: its history shows at once", _recognise, born)
        yield Step(
            "13:45",
            f"{late.name} links her demand: its history shows at once",
            lambda w: w.act("publik", "link", late, case(w, "late"), "self"),
            late,
        )
        yield Step(
            "16:30",
            f"{late.name} unlinks her demand: it is gone",
            lambda w: w.act("publik", "unlink", late, case(w, "late")),
            late,
        )
    yield Step(
        "13:55",
        f"{late.name} links her library card; the portal says it twice",
        lambda w: w.act("publik", "link", late, card, "self", twice=True),
        late,
    )
    yield Step("16:50", f"{late.name} unlinks her card", lambda w: w.act("publik", "unlink", late, card), late)
    yield Step(
        "17:40",
        f"{reader.name} changes what she wants to be told",
        lambda w: w.act("publik", "preferences", reader, reader.email, lines=reader.lines),
    )
    yield Step(
        "17:42",
        "Somebody asks for a card that is not theirs: it waits at the desk",
        lambda w: w.act("publik", "propose", born, card, family_name=late.family_name, given_name=late.given_names[0]),
    )
    yield Step(
        "17:45", "The portal sends nonsense, in due form", lambda w: w.act("publik", "babble", w.town.cast.never_links)
    )


def _propose(world: World) -> None:
    case = f"hubee:{world.remembered['kaci']}"
    person = world.town.cast.unknown_day
    world.remembered["proposal"] = world.act("publik", "propose", person, case, birthdate=f"{person.birth.year}-01-01")


def _recognise(world: World) -> None:
    case = f"hubee:{world.remembered['kaci']}"
    world.act("publik", "decide", world.remembered["proposal"], world.town.cast.unknown_day, case)


def library(world: World) -> Chapter:
    """Let books go out, be prolonged, come back or not; let answers be as libraries give them."""
    cast = world.town.cast
    reader, late = cast.reader, cast.late
    linked = [person for person in world.town.readers if f"ils_di:{person.borrowernumber}" in world.linked()]
    others = [person for person in linked if person is not reader]

    def older(w: World, person: Person) -> list[str]:
        """List what was lent on an earlier day and is not overdue."""
        koha: Any = w.simulators["ils_di"]
        loans = (koha.loans[item] for item in koha.items(person))
        return [loan.item for loan in loans if loan.issued < koha.today and loan.overdue is None and not loan.collected]

    def lend(w: World) -> None:
        for person in (reader, reader, cast.foreign, *others[:6]):
            w.remembered[f"lent to {person.citizen}"] = w.act("ils_di", "lend", person)

    def prolong(w: World) -> None:
        for person in (reader, *others[6:9]):
            for item in older(w, person)[:1]:
                w.act("ils_di", "renew", person, item)

    def bring_back(w: World) -> None:
        for person in others[9:18]:
            for item in older(w, person)[:2]:
                w.act("ils_di", "give_back", person, item)

    def forget(w: World) -> None:
        for person in (reader, *others[18:22]):
            for item in older(w, person)[-1:]:
                w.act("ils_di", "make_overdue", person, item)

    def hold(w: World) -> None:
        w.remembered["hold"] = w.act("ils_di", "place_hold", reader, priority=3)
        w.remembered["given up"] = w.act("ils_di", "place_hold", cast.foreign, priority=2)

    def again(w: World) -> None:
        for person in others[22:26]:
            for item in older(w, person)[:1]:
                w.act("ils_di", "relend", person, item)

    def unseen(w: World) -> None:
        w.act("ils_di", "relend_unseen", cast.foreign, w.remembered[f"lent to {cast.foreign.citizen}"])

    def behind_the_back(w: World) -> None:
        # The card is not linked any more: nobody asks.
        w.act("ils_di", "give_back", late, w.act("ils_di", "lend", late))

    yield Step("09:05", "The library opens: the first loans", lend)
    yield Step("09:25", "Some loans are prolonged", prolong)
    yield Step("09:45", "Others come back", bring_back)
    yield Step("10:15", f"{reader.name} reserves a work, and so does {cast.foreign.name}", hold)
    yield Step("10:55", "Some documents should have been back by now", forget)
    yield Step(
        "11:10", "Koha answers an error page with status 200", lambda w: w.fail("ils_di", "/cgi-bin", "html200", 2)
    )
    yield Step(
        "11:20",
        "Koha breaks off in the middle of an answer",
        lambda w: w.fail("ils_di", "/cgi-bin", "truncate"),
    )
    yield Step("12:40", "Koha does not know a patron, in a 200", lambda w: w.act("ils_di", "refuse", others[0]))
    yield Step(
        "12:50",
        "Koha answers about somebody else",
        lambda w: w.act("ils_di", "mix_up", others[1], others[2]),
    )
    yield Step("13:35", "Some come back, and go out again at once", again)
    yield Step(
        "14:30",
        f"{reader.name}'s reservation is ready",
        lambda w: w.act("ils_di", "hold_ready", reader, w.remembered["hold"]),
    )
    yield Step("15:05", "A return and a new loan between two polls: nobody can see them", unseen)
    yield Step(
        "15:15",
        f"{cast.foreign.name} gives a reservation up",
        lambda w: w.act("ils_di", "cancel_hold", cast.foreign, w.remembered["given up"]),
    )
    yield Step(
        "16:10",
        f"{reader.name} collects what was set aside",
        lambda w: w.act("ils_di", "collect", reader, w.remembered["hold"]),
    )
    yield Step("17:25", f"{late.name}, not linked any more, borrows and returns", behind_the_back)


def transport(_world: World) -> Chapter:
    """Let lines be disturbed and free again; let snapshots break off and shrink."""
    path = "/dyn/evtTC"

    def publish(name: str, lines: tuple[str, ...], title: str, kind: str, hours: int | None) -> Callable[[World], None]:
        def do(w: World) -> None:
            end = None if hours is None else w.clock() + timedelta(hours=hours)
            w.remembered[name] = w.act("metromobilite", "publish", lines=lines, title=title, kind=kind, end=end)

        return do

    def gone_at_once(w: World) -> None:
        vendor: Any = w.simulators["metromobilite"]
        with vendor.lock:
            w.act("metromobilite", "end", w.act("metromobilite", "publish", lines=("SEM:13",), title="Fausse alerte"))

    def nonsense(w: World) -> None:
        vendor: Any = w.simulators["metromobilite"]
        if not vendor.garbled:
            w.act("metromobilite", "babble")

    yield Step(
        "07:50",
        "A burst pipe stops line C5",
        publish("pipe", ("SEM:C5",), "Rupture de canalisation", "restriction_ltc", None),
    )
    yield Step(
        "08:45",
        "Works begin on tram A, until the evening",
        publish("works", ("SEM:A",), "Travaux de voie", "chantier", 12),
    )
    yield Step(
        "10:10",
        "The burst pipe concerns line 48 too",
        lambda w: w.act("metromobilite", "update", w.remembered["pipe"], lines=("SEM:C5", "SEM:48")),
    )
    yield Step(
        "10:30", "A snapshot of disruptions breaks off half-way", lambda w: w.fail("metromobilite", path, "truncate")
    )
    yield Step(
        "12:30", "Nearly all disruptions are missing from a snapshot", lambda w: w.act("metromobilite", "shrink")
    )
    yield Step("12:55", "A false alarm is taken back before anybody asks", gone_at_once)
    yield Step("14:05", "One disruption that nobody can read, for ever", nonsense)
    yield Step(
        "16:20",
        "The pipe is mended: the disruption just disappears",
        lambda w: w.act("metromobilite", "end", w.remembered["pipe"]),
    )
    yield Step("17:30", "Tram A runs again", lambda w: w.act("metromobilite", "end", w.remembered["works"]))


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
    yield Step("11:45", "The mail server says: try again later", lambda w: w.mailbox.fail("451", 2))
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
    """Let one small thing happen somewhere."""
    reader = world.town.cast.reader
    small: list[Callable[[], Any]] = []
    if "hubee" in world.simulators:
        small.append(lambda: world.act("hubee", "demand", world.chance.choice(world.town.readers)))
    if "ils_di" in world.simulators:
        small.append(lambda: world.act("ils_di", "lend", reader))
    if "metromobilite" in world.simulators:
        vendor: Any = world.simulators["metromobilite"]
        small.append(lambda: world.act("metromobilite", "update", world.chance.choice(vendor.current())))
    if "chrono" in world.simulators:
        later = school_days(world.clock.today + timedelta(days=7 + world.chance.randint(0, 60)), 1)[0]
        small.append(lambda: world.act("chrono", "book", reader.children[0], later))
    if small:
        world.chance.choice(small)()


CHAPTERS: dict[str, Callable[[World], Chapter]] = {
    "hubee": registry,
    "metromobilite": transport,
    "ils_di": library,
    "publik": portal,
    "chrono": canteen,
}

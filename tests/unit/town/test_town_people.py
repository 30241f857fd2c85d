"""Show that a town is the same for the same seed, and has everybody whom real towns have."""

from __future__ import annotations

from hub.testing.town.people import Town


def test_same_seed_same_town() -> None:
    one, other = Town.build(3, 40), Town.build(3, 40)
    assert [str(person) for person in map(_plain, one.persons)] == [str(p) for p in map(_plain, other.persons)]
    assert [child.external_id for child in one.children] == [child.external_id for child in other.children]


def test_another_seed_another_town() -> None:
    assert {p.citizen for p in Town.build(1, 20).persons}.isdisjoint(p.citizen for p in Town.build(2, 20).persons)


def test_default_town_has_200_families() -> None:
    town = Town.build(1)
    assert len(town.families) == 200
    assert len({person.citizen for person in town.persons}) == len(town.persons)
    assert len({person.email for person in town.persons}) == len(town.persons)
    assert len({person.borrowernumber for person in town.readers}) == len(town.readers)


def test_cast_has_everybody() -> None:
    town = Town.build(5, 10)
    cast = town.cast
    homes = [family for family in town.families if cast.two_households in family.children]
    assert len(homes) == 2
    assert {parent.citizen for home in homes for parent in home.parents} == {p.citizen for p in cast.separated}
    assert len(cast.four_children.children) == 4
    assert cast.twins[0].birth == cast.twins[1].birth
    assert cast.twins[0].given_names != cast.twins[1].given_names
    assert not cast.never_links.links
    assert "'" in cast.apostrophe.family_name
    assert "-" in cast.hyphens.family_name
    assert not cast.accents.family_name.isascii()
    assert len(cast.fifty.family_name) == 50
    assert cast.corsican.birth_place.startswith("2A")
    assert cast.foreign.birth_place.startswith("99")
    assert cast.unknown_day.birth_date is None
    assert str(cast.unknown_day.birth).endswith("-00")
    assert {person.citizen for person in town.persons} >= {cast.late.citizen, cast.reader.citizen}


def test_people_are_found_by_their_numbers() -> None:
    town = Town.build(5, 10)
    reader = town.cast.reader
    assert town.person(reader.citizen) is reader
    assert town.patron(reader.borrowernumber or "") is reader
    assert town.child(reader.children[0].external_id) is reader.children[0]


def _plain(person: object) -> tuple[object, ...]:
    return tuple(getattr(person, name) for name in ("citizen", "given_names", "family_name", "birth", "email", "lines"))

"""The people of a synthetic town: the same for the same seed, and nobody who exists.

A few are always there, whatever the number of families, because real towns have them: see `CAST`.
"""

from __future__ import annotations

import random
import unicodedata
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple
from uuid import UUID

_GIVEN = (
    "Adèle Adrien Agnès Aïcha Alain Albane Alexis Alice Amélie Amine Anaïs André Anouk Antoine Arthur Aurélie "
    "Baptiste Béatrice Benoît Bérénice Camille Caroline Cécile Célestin Chloé Claire Clément Colette Cyril Daphné "
    "Denis Diane Élise Élodie Émile Emma Enzo Éric Ernest Esther Étienne Eugénie Fabien Fanny Farid Fatou Félix "
    "Flore Florent Gabriel Gaëlle Gaspard Germain Gisèle Guillaume Hélène Henri Hortense Hugo Inès Irène Isaac "
    "Jade Jeanne Joël Joséphine Jules Julien Karim Khadija Laure Léa Léon Léonie Lila Lina Louis Louise Lucas Lucie "
    "Maël Manon Marc Marguerite Marion Mathilde Maxime Mehdi Mélanie Mohamed Nadia Naël Nathan Nina Noé Noémie "
    "Océane Olivier Oscar Pascale Paul Pauline Pierre Quentin Rachid Raphaël Rémi Romane Rose Sacha Salomé Samuel "
    "Sarah Simon Solène Sophie Suzanne Sylvain Théo Thérèse Thomas Timéo Ugo Valentin Valérie Victor Victoire Yanis "
    "Yann Yasmine Yves Zoé"
)
GIVEN = tuple(_GIVEN.split())
DOUBLE = ("Jean-Baptiste", "Marie-Noëlle", "Anne-Sophie", "Pierre-Yves", "Jean-François", "Marie-Ange")
_FAMILY = (
    "Abadie Achard Allard Amblard André Arnaud Aubert Baccou Baillet Barbier Barthélémy Bayle Béal Bellier Benali "
    "Benoît Bérard Berger Bernard Bertin Besson Blanc Boissier Bonnet Bouchet Bourgeois Bouvier Boyer Brun Bruyère "
    "Caillat Carrel Chabert Chaix Champon Chapuis Charvet Chevallier Clerc Collomb Coste Courtois Cuny Daumas David "
    "Delorme Deschamps Diallo Didier Dubois Dumas Dupraz Durand Duval Escoffier Eymard Fabre Faure Favier Ferrand "
    "Fournier Froment Gaillard Garcin Gauthier Genève Gérard Gilibert Girard Giraud Glénat Gonnet Gros Guérin Guichard "
    "Haddad Hébert Hernandez Huet Humbert Imbert Jacquet Jallifier Joly Jourdan Kaci Lacroix Lambert Laurent Lefèvre "
    "Legrand Leroy Lombard Magnin Mallein Manin Marchand Martinez Mathieu Maurin Mercier Meunier Michallon Millet "
    "Molière Morel Moulin Nguyen Nivon Noël Olivier Pacalet Pascal Payet Pélissier Perrin Petit Picard Pison Poncet "
    "Poulat Prévost Ravier Rey Reymond Reynaud Richard Rivière Robert Rolland Roussillon Roux Sabatier Sanchez Sauvage "
    "Sérusclat Silva Termoz Thévenet Thomas Tournier Traoré Vachon Vallier Vial Vignon Villard Vincent Weber Zeller"
)
FAMILY = tuple(_FAMILY.split())
SCHOOLS = ("Bajatière", "Jean-Jaurès", "Ampère", "Clemenceau", "Diderot", "Houille-Blanche", "Léon-Jouhaux", "Painlevé")
LINES = ("SEM:A", "SEM:B", "SEM:C", "SEM:C1", "SEM:C3", "SEM:C5", "SEM:12", "SEM:13", "SEM:48", "C38:T62")
BIRTH_PLACES = (
    *(("38185", "Grenoble"),) * 8,
    *(("38421", "Saint-Martin-d'Hères"), ("38151", "Échirolles"), ("38544", "Vienne"), ("38563", "Voiron")) * 2,
    ("69383", "Lyon 3e Arrondissement"),
    ("73065", "Chambéry"),
    ("26362", "Valence"),
    ("75114", "Paris 14e Arrondissement"),
    ("2A004", "Ajaccio"),
    ("2B033", "Bastia"),
    ("97411", "Saint-Denis"),
    ("99352", "Algérie"),
    ("99139", "Portugal"),
    ("99127", "Italie"),
    ("99243", "Viêt Nam"),
)
PLACES: dict[str, str] = dict(BIRTH_PLACES)
"""Names of the places of birth by INSEE code; 99… is abroad."""
DOMAIN = "exemple.invalid"


class Birth(NamedTuple):
    """A date of birth; the day, or month and day, may be unknown."""

    year: int
    month: int | None
    day: int | None

    @property
    def date(self) -> date | None:
        """The whole date, where it is known."""
        if self.month is None or self.day is None:
            return None
        return date(self.year, self.month, self.day)

    def __str__(self) -> str:
        """Write as civil registries do, `1961-00-00` where parts are unknown."""
        return f"{self.year:04d}-{self.month or 0:02d}-{self.day or 0:02d}"


@dataclass(slots=True, eq=False)
class Person:
    """An adult; most have an account on the citizen portal."""

    citizen: str
    """Uuid on the portal."""
    given_names: tuple[str, ...]
    family_name: str
    birth: Birth
    birth_place: str
    """INSEE code of the commune, or of the country for a birth abroad."""
    email: str
    phone: str | None
    lines: tuple[str, ...]
    """Transport lines of interest, `SEM:48`."""
    borrowernumber: str | None
    """Number at the library, for those who have a card."""
    children: list[Child] = field(default_factory=list)
    links: bool = True
    """Whether this person ever links anything to the account."""

    @property
    def birth_date(self) -> date | None:
        """The date of birth, where it is wholly known."""
        return self.birth.date

    @property
    def birth_place_name(self) -> str:
        """The name of the place of birth."""
        return PLACES[self.birth_place]

    @property
    def name(self) -> str:
        """First given name and family name."""
        return f"{self.given_names[0]} {self.family_name}"


@dataclass(slots=True, eq=False)
class Child:
    """A child at school; health and diet are not modelled: the hub must not know them."""

    external_id: str
    """The canteen's number, `E0001`."""
    given_names: tuple[str, ...]
    family_name: str
    birth: Birth
    birth_place: str
    parents: list[Person]
    school: str

    @property
    def birth_date(self) -> date | None:
        """The date of birth."""
        return self.birth.date


@dataclass(slots=True, eq=False)
class Family:
    """A household: adults and the children who live there at least some of the time."""

    number: int
    parents: list[Person]
    children: list[Child]


@dataclass(slots=True)
class Cast:
    """Those whom every town has, by what is special about them."""

    reader: Person
    """Has a card, children at school and a line: what the story follows."""
    two_households: Child
    """Has two parents who live apart."""
    separated: tuple[Person, Person]
    four_children: Person
    twins: tuple[Child, Child]
    never_links: Person
    apostrophe: Person
    accents: Person
    hyphens: Person
    fifty: Person
    """Family name of exactly 50 characters."""
    corsican: Person
    foreign: Person
    unknown_day: Person
    late: Person
    """Links the library card only in the course of the day, and unlinks it again."""


@dataclass(slots=True)
class Town:
    """Everybody; `build` makes the same town from the same seed."""

    seed: int
    families: list[Family]
    cast: Cast

    @property
    def persons(self) -> list[Person]:
        """All adults."""
        found: dict[str, Person] = {}
        for family in self.families:
            for person in family.parents:
                found[person.citizen] = person
        return list(found.values())

    @property
    def children(self) -> list[Child]:
        """All children, each once."""
        found: dict[str, Child] = {}
        for family in self.families:
            for child in family.children:
                found[child.external_id] = child
        return list(found.values())

    @property
    def readers(self) -> list[Person]:
        """All who have a library card."""
        return [person for person in self.persons if person.borrowernumber is not None]

    def person(self, citizen: str) -> Person:
        """Find an adult by uuid; KeyError when there is none."""
        for person in self.persons:
            if person.citizen == citizen:
                return person
        raise KeyError(citizen)

    def child(self, external_id: str) -> Child:
        """Find a child by the canteen's number; KeyError when there is none."""
        for child in self.children:
            if child.external_id == external_id:
                return child
        raise KeyError(external_id)

    def patron(self, borrowernumber: str) -> Person:
        """Find a reader by the library's number; KeyError when there is none."""
        for person in self.readers:
            if person.borrowernumber == borrowernumber:
                return person
        raise KeyError(borrowernumber)

    @classmethod
    def build(cls, seed: int, families: int = 200) -> Town:
        """Make the town: `families` households (at least 10), the same for the same seed."""
        return _Builder(seed, max(families, 10)).build()


class _Builder:
    def __init__(self, seed: int, families: int) -> None:
        self.seed = seed
        self.count = families
        self.chance = random.Random(seed)
        self.adults = 0
        self.pupils = 0
        self.families: list[Family] = []

    def build(self) -> Town:
        cast = self.cast()
        while len(self.families) < self.count:
            adults = 1 if self.chance.random() < 0.25 else 2
            name = self.chance.choice(FAMILY)
            parents = [self.person(family_name=name if self.chance.random() < 0.6 else None) for _ in range(adults)]
            children = self.chance.choices((0, 1, 2, 3), weights=(25, 35, 30, 10))[0]
            self.family(parents, [self.child(parents) for _ in range(children)])
        return Town(self.seed, self.families, cast)

    def cast(self) -> Cast:
        reader = self.person(given="Camille", family_name="Charvet", card=True, lines=("SEM:C5", "SEM:48"))
        partner = self.person(given="Julien", family_name="Charvet", card=False)
        self.family([reader, partner], [self.child([reader, partner], "Zoé"), self.child([reader, partner], "Noé")])

        mother = self.person(given="Hélène", family_name="Michallon", card=True)
        father = self.person(given="Farid", family_name="Benali", card=True)
        shared = self.child([mother, father], "Lila", family_name="Benali-Michallon")
        self.family([mother], [shared])
        self.family([father], [shared])

        many = self.person(given="Fatou", family_name="Diallo", card=True)
        self.family([many], [self.child([many]) for _ in range(4)])

        parents = [self.person(given="Yann", family_name="Rivière"), self.person(given="Inès", family_name="Rivière")]
        born = self.born(2016, 2021)
        twins = (self.child(parents, "Gaspard", birth=born), self.child(parents, "Hortense", birth=born))
        self.family(parents, list(twins))

        never = self.person(given="Ernest", family_name="Sauvage", card=True)
        never.links = False
        apostrophe = self.person(given="Océane", family_name="D'Hauteserre-L'Hôte", card=True)
        accents = self.person(given="Anaïs", family_name="Lefèvre-Noël", card=True)
        hyphens = self.person(given="Marie-Noëlle", family_name="Saint-Rémy-Dupont", card=True)
        fifty = self.person(given="Joséphine", family_name="De La Rochefoucauld-Montbazon-Castelnau-Bretenouxx")
        corsican = self.person(given="Ange", family_name="Colonna d'Istria", place="2A004", card=True)
        foreign = self.person(given="Thị Hoa", family_name="Nguyễn", place="99243", card=True)
        unknown = self.person(given="Rachid", family_name="Kaci", place="99352", birth=Birth(1951, None, None))
        late = self.person(given="Suzanne", family_name="Vial", card=True)
        self.family([never], [self.child([never])])
        self.family([apostrophe, accents], [self.child([apostrophe, accents], "Maël", family_name="L'Hôte")])
        self.family([hyphens], [self.child([hyphens])])
        self.family([fifty, corsican], [self.child([fifty, corsican], "Ghjuvan", place="2B033")])
        self.family([foreign, unknown], [])
        self.family([late], [])
        return Cast(
            reader=reader,
            two_households=shared,
            separated=(mother, father),
            four_children=many,
            twins=twins,
            never_links=never,
            apostrophe=apostrophe,
            accents=accents,
            hyphens=hyphens,
            fifty=fifty,
            corsican=corsican,
            foreign=foreign,
            unknown_day=unknown,
            late=late,
        )

    def family(self, parents: list[Person], children: list[Child]) -> None:
        for parent in parents:
            parent.children.extend(children)
        self.families.append(Family(len(self.families) + 1, parents, children))

    def person(
        self,
        *,
        given: str | None = None,
        family_name: str | None = None,
        place: str | None = None,
        birth: Birth | None = None,
        card: bool | None = None,
        lines: tuple[str, ...] | None = None,
    ) -> Person:
        self.adults += 1
        chance = self.chance
        first = given or (chance.choice(DOUBLE) if chance.random() < 0.06 else chance.choice(GIVEN))
        others = tuple(chance.sample(GIVEN, chance.choices((0, 1, 2), weights=(3, 4, 3))[0]))
        name = family_name or chance.choice(FAMILY)
        has_card = chance.random() < 0.5 if card is None else card
        return Person(
            citizen=str(UUID(int=chance.getrandbits(128), version=4)),
            given_names=(first, *others),
            family_name=name,
            birth=birth or self.born(1950, 1998),
            birth_place=place or chance.choice(BIRTH_PLACES)[0],
            email=f"{_ascii(first)}.{_ascii(name)}.{self.adults}@{DOMAIN}"[-64:].lstrip(".-"),
            phone=f"+3363998{self.adults:04d}" if chance.random() < 0.8 else None,
            lines=lines if lines is not None else tuple(sorted(chance.sample(LINES, chance.randint(0, 3)))),
            borrowernumber=str(20_000 + self.adults) if has_card else None,
        )

    def child(
        self,
        parents: list[Person],
        given: str | None = None,
        *,
        family_name: str | None = None,
        birth: Birth | None = None,
        place: str | None = None,
    ) -> Child:
        self.pupils += 1
        chance = self.chance
        first = given or chance.choice(GIVEN)
        return Child(
            external_id=f"E{self.pupils:04d}",
            given_names=(first, *chance.sample(GIVEN, chance.randint(0, 2))),
            family_name=family_name or chance.choice(parents).family_name,
            birth=birth or self.born(2015, 2022),
            birth_place=place or chance.choice(BIRTH_PLACES)[0],
            parents=parents,
            school=chance.choice(SCHOOLS),
        )

    def born(self, first: int, last: int) -> Birth:
        return Birth(self.chance.randint(first, last), self.chance.randint(1, 12), self.chance.randint(1, 28))


def _ascii(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return "".join(letter if letter.isalnum() else "-" for letter in plain).strip("-")

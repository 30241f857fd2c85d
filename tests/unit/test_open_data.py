"""Datasets tell what is public, once it is over, whole and valid; what is wrong is refused and replaces nothing."""

from __future__ import annotations

import csv
import json
import threading
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.transit import gtfs_realtime_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import examples

from hub import catalogue
from hub.config import OpenData, Settings, Threshold
from hub.delivery.exports import Export, _second_opinion
from hub.delivery.open_data import OpenDataTurn
from hub.delivery.pages import bars
from hub.kafka.project import as_json
from hub.model.event import StoredEvent
from hub.model.record import Seq
from hub.pipeline.table_schema import check, is_siret
from hub.roles.policy import CityPolicy
from hub.store import Store
from schemas.models.civil_registry import RecordRequested, RequestStatusChanged, Status
from schemas.models.library import LoanStarted
from schemas.models.school_catering import CanteenDescribed
from schemas.models.transport import DisruptionEnded, DisruptionPublished
from streams.open_data.counting import is_over
from streams.open_data.rows import capitalised

NOW = datetime(2026, 3, 10, 7, 40, tzinfo=UTC)
FEBRUARY = datetime(2026, 2, 14, 9, 0, tzinfo=UTC)
DISRUPTION = DisruptionPublished(
    disruption_id="SEM_1",
    kind="chantier",
    lines=("SEM:48", "SEM:C1"),
    starts_at=datetime(2026, 3, 10, 5, 20, tzinfo=UTC),
    title="Travaux, secteur « Claix » <1>",
    description="Ligne déviée",
)
DISH = {
    "menuCollNom": "Ville de Grenoble",
    "menuCollSiret": "21380185500015",
    "menuEtablissementNom": "Cuisine centrale",
    "menuRestaurantNom": "",
    "menuRestaurantId": "21380185500015",
    "menuRestaurantIdType": "SIRET",
    "menuRestaurantType": "élémentaire",
    "menuRestaurantConvive": "enfants",
    "menuDate": "2026-03-12",
    "menuRepasType": "déjeuner",
    "menuPlatType": "entrée",
    "menuPlatNom": "Carottes râpées",
    "menuPlatRegime": '["sans porc "]',
    "menuPublicationDate": "2026-03-09T08:00:00",
}


class Town:
    """A database, a folder, and the turn between them."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.store = store
        self.settings = OpenData(folder=folder / "www", supplied=folder / "supplied")
        self.now = NOW
        self.events = 0
        self.problems: dict[str, str] = {}
        self.withdrawn: dict[str, int] = {}
        self.wrote: list[str] = []
        self.again()

    def again(self) -> None:
        """Start the process anew."""
        datasets = catalogue.datasets()
        root = "https://ville.example/donnees"
        self.turn = OpenDataTurn(self.store, self.settings, datasets, root, self, lambda: self.now)

    def written(self, dataset: str, rows: int, at: float) -> None:
        self.wrote.append(dataset)

    def sound(self, dataset: str, withdrawn: int) -> None:
        self.withdrawn[dataset] = withdrawn

    def refused(self, dataset: str, problem: str) -> None:
        self.problems[dataset] = problem

    def say(self, payload: Any, subject: str, at: datetime = FEBRUARY, recorded: datetime = NOW) -> None:
        self.events += 1
        event = StoredEvent(
            id=f"event-{self.events}",
            type=payload.TYPE,
            subject=subject,
            product="p",
            audience=payload.AUDIENCE,
            time=int(at.timestamp() * 1000),
            read_at=int(at.timestamp() * 1000),
            seq=Seq(1, self.events, 0),
            rev=1,
            payload=payload,
            data=as_json(payload),
        )
        self.store.project([event], CityPolicy(Settings()), recorded)

    def lend(self, branch: str, kind: str, times: int, at: datetime = FEBRUARY) -> None:
        for _ in range(times):
            self.say(LoanStarted(branch=branch, document_kind=kind), "ils_di:1", at)

    def go(self) -> None:
        self.turn(threading.Event())

    def path(self, dataset: str, index: int = 0) -> Path:
        manifest = catalogue.datasets()[dataset].manifest
        ending = ("csv/{}.csv", "json/{}.schema.json", "json/{}.rapport.json", "csv/{}.modifications.csv")[index]
        return self.settings.folder / "38185-GRE" / manifest.theme / ending.format(manifest.file)

    def rows(self, dataset: str, index: int = 0) -> list[dict[str, str]]:
        with self.path(dataset, index).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def supply(self, name: str, rows: list[dict[str, str]]) -> None:
        self.settings.supplied.mkdir(exist_ok=True)
        with (self.settings.supplied / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


@pytest.fixture
def town(tmp_path: Path, store: Store) -> Town:
    """Make an empty town."""
    return Town(tmp_path, store)


def test_disruptions_are_published_in_three_forms(town: Town) -> None:
    """CSV, GTFS-RT and SIRI say the same; what ended is in none of them."""
    town.say(DISRUPTION, "metromobilite:SEM_1")
    town.say(DisruptionPublished(disruption_id="SEM_2"), "metromobilite:SEM_2")
    town.say(DisruptionEnded(disruption_id="SEM_2"), "metromobilite:SEM_2")
    town.go()
    (row,) = town.rows("perturbations")
    assert (row["debut"], row["fin"], row["lignes"]) == ("2026-03-10T05:20:00Z", "", "SEM:48 SEM:C1")
    feeds = town.settings.folder / "38185-GRE" / "Transport"
    feed = gtfs_realtime_pb2.FeedMessage.FromString((feeds / "gtfs-rt/TRANSPORT_PERTURBATIONS_VDG.pb").read_bytes())
    (entity,) = feed.entity
    assert [selector.route_id for selector in entity.alert.informed_entity] == ["SEM:48", "SEM:C1"]
    assert not entity.alert.active_period[0].HasField("end")
    names = {"s": "http://www.siri.org.uk/siri"}
    document = ET.fromstring((feeds / "siri/TRANSPORT_PERTURBATIONS_VDG.xml").read_bytes())  # noqa: S314 - our own
    (situation,) = document.iterfind(".//s:PtSituationElement", names)
    assert [line.text for line in situation.iterfind(".//s:LineRef", names)] == ["SEM:48", "SEM:C1"]
    assert situation.findtext("s:Summary", None, names) == DISRUPTION.title
    assert situation.find("s:ValidityPeriod/s:EndTime", names) is None


def test_a_month_is_told_once_it_is_over_and_what_is_small_stays_inside(town: Town) -> None:
    """The running month is absent; a small cell takes a neighbour with it, because the total is told."""
    town.lend("BMA", "LIVRE", 12)
    town.lend("BMA", "CD", 3)
    town.lend("BMA", "DVD", 9)
    town.lend("BMA", "LIVRE", 30, NOW)
    town.go()
    assert town.rows("prets") == [
        {"annee_mois": "2026-02", "bibliotheque": "BMA", "type_document": "LIVRE", "nb_prets": "12"}
    ]
    assert town.rows("prets_bibliotheques") == [{"annee_mois": "2026-02", "bibliotheque": "BMA", "nb_prets": "24"}]
    # Late facts of a month that was told change nothing of it, also after a restart.
    town.lend("BMA", "CD", 9)
    town.again()
    town.go()
    assert [row["nb_prets"] for row in town.rows("prets")] == ["12"]


def test_what_is_taken_back_leaves_the_next_publication_and_is_reported(town: Town) -> None:
    """The cell and its total are gone, the log says how many rows, and nothing says which loan."""
    town.lend("BMA", "LIVRE", 12)
    town.lend("CEN", "LIVRE", 7)
    town.go()
    with town.store._write() as connection:
        connection.exec_driver_sql("DELETE FROM facts WHERE event_id = 'event-1'")
    town.now += timedelta(minutes=1)
    town.go()
    assert [row["bibliotheque"] for row in town.rows("prets")] == ["CEN"]
    assert [row["bibliotheque"] for row in town.rows("prets_bibliotheques")] == ["CEN"]
    assert (town.withdrawn["prets"], town.withdrawn["prets_bibliotheques"]) == (1, 1)
    last = town.rows("prets", 3)[-1]
    assert (last["lignes_ajoutees"], last["lignes_retirees"]) == ("0", "1")


def test_a_city_raises_a_threshold_with_a_reason(town: Town) -> None:
    """What was told before and is below it now leaves."""
    town.lend("BMA", "LIVRE", 12)
    town.go()
    reason = Threshold(least=20, reason="A small town: twelve loans are three families.")
    town.settings = town.settings.model_copy(update={"thresholds": {"prets": reason}})
    town.again()
    town.go()
    assert town.rows("prets") == []


def test_requests_are_counted_by_kind_and_delay(town: Town) -> None:
    """From the request and its first answer; a request without one is not counted, and a purge uncounts nothing."""
    for number in range(6):
        subject = f"hubee:{number}"
        town.say(RecordRequested(case_id=str(number)), subject, FEBRUARY - timedelta(days=3), FEBRUARY)
        town.say(RequestStatusChanged(status=Status.IN_PROGRESS), subject, FEBRUARY, FEBRUARY)
        if number:
            town.say(RequestStatusChanged(status=Status.DONE), subject, FEBRUARY, FEBRUARY)
            town.say(RequestStatusChanged(status=Status.REFUSED), subject, NOW, FEBRUARY)
    town.go()
    expected = [{"annee_mois": "2026-02", "nature": "copie d'acte", "delai": "2 à 7 jours", "nb_demandes": "5"}]
    assert town.rows("demandes") == expected
    town.store.purge(NOW + timedelta(days=100))
    town.again()
    town.go()
    assert town.rows("demandes") == expected


def test_traffic_is_counted_by_local_day_once_the_day_is_over(town: Town) -> None:
    """23:30 UTC in winter is tomorrow; today is not over, and yesterday waits a day more."""
    for recorded, times in ((datetime(2026, 3, 7, 23, 30, tzinfo=UTC), 6), (NOW, 9)):
        for _ in range(times):
            town.say(LoanStarted(), "ils_di:1", FEBRUARY, recorded)
    town.go()
    expected = [{"jour": "2026-03-08", "domaine": "bibliothèques", "nb_evenements": "6"}]
    assert town.rows("trafic") == expected
    town.store.count_traffic(lambda moment: moment.date(), date(2026, 3, 10))
    assert town.store.traffic() == {"2026-03-08": {("library",): 6}}


def test_given_names_are_written_as_the_national_schema_wants_them(town: Town) -> None:
    """Capitals become names; buckets, rare names, and names that its pattern cannot write are absent."""
    names = [
        ("1", "JEAN-PIERRE", 12),
        ("1", "N'GOLO", 3),
        ("2", "ZOË", 2),
        ("1", "FAÑCH", 7),
        ("2", "_PRENOMS_RARES", 44),
    ]
    rows = [{"sexe": s, "preusuel": n, "annais": "2024", "nombre": str(c)} for s, n, c in names]
    town.supply("prenoms", rows)
    town.go()
    assert [(row["ENFANT_PRENOM"], row["NOMBRE_OCCURRENCES"]) for row in town.rows("prenoms")] == [
        ("Jean-Pierre", "12"),
        ("N'Golo", "3"),
    ]


def test_what_the_kitchen_leaves_empty_is_taken_from_what_the_city_declared(town: Town) -> None:
    """The restaurant's name, by its SIRET; a column that nobody fills is told in the report."""
    town.say(CanteenDescribed(siret="21380185500015", name="Cantine Ampère"), "ma_cantine:21380185500015")
    town.supply("menus", [DISH])
    town.go()
    (row,) = town.rows("menus")
    assert (row["menuRestaurantNom"], row["menuPlatRegime"]) == ("Cantine Ampère", '["sans porc "]')
    assert town.problems == {}


def test_a_wrong_row_is_named_without_its_value_and_replaces_nothing(town: Town) -> None:
    """The dataset is refused, the old file stays, the others go on."""
    town.supply("menus", [{**DISH, "menuRestaurantNom": "Ampère"}])
    town.go()
    before = town.path("menus").read_bytes()
    town.supply("menus", [{**DISH, "menuRestaurantNom": "Ampère", "menuCollSiret": "21380185500016"}])
    town.lend("BMA", "LIVRE", 12)
    town.go()
    assert "menuCollSiret (french-siret-value, line 2)" in town.problems["menus"]
    assert "21380185500016" not in town.problems["menus"]
    assert town.path("menus").read_bytes() == before
    assert town.rows("prets")


def test_a_supplied_file_that_is_no_table_is_refused(town: Town) -> None:
    """Another encoding, a cell too few, a column that nobody knows: each names its remedy."""
    for content, words in ((b"a\xe9;b\n", "UTF-8"), (b"a;b\n1\n", "line 2"), (b"a;b\n1;2\n", "column")):
        town.settings.supplied.mkdir(exist_ok=True)
        (town.settings.supplied / "menus.csv").write_bytes(content)
        town.go()
        assert words in town.problems["menus"]


def test_the_same_facts_give_the_same_files_and_nothing_is_written_twice(town: Town) -> None:
    """Also after a restart; the log has one line, with the hash of the file."""
    town.lend("BMA", "LIVRE", 12)
    town.go()
    wrote = len(town.wrote)
    town.go()
    assert len(town.wrote) == wrote
    data = town.path("prets").read_bytes()
    town.path("prets").unlink()
    town.again()
    town.go()
    assert town.path("prets").read_bytes() == data
    (line,) = town.rows("prets", 3)
    package = json.loads((town.settings.folder / "datapackage.json").read_text("utf-8"))
    hashes = {resource["name"]: resource.get("hash") for resource in package["resources"]}
    assert hashes["prets"] == f"sha256:{line['sha256']}"


def test_the_catalogues_name_what_is_there_and_nothing_is_left_beside(town: Town) -> None:
    """Data Package, DCAT and SCDL: every file they name exists."""
    town.say(DISRUPTION, "metromobilite:SEM_1")
    town.go()
    folder = town.settings.folder
    package = json.loads((folder / "datapackage.json").read_text("utf-8"))
    assert all((folder / resource["path"]).is_file() for resource in package["resources"])
    document = json.loads((folder / "catalog.jsonld").read_text("utf-8"))
    listed = {dataset["dct:identifier"] for dataset in document["dcat:dataset"]}
    assert listed == {row["ID"] for row in town.rows("catalogue")} | {"catalogue"}
    for dataset in document["dcat:dataset"]:
        for distribution in dataset["dcat:distribution"]:
            path = distribution["dcat:downloadURL"]["@id"].removeprefix("https://ville.example/donnees/")
            assert (folder / path).is_file()
    assert not list(folder.rglob(".*"))
    report = json.loads(town.path("perturbations", 2).read_text("utf-8"))
    assert report["report"]["valid"]
    assert report["report"]["stats"]["rows"] == 1


def test_a_page_shows_each_dataset_and_escapes_what_vendors_say(town: Town) -> None:
    """Preview, licence, freshness and downloads; no script."""
    town.say(DISRUPTION, "metromobilite:SEM_1")
    town.lend("BMA", "LIVRE", 12)
    town.go()
    page = (town.settings.folder / "perturbations.html").read_text("utf-8")
    assert "&lt;1&gt;" in page
    assert "<script" not in page
    for word in ("Licence Ouverte", "mardi 10 mars 2026", "38185-GRE/Transport/siri/"):
        assert word in page
    assert "<svg" in (town.settings.folder / "prets.html").read_text("utf-8")
    index = (town.settings.folder / "index.html").read_text("utf-8")
    assert all(f'href="{name}.html"' in index for name in town.turn.exports)


@given(st.dictionaries(st.dates(date(2020, 1, 1), date(2030, 1, 1)), st.integers(1, 10**9), min_size=1, max_size=40))
def test_a_plot_stays_within_its_frame(days: Mapping[date, int]) -> None:
    """Whatever the counts."""
    dataset = catalogue.datasets()["trafic"]
    rows = [{"jour": day.isoformat(), "domaine": "d", "nb_evenements": str(count)} for day, count in days.items()]
    for bar in bars(Export(dataset, rows, "", (), ())):
        assert 0 <= bar.x <= bar.x + bar.width <= 640
        assert 0 <= bar.y <= bar.y + bar.height <= 156.1


@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)), st.integers(0, 60))
def test_no_period_is_over_before_its_last_day(day: date, settle: int) -> None:
    """Day, month and year alike."""
    for length in (10, 7, 4):
        period = day.isoformat()[:length]
        assert not is_over(period, day + timedelta(days=settle), settle)
        assert is_over(period, day + timedelta(days=367 + settle), settle)


def test_a_new_address_of_a_disruption_reaches_its_feeds(town: Town) -> None:
    """Whatever a feed tells, the table tells too: a change of either writes both."""
    town.say(DISRUPTION, "metromobilite:SEM_1")
    town.go()
    town.say(replace(DISRUPTION, url="https://plan.example/1"), "metromobilite:SEM_1")
    town.go()
    feed = town.settings.folder / "38185-GRE" / "Transport" / "siri" / "TRANSPORT_PERTURBATIONS_VDG.xml"
    assert "https://plan.example/1" in feed.read_text("utf-8")


@pytest.mark.parametrize("name", sorted(catalogue.datasets()))
def test_every_schema_is_understood(name: str) -> None:
    """All its types and checks are known; a table without rows fits."""
    dataset = catalogue.datasets()[name]
    assert check(dataset.schema, dataset.columns, []) == []
    blank = dict.fromkeys(dataset.columns, "")
    required = [field["name"] for field in dataset.schema["fields"] if field.get("constraints", {}).get("required")]
    assert {misfit.field for misfit in check(dataset.schema, dataset.columns, [blank])} >= set(required)


@settings(max_examples=examples(25), deadline=None)
@given(
    st.sampled_from(["2026-03-08", "2026-02-31", "", "x"]),
    st.sampled_from(["transport", "", "2"]),
    st.sampled_from(["7", "0", "-1", "1,5", "", "sept"]),
)
def test_both_checks_agree(day: str, domain: str, count: str) -> None:
    """Ours and frictionless say the same of every row."""
    dataset = catalogue.datasets()["trafic"]
    row = {"jour": day, "domaine": domain, "nb_evenements": count}
    text = f'jour,domaine,nb_evenements\n"{day}","{domain}","{count}"\n'
    assert bool(check(dataset.schema, dataset.columns, [row])) == bool(_second_opinion(dataset.schema, text))


# -- the second check ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Adam", "Jean-Pierre", "N'Golo", "Zoë"])
def test_names_that_pass(name: str) -> None:
    """As the national schema says it; and capitals lead there."""
    schema = {"fields": [f for f in catalogue.datasets()["prenoms"].schema["fields"] if f["name"] == "ENFANT_PRENOM"]}
    assert check(schema, ["ENFANT_PRENOM"], [{"ENFANT_PRENOM": name}]) == []
    assert capitalised(name.upper()) == name


@pytest.mark.parametrize("name", ["Fañch", "Iñaki", "Šárka", "N’Golo", "Jean Pierre", "ADAM"])
def test_names_that_fail(name: str) -> None:
    """What the pattern cannot write."""
    schema = {"fields": [f for f in catalogue.datasets()["prenoms"].schema["fields"] if f["name"] == "ENFANT_PRENOM"]}
    (misfit,) = check(schema, ["ENFANT_PRENOM"], [{"ENFANT_PRENOM": name}])
    assert (misfit.row, misfit.code) == (2, "constraint-error")


@pytest.mark.parametrize(
    ("custom", "row", "code"),
    [
        (("french-siret-value", {"column": "a"}), {"a": "21380185500016"}, "french-siret-value"),
        (("french-siret-value", {"column": "a"}), {"a": "21380185500015"}, None),
        (("one-of-required", {"column1": "a", "column2": "b"}), {}, "one-of-required"),
        (("one-of-required", {"column1": "a", "column2": "b"}), {"b": "1"}, None),
        (("cohesive-columns-value", {"column": "a", "othercolumns": ["b"]}), {"a": "1"}, "cohesive-columns-value"),
        (("cohesive-columns-value", {"column": "a", "othercolumns": ["b"]}), {"a": "1", "b": "2"}, None),
        (("year-interval-value", {"column": "a"}), {"a": "2024"}, "year-interval-value"),
        (("year-interval-value", {"column": "a", "allow-year-only": "yes"}), {"a": "2024"}, None),
        (("year-interval-value", {"column": "a"}), {"a": "2025/2024"}, "year-interval-value"),
        (("year-interval-value", {"column": "a"}), {"a": "2024/2025"}, None),
    ],
)
def test_the_national_checks(custom: tuple[str, Any], row: dict[str, str], code: str | None) -> None:
    """Each finds what it is for, and nothing else."""
    fields = [{"name": "a", "type": "string"}, {"name": "b", "type": "string"}]
    schema = {"fields": fields, "custom_checks": [{"name": custom[0], "params": custom[1]}]}
    assert [misfit.code for misfit in check(schema, ["a", "b"], [row])] == ([code] if code else [])


@given(st.text("0123456789", min_size=14, max_size=14), st.integers(0, 13), st.integers(1, 9))
def test_one_wrong_digit_is_no_siret(digits: str, place: int, step: int) -> None:
    """That is what Luhn is for."""
    if is_siret(digits) and not digits.startswith("356000000"):
        other = digits[:place] + str((int(digits[place]) + step) % 10) + digits[place + 1 :]
        assert not is_siret(other)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("integer", "12", "1,5"),
        ("number", "1.5", "1,5"),
        ("date", "2026-02-28", "2026-02-31"),
        ("datetime", "2026-02-28T08:00:00Z", "28/02/2026"),
        ("yearmonth", "2026-02", "2026-13"),
        ("year", "2026", "26"),
        ("array", '["a"]', "a"),
        ("boolean", "true", "oui"),
    ],
)
def test_types(kind: str, good: str, bad: str) -> None:
    """One of each that fits, one that does not."""
    schema = {"fields": [{"name": "a", "type": kind}]}
    assert check(schema, ["a"], [{"a": good}]) == []
    assert [misfit.code for misfit in check(schema, ["a"], [{"a": bad}])] == ["type-error"]

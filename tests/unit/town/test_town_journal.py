"""Show that the journal says what could be observed, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.testing.town.journal import Account, Journal


class Story:
    """Writes a journal as simulators do."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.facts = 0
        self.answers = 0

    def said(self, type: str, **fields: object) -> str:
        self.facts += 1
        fact = f"{type}{self.facts}"
        base = {"product": "lib", "subject": "lib:1", "entity": "x", "feed": "patron", "key": "lib:1"}
        self.journal.write("said", fact=fact, type=type, **{**base, **fields})
        return fact

    def over(self, fact: str) -> None:
        self.journal.write("over", fact=fact)

    def served(self, **fields: object) -> str:
        self.answers += 1
        answer = f"a{self.answers}"
        base = {"product": "lib", "feed": "patron", "key": "lib:1", "instance": "i", "facts": []}
        self.journal.write("served", answer=answer, **{**base, **fields})
        return answer

    def observable(self, *arrived: str) -> list[str]:
        return [said.fact for said in Account.of(self.journal.entries()).seen(arrived).observable]


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(Journal(tmp_path / "journal.jsonl"))


def test_fact_is_seen_by_an_answer_while_it_lasts(story: Story) -> None:
    early = story.served()
    loan = story.said("LoanStarted")
    during = story.served()
    story.over(loan)
    late = story.served()
    assert story.observable(during) == [loan]
    assert story.observable(early, late) == []


def test_answer_for_somebody_else_shows_nothing(story: Story) -> None:
    story.said("LoanStarted")
    assert story.observable(story.served(key="lib:2"), story.served(feed="other")) == []


def test_nobody_sees_the_return_of_a_loan_that_nobody_saw(story: Story) -> None:
    loan = story.said("LoanStarted")
    between = story.served()
    story.over(loan)
    returned = story.said("LoanReturned", after=loan)
    final = story.served()
    assert story.observable(final) == []
    assert story.observable(between, final) == [loan, returned]


def test_return_and_new_loan_between_two_polls_are_hidden(story: Story) -> None:
    loan = story.said("LoanStarted")
    first = story.served()
    story.over(loan)
    returned = story.said("LoanReturned", after=loan, why="back and out again between two polls")
    story.over(returned)
    story.said("LoanStarted", after=returned, why="back and out again between two polls")
    second = story.served()
    seen = Account.of(story.journal.entries()).seen({first, second})
    assert [said.fact for said in seen.observable] == [loan]
    assert {why for _, why in seen.hidden} == {"back and out again between two polls"}


def test_update_needs_that_the_first_form_was_seen_before(story: Story) -> None:
    published = story.said("Published")
    updated = story.said("Updated", after=published)
    after = story.served()
    assert story.observable(after) == [published]
    again = story.said("Updated", after=published)
    last = story.served()
    assert story.observable(after, last) == [published, again] or story.observable(after, last) == [
        published,
        again,
    ]
    assert updated not in story.observable(after, last)


def test_unless_hides_what_was_seen_as_something_else(story: Story) -> None:
    returned = story.said("LoanReturned")
    story.over(returned)
    renewed = story.said("LoanRenewed", unless=returned)
    assert story.observable(story.served()) == [renewed]


def test_damaged_answer_shows_nothing(story: Story) -> None:
    story.said("LoanStarted")
    answer = story.served()
    story.journal.write("fault", product="lib", fault="truncate", path="/", answer=answer)
    assert story.observable(answer) == []


def test_callback_shows_what_it_names(story: Story) -> None:
    eaten = story.said("MealEaten")
    story.over(eaten)
    callback = story.served(facts=[eaten], feed="callback")
    assert story.observable(callback) == [eaten]
    assert story.observable() == []


def test_queue_facts_are_always_observable_unless_the_town_says_why_not(story: Story) -> None:
    told = story.said("RecordRequested", feed=None, key=None)
    story.said("DeathDeclared", feed=None, key=None, observable=False, why="garbage")
    assert story.observable() == [told]


def test_journal_goes_on_behind_its_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.write("note", what="été")
    journal.close()
    with path.open("ab") as file:
        file.write(b'{"n": 2, "half')
    again = Journal(path)
    assert again.write("note", what="b") == 2
    again.close()
    assert [entry["what"] for entry in Journal(path).entries()] == ["été", "b"]

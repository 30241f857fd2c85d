"""What is written is true: reference pages are fresh, links resolve, commands that are named exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from hub import catalogue
from hub.catalogue import ROOT
from hub.cli import docs
from hub.cli.main import main
from hub.config import check_connectors, load

GUIDES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs" / "guide").glob("*.md")),
]
PAGES = [*GUIDES, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("[!g]*/*.md"))]
FENCE = re.compile(r"^```[^\n]*\n.*?^```$", re.MULTILINE | re.DOTALL)

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
every_guide = pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.relative_to(ROOT).as_posix())


def anchors(page: Path) -> set[str]:
    """Name the headings as a forge does, and the anchors that are written out."""
    text = FENCE.sub("", page.read_text("utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


def commands(text: str) -> Iterator[str]:
    """Yield what is shown as code: spans, and lines of fenced blocks."""
    for block in FENCE.findall(text):
        yield from block.splitlines()[1:-1]
    yield from re.findall(r"`([^`\n]+)`", FENCE.sub("", text))


def test_reference_pages_are_fresh() -> None:
    """`hub docs --check` has nothing to report."""
    ended = CliRunner().invoke(docs.command, ["--check"])
    assert ended.exit_code == 0, ended.output


def test_stale_page_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check says which file, and what to do."""
    page = ROOT / "docs" / "reference" / "codes.md"
    monkeypatch.setattr(docs, "pages", lambda: {page: "something else"})
    ended = CliRunner().invoke(docs.command, ["--check"])
    assert ended.exit_code == 1
    assert "docs/reference/codes.md: is stale; run `make docs`" in ended.output


def test_pages_are_the_same_each_time() -> None:
    """Nothing of chance, of the clock or of this machine gets into a page."""
    assert docs.pages() == docs.pages()
    assert not [path for path, text in docs.pages().items() if str(ROOT) in text or str(Path.home()) in text]


def test_index_names_every_decision() -> None:
    """No decision is forgotten."""
    folder = ROOT / "docs" / "adr"
    index = (folder / "index.md").read_text("utf-8")
    assert set(re.findall(r"\]\((\d{4}-[^)]+\.md)\)", index)) == {path.name for path in folder.glob("[0-9]*.md")}


def test_two_decisions_of_one_number_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A number that is missing may be under way elsewhere; one that is there twice would be cited for both."""
    folder = tmp_path / "docs" / "adr"
    folder.mkdir(parents=True)
    monkeypatch.setattr(catalogue, "ROOT", tmp_path)
    for number, name in ((1, "one"), (4, "four")):
        (folder / f"{number:04}-{name}.md").write_text(f"# {number}. It is so\n\nStatus: accepted\n", "utf-8")
    assert any("[4](0004-four.md)" in block for block in docs._decisions())
    (folder / "0004-other.md").write_text("# 4. It is so too\n\nStatus: accepted\n", "utf-8")
    with pytest.raises(docs.BrokenPage, match=r"0004-other\.md: should begin with `# 5"):
        list(docs._decisions())


@every_page
def test_relative_links_resolve(page: Path) -> None:
    """A link leads to a file that is there, and an anchor to a heading."""
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text("utf-8"))):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@every_guide
def test_make_targets_exist(page: Path) -> None:
    """Every `make X` that a guide names is in the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {word for line in commands(page.read_text("utf-8")) for word in re.findall(r"\bmake ([a-z]+)", line)}
    assert named <= targets


@every_guide
def test_hub_commands_exist(page: Path) -> None:
    """Every `hub X` that a guide names is a command, with the options that are named."""
    for line in commands(page.read_text("utf-8")):
        for said in re.findall(r"(?:^|[$/;|] *)hub ((?:-|[a-z])[^|;#]*)", line.strip()):
            words = [word for word in shlex.split(said) if word not in ("…", "...")]
            _follow(main, words, line)


def _follow(command: click.Command, words: list[str], line: str) -> None:
    context = click.Context(command)
    options = {name: option for option in command.params for name in option.opts if isinstance(option, click.Option)}
    options["--help"] = click.Option(["--help"], is_flag=True)
    rest = iter(words)
    for word in rest:
        if word.startswith("--"):
            option = options.get(word.partition("=")[0])
            assert option is not None, f"{line}: {word}"
            if not option.is_flag and "=" not in word:
                next(rest, None)
        elif isinstance(command, click.Group):
            below = command.get_command(context, word)
            assert below is not None, f"{line}: {word}"
            _follow(below, list(rest), line)
            return


def test_settings_shown_in_guides_are_settings(tmp_path: Path) -> None:
    """The TOML of the guides, put together, loads."""
    blocks = [
        block
        for page in GUIDES
        # Its connector is only there where the page is followed, which checks its settings too.
        if page.name != "first-connector.md"
        for block in re.findall(r"^```toml\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    ]
    assert blocks
    (tmp_path / "city.toml").write_text("\n".join(blocks), "utf-8")
    loaded = load(str(tmp_path / "city.toml"), environment={}, folder=tmp_path)
    assert loaded.settings.kafka.size == "town"
    assert not check_connectors(loaded, catalogue.connectors())

"""What the documents tell a reader to type and to open is there."""

import pathlib
import re
import shlex

import pytest
from absl import flags
from ml_collections import config_flags

from sor_jax import cli, commands

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md")) + sorted((ROOT / "data").rglob("*.md"))
COMMAND = re.compile(
    r"(?:^    |`)((?:XLA_FLAGS=\S+ |\w+=\S+ )*(?:srun )?(?:python|make|sor-jax) .*)"
)
OF_A_READER = ("..", "...", "CONFIG", "FILE", "PATH")


def commands_of(page):
    """(line number, words) of the commands of a page; lines that end in a backslash go on."""
    text = page.read_text().replace("\\\n", " ")
    for number, line in enumerate(text.splitlines(), 1):
        if found := COMMAND.search(line):
            command = re.split(r"`|\s#\s|\s{3,}#|\|", found[1])[0]
            yield number, shlex.split(command.replace("[", " ").replace("]", " "))


def cases():
    for page in PAGES:
        for number, words in commands_of(page):
            name = f"{page.relative_to(ROOT)}:{number}"
            yield pytest.param(words, id=f"{name}-{' '.join(words)[:60]}")


def words_of(pattern, words):
    return [found for word in words if (found := re.fullmatch(pattern, word))]


@pytest.mark.parametrize("words", cases())
def test_a_command_names_what_there_is(words):
    while "=" in words[0] or words[0] == "srun":
        words = words[1:]
    if words[0] == "make":
        targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
        assert {word for word in words[1:] if "=" not in word} <= targets
    elif words[0] == "python" and words[1] == "-m":
        module = ROOT / words[2].replace(".", "/")
        outside = words[2].split(".")[0] not in ("sor_jax", "experiments", "data")
        assert outside or module.is_dir() or module.with_suffix(".py").is_file()
    elif words[0] == "python" and words[1].endswith(".py"):
        assert (ROOT / words[1]).is_file()
    elif words[0] == "sor-jax":
        cli.parser().parse_args(words[1:])  # exits at what there is not
    config = [words[i + 1] for i, word in enumerate(words[:-1]) if word == "--config"]
    config += [found[1] for found in words_of(r"--config=(.*)", words)]
    for value in config:
        if value in OF_A_READER or value.split(":")[-1] == "ROW":
            continue
        given = [f"--config={value}"]
        given += [
            w for w in words if w.startswith("--config.") and "PATH" not in w and ".." not in w
        ]
        values = flags.FlagValues()
        given = ["docs", *commands.find_config(given)]
        config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=given)
        values(given)  # raises for a field that there is none of


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name}: {link}"
        if anchor and there.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", there.read_text(), flags=re.M)
            slugs = [
                re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings
            ]
            assert anchor in slugs, f"{page.name}: {link}"


def test_the_readme_is_short():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 150 and max(map(len, lines)) <= 120

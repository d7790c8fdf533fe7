"""The documentation is true of the checkout: links resolve, files that it names exist, every setting is listed."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from plain_settings import plain_settings

import joule
from agent.configurator import kinds
from agent.configurator.dotted_names import flatten
from agent.configurator.settings import KIND_SECTIONS, PRESETS, Config
from agent.perception.factory import EncoderKind
from joule.cli.options import field_help
from joule.settings import FREE
from joule.sweeping.plan import read_plan
from joule.sweeping.trials import grid_trials

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TO_WRITE: tuple[str, ...] = ()
"""Files that a page tells its reader to write."""
FILE = re.compile(
    r"(?<![\w/.-])((?:agent|envs|planners|joule|benchmarks|tests|docs)/[\w/.-]*\.(?:py|md|csv|json|png|svg|gif|xml))"
)


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    heads = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.replace("`", "").lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_named_files_exist(page: Path) -> None:
    missing = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            missing.append(link)
    if page.name != "CHANGELOG.md":  # names files of earlier versions
        named = set(FILE.findall(page.read_text(encoding="utf-8"))) - set(TO_WRITE)
        missing += [name for name in named if not (ROOT / name).exists()]
    assert not missing, f"{page.relative_to(ROOT)}: {', '.join(sorted(missing))}"


def test_the_contract_of_an_encoder_is_that_of_the_code() -> None:
    page = (ROOT / "docs/guide/regularizers.md").read_text(encoding="utf-8")
    for method in (EncoderKind.accepts, EncoderKind.normalizer, EncoderKind.encoder):
        _, *parameters = inspect.signature(method).parameters
        assert f"| `{method.__name__}({', '.join(parameters)})` |" in page


def test_the_python_page_has_every_name_and_says_which_commands_are_none() -> None:
    page = (ROOT / "docs/guide/python-api.md").read_text(encoding="utf-8")
    rows = "\n".join(line for line in page.splitlines() if line.startswith("| `joule."))
    assert not [name for name in joule.__all__ if not re.search(rf"`joule\.{name}\b", rows)]
    first = next(line for line in page.splitlines() if line.startswith("`import joule` gives")).partition(
        ". "
    )[0]
    reference = (ROOT / "docs/api/joule.md").read_text(encoding="utf-8")
    assert not [
        name for name in joule.__all__ if not re.search(rf"^::: .*\.{name}$", reference, re.MULTILINE)
    ]
    commands = {path.stem for path in (ROOT / "joule/commands").glob("[!_]*.py")}
    assert set(re.findall(r"`joule (\w+)`", first)) == commands - set(joule.__all__)


def settings_of(config: type) -> Iterator[tuple[str, str]]:
    """Name and help of every setting, with those of the kinds of planners and regularisers."""
    for name, section, field, _ in plain_settings(config):
        yield name, field_help(section)[field.name]
    for section_name in KIND_SECTIONS:
        for of_kinds in kinds.all_settings(section_name).values():
            for kind, setting in of_kinds:
                yield f"{kind}` | `{section_name}.{setting.name}", setting.text


def test_the_settings_page_has_every_setting_with_its_help() -> None:
    rows = (ROOT / "docs/guide/settings.md").read_text(encoding="utf-8").splitlines()
    wrong = [
        f"{name}: {text}"
        for name, text in settings_of(Config)
        if not any(row.startswith(f"| `{name}` |") and row.endswith(f"| {text} |") for row in rows)
    ]
    default = flatten(Config())
    for preset, name, value in [(p, *item) for p, changes in PRESETS.items() for item in changes.items()]:
        before = default.get(name, kinds.settings_of("planner", "mppi").get(name.rpartition(".")[2]))
        before = before.default if isinstance(before, kinds.Setting) else before
        if f"| `{name}` | {before:,g} | {value:,g} |" not in rows:
            wrong.append(f"{name}: {before:,g} and {value:,g} with the preset {preset}")
    assert not wrong, "docs/guide/settings.md says something else than --help:\n" + "\n".join(wrong)


@pytest.mark.parametrize("package", ["agent", "planners", "envs", "joule"])
def test_architecture_names_each_file_beside_the_folders(package: str) -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    files = {path.name for path in (ROOT / package).glob("*.py")} - {"__init__.py"}
    missing = [
        name for name in sorted(files) if f"`{name}`" not in page and f"`{package}/{name}`" not in page
    ]
    assert not missing


def test_the_list_of_short_answers_has_each_of_them() -> None:
    page = ROOT / "docs/guide/how-do-i.md"
    linked = set(re.findall(r"\]\(#([^)]+)\)", prose(page)))
    title = "how-do-i-"
    assert anchors(page) - linked - {title} == set()


def test_training_names_what_a_resume_may_change_without_a_word() -> None:
    page = (ROOT / "docs/guide/training.md").read_text(encoding="utf-8")
    section = page.split("## Stop and resume")[1].split("\n## ")[0]
    missing = [name for name in FREE if f"`--{name.replace('_', '-')}`" not in section]
    assert not missing


def test_the_recipe_of_a_sweep_counts_its_runs(tmp_path: Path) -> None:
    page = (ROOT / "docs/cookbook/sweep-on-a-cluster.md").read_text(encoding="utf-8")
    (tmp_path / "sweep.json").write_text(page.split("```json\n")[1].split("```")[0])
    trials, _ = grid_trials(read_plan(tmp_path / "sweep.json"), tmp_path)
    assert re.findall(r"which are (\d+) runs", page) == [str(len(trials))]


def test_the_citation_names_the_next_version() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (version,) = re.findall(r'^fallback_version = "(.*)\.dev0"$', project, flags=re.MULTILINE)
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()
    assert f"version: {version}" in citation

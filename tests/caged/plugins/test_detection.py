"""The corpus of planted findings: each inspector finds all that is planted for it, and refuses no clean image.

All that is in files lies in one image, which goes once through one plan with all inspectors of files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest

from douane.declared import DeclaredImage
from douane.engine import RunOptions, inspect_image, load_plan, open_source
from douane.report import Report, Verdict
from douane.sandbox import Tier
from support.clamd_servers import MARK, real_clamd
from support.plans import plan, plugin
from support.planted_files import IN_JOURNAL, RULES, archives, make_disk, marked_files
from support.planted_secrets import Maker, Planted, planted_secrets


def check(folder: Path, image: Path, *plugins: str) -> Report:
    path = folder / "plan.toml"
    path.write_text(plan(*plugins, digests=()))
    options = RunOptions(tier=Tier.FULL, emit=lambda *line: None)
    source = open_source(str(image), size=None)
    return inspect_image(
        load_plan(str(path), extra=(), settings=()), DeclaredImage(name="image"), source, None, options
    )


def more_secrets() -> list[Planted]:
    """Secrets whose kind does not depend on the path, anew and elsewhere."""
    make = Maker(Random(2))
    return [
        Planted(item.rule, f"/home/user{item.path}", item.content, item.secret)
        for item in [*make.tokens(), *make.clouds()]
        if item.path.startswith("/srv/")
    ]


SECRETS = [*planted_secrets(), *more_secrets()]
MARKED, ARCHIVES = marked_files(), archives(MARK)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Report]:
    """Of the image with everything."""
    folder = tmp_path_factory.mktemp("detection")
    files = {**MARKED, **ARCHIVES, **{item.path: item.content for item in SECRETS}}
    image = make_disk(folder, files)
    (folder / "rules.yar").write_text(RULES)
    with TemporaryDirectory(dir="/tmp") as name, real_clamd(Path(name)) as socket:
        clamd = {"clamd": f"unix:{socket}", "conf": f"file:{name}/clamd.conf"}
        yield check(
            folder,
            image,
            plugin("secrets", mode="warn"),
            plugin("yara", mode="warn", grants={"rules": f"file:{folder}/rules.yar"}),
            plugin("clamav", mode="warn", config={"max_database_age": 0}, grants=clamd),
        )


def places(report: Report, name: str) -> set[str]:
    """The paths of what an inspector has found."""
    verdict: Verdict = next(verdict for verdict in report.verdicts if verdict.plugin == name)
    assert verdict.outcome == "refused", verdict
    return {entry["place"].partition(":")[2] for entry in verdict.documents[name]["matches"]}


def test_all_secrets_are_found(report: Report) -> None:
    assert places(report, "secrets") == {item.path for item in SECRETS}


def test_all_marks_are_found_also_those_that_only_the_journal_has(report: Report) -> None:
    expected = {path.replace("\n", "\\n") for path in MARKED}
    assert places(report, "yara") == expected | set(IN_JOURNAL)


def test_all_archives_with_a_virus_are_found(report: Report) -> None:
    assert places(report, "clamav") == set(ARCHIVES)

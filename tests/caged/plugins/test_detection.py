"""The corpus of planted findings: each inspector finds all that is planted for it, and refuses no clean image.

All that is in files lies in one image, which goes once through one plan with all inspectors of files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest

from douane.advisories import building
from douane.declared import DeclaredImage
from douane.engine import RunOptions, inspect_image, load_plan, open_source
from douane.plugins.packages.clock import today
from douane.report import Report, Verdict
from douane.sandbox import Tier
from support.clamd_servers import MARK, real_clamd
from support.plans import plan, plugin
from support.planted_baseline import FAULTS, LOADER, Fault, build
from support.planted_files import IN_JOURNAL, RULES, archives, make_disk, marked_files
from support.planted_packages import advisory, affected, osv_zip, planted_tree
from support.planted_secrets import Maker, Planted, planted_secrets
from support.sizes import part


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


COVERED = {"uncovered": "allow"}
"""The database has nothing of some of the systems."""

SECRETS = [*planted_secrets(), *more_secrets()]
MARKED, ARCHIVES = marked_files(), archives(MARK)


PACKAGES = [f"planted-{number}" for number in range(60)]
VULNERABLE = PACKAGES[1::2]

ALONE = ({"unknown-system"}, {"first-boot", "cloud-init-state"}, {"selinux-autorelabel", "selinux-labels"})
"""Rules that need an image without the others: what is not run has no state, and what is labelled anew no labels."""


def status(*, repaired: bool = False) -> str:
    """A list of Debian's packages: every second one is vulnerable, or none."""
    version = {0: "1:1.0-2", 1: "1:1.0-2" if repaired else "1:1.0~rc1-2"}
    return "\n".join(
        f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version[number % 2]}\n"
        for number, name in enumerate(PACKAGES)
    )


def cve(folder: Path) -> dict[str, str]:
    """The grants of `packages`: the database that `douane cve build` makes."""
    systems = [f"Debian:{release}" for release in (12, 13)]
    records = [
        advisory(f"CVE-2026-{name}", *(affected(system, name, "fixed 1:1.0-1") for system in systems))
        for name in PACKAGES
    ]
    osv_zip(folder / "osv.zip", records)
    building.build([str(folder / "osv.zip")], str(folder / "cve.sqlite"), today())
    return {"cve": f"file:{folder}/cve.sqlite"}


def faulty_images() -> list[list[Fault]]:
    """Faults of the baseline that can be in one image together: of one profile, a rule and a path once each."""
    images: list[list[Fault]] = []
    for fault in FAULTS.values():
        fitting = [group for group in images if all(can_be_together(fault, other) for other in group)]
        if fitting:
            fitting[0].append(fault)
        else:
            images.append([fault])
    return sorted(images, key=len, reverse=True)


def can_be_together(one: Fault, other: Fault) -> bool:
    """See `faulty_images`."""
    paths = [{*fault.files, *fault.modes, *fault.links, *fault.attributes} for fault in (one, other)]
    rules = [{fault.rule, *fault.also} for fault in (one, other)]
    if one.profile != other.profile or any(pair <= rules[0] | rules[1] for pair in ALONE):
        return False
    return paths[0].isdisjoint(paths[1]) and rules[0].isdisjoint(rules[1])


def together(faults: list[Fault]) -> Fault:
    """All of them as one."""
    fault = Fault("", profile=faults[0].profile)
    for item in faults:
        fault = fault._replace(
            files={**fault.files, **item.files},
            modes={**fault.modes, **item.modes},
            links={**fault.links, **item.links},
            attributes={**fault.attributes, **item.attributes},
            loader=item.loader if item.loader != LOADER else fault.loader,
        )
    return fault


@pytest.fixture(scope="module")
def clamd() -> Iterator[dict[str, str]]:
    """The grants of a real clamd."""
    with TemporaryDirectory(dir="/tmp") as folder, real_clamd(Path(folder)) as socket:
        yield {"clamd": f"unix:{socket}", "conf": f"file:{folder}/clamd.conf"}


def site(folder: Path, clamd: dict[str, str], mode: str) -> list[str]:
    """The inspectors of files."""
    (folder / "rules.yar").write_text(RULES)
    return [
        plugin("packages", mode=mode, grants=cve(folder), config=COVERED),
        plugin("secrets", mode=mode),
        plugin("yara", mode=mode, grants={"rules": f"file:{folder}/rules.yar"}),
        plugin("clamav", mode=mode, config={"max_database_age": 0}, grants=clamd),
    ]


@pytest.fixture(scope="module")
def report(clamd: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Of the image with everything that is in files."""
    folder = tmp_path_factory.mktemp("detection")
    files = {path: text.encode() for path, text in planted_tree(status()).items()}
    files |= {**MARKED, **ARCHIVES, **{item.path: item.content for item in SECRETS}}
    return check(folder, make_disk(folder, files), *site(folder, clamd, "warn"))


def places(report: Report, name: str) -> set[str]:
    """The paths of what an inspector has found."""
    verdict: Verdict = next(verdict for verdict in report.verdicts if verdict.plugin == name)
    assert verdict.outcome == "refused", verdict
    return {entry["place"].partition(":")[2] for entry in verdict.documents[name]["matches"]}


def test_all_secrets_are_found(report: Report) -> None:
    assert places(report, "secrets") == {item.path for item in SECRETS}


def test_all_vulnerable_packages_are_found_and_no_other(report: Report) -> None:
    assert places(report, "packages") == {"/var/lib/dpkg/status"}
    rows = next(verdict for verdict in report.verdicts if verdict.plugin == "packages").documents["vulnerabilities"][
        "rows"
    ]
    assert sorted(row[2] for row in rows) == sorted(VULNERABLE)


def test_all_marks_are_found_also_those_that_only_the_journal_has(report: Report) -> None:
    expected = {path.replace("\n", "\\n") for path in MARKED}
    assert places(report, "yara") == expected | set(IN_JOURNAL)


def test_all_archives_with_a_virus_are_found(report: Report) -> None:
    assert places(report, "clamav") == set(ARCHIVES)


@pytest.mark.parametrize("faults", part(faulty_images(), 5), ids=lambda faults: f"{faults[0].profile}-{len(faults)}")
def test_all_faults_of_an_image_are_found_together(tmp_path: Path, faults: list[Fault]) -> None:
    image = build(tmp_path / "disk.img", faults[0].profile, together(faults))
    rules = {rule for fault in faults for rule in (fault.rule, *fault.also)}
    config: dict[str, object] = {"rules": dict.fromkeys(sorted(rules), "refuse")}
    if faults[0].profile == "linux" and "unknown-system" not in rules:
        config["profile"] = "linux"
    verdict = check(tmp_path, image, plugin("baseline", mode="warn", config=config)).verdicts[0]
    assert verdict.outcome == "refused", verdict
    assert {entry["code"].removeprefix("baseline-") for entry in verdict.documents["baseline"]["matches"]} == rules


@pytest.mark.parametrize("profile", ["debian", "ubuntu", "fedora", "alpine"])
def test_no_inspector_refuses_or_warns_of_a_clean_image(tmp_path: Path, clamd: dict[str, str], profile: str) -> None:
    files = {"var/lib/dpkg/status": status(repaired=True)}
    image = build(tmp_path / "disk.img", profile, Fault("", files, profile=profile))
    report = check(tmp_path, image, *site(tmp_path, clamd, "enforce"), plugin("format"), plugin("baseline"))
    assert (report.outcome, report.code) == ("accepted", None), report
    assert [verdict.warnings for verdict in report.verdicts] == [[]] * len(report.verdicts)

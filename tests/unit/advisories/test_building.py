"""`douane cve build`: from files of OSV to the database."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from douane.advisories import building
from douane.advisories.building import build
from douane.advisories.cvss import score_v2, score_v3, severity_of
from douane.cli.cve_cmd import cve
from douane.errors import PlanError
from douane.plugins.packages.schema import SEVERITIES
from douane.plugins.packages.systems import system_of_ecosystem, system_of_guest
from support.planted_packages import ADVISORIES, CRITICAL, MEDIUM, advisory, affected, osv_zip


def rows(tmp_path: Path, *records: dict[str, Any]) -> dict[tuple[str, str, str], tuple[str, Any]]:
    """Severity and ranges, by advisory, system and package."""
    output = tmp_path / "cve.sqlite"
    build([str(osv_zip(tmp_path / "osv.zip", list(records)))], str(output))
    database = sqlite3.connect(output)
    found = database.execute(
        "SELECT advisory.name, system.name, package, severity, ranges FROM affected"
        " JOIN advisory ON advisory.number = advisory JOIN system ON system.number = system"
    ).fetchall()
    database.close()
    return {
        (name, system, package): (SEVERITIES[severity], json.loads(ranges))
        for name, system, package, severity, ranges in found
    }


def test_an_advisory_becomes_a_row_for_each_system(tmp_path: Path) -> None:
    record = advisory(
        "X-1",
        affected("Debian:12", "a", "fixed 1.10-1", versions=("1.9-1", "1.11-1")),
        affected("Alpine:v3.19", "b", "last_affected 1.2-r0"),
        affected("PyPI", "My_Pkg", versions=("1.0",)),
        affected("Hex", "ignored", "fixed 1"),
    )
    assert rows(tmp_path, record) == {
        ("X-1", "debian:12", "a"): ("critical", [["i0", "f1.10-1"], ["=1.11-1"]]),
        ("X-1", "alpine:3.19", "b"): ("critical", [["i0", "l1.2-r0"]]),
        ("X-1", "pypi", "my-pkg"): ("critical", [["=1.0"]]),
    }


def test_ranges_are_sorted_and_git_is_left_out(tmp_path: Path) -> None:
    item = affected("Debian:12", "a")
    item["ranges"] = [
        {"type": "ECOSYSTEM", "events": [{"fixed": "1.10-1"}, {"introduced": "1.9-1"}]},
        {"type": "GIT", "events": [{"introduced": "abcdef"}]},
    ]
    assert rows(tmp_path, advisory("X-1", item))["X-1", "debian:12", "a"][1] == [["i1.9-1", "f1.10-1"]]


def test_the_newer_of_two_records_counts_and_a_withdrawn_one_does_not(tmp_path: Path) -> None:
    older = advisory("X-1", affected("Debian:12", "a", "fixed 1"), vector=MEDIUM)
    newer = {**advisory("X-1", affected("Debian:12", "b", "fixed 1")), "modified": "2026-11-30T00:00:00Z"}
    withdrawn = advisory("X-2", affected("Debian:12", "c"), withdrawn="2026-01-01T00:00:00Z")
    assert set(rows(tmp_path, older, newer, older, withdrawn)) == {("X-1", "debian:12", "b")}


@pytest.mark.parametrize(
    ("fields", "vector", "severity"),
    [
        ({}, CRITICAL, "critical"),
        ({}, MEDIUM, "medium"),
        ({"database_specific": {"severity": "MODERATE"}}, None, "medium"),
        ({"database_specific": {"severity": ["odd"]}}, None, "unknown"),
        ({"upstream": ["CVE-9"]}, None, "high"),
        ({"upstream": ["CVE-8"]}, None, "unknown"),
    ],
)
def test_severities(tmp_path: Path, fields: dict[str, Any], vector: str | None, severity: str) -> None:
    record = advisory("X-1", affected("Debian:12", "a"), vector=vector, **fields)
    same_cve = advisory("CVE-9", affected("npm", "z"), vector="CVSS:3.0/AV:L/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H")
    assert rows(tmp_path, record, same_cve)["X-1", "debian:12", "a"][0] == severity


def test_the_word_of_the_distribution_comes_before_the_score(tmp_path: Path) -> None:
    debian = affected("Debian:12", "a", ecosystem_specific={"urgency": "unimportant"})
    ubuntu = affected("Ubuntu:22.04:LTS", "a", severity=[{"type": "Ubuntu", "score": "negligible"}])
    malware = advisory("MAL-1", affected("npm", "a"), vector=None)
    assert {key[1]: value[0] for key, value in rows(tmp_path, advisory("X", debian, ubuntu), malware).items()} == {
        "debian:12": "low",
        "ubuntu:22.04": "low",
        "npm": "critical",
    }


def test_advisories_of_almalinux(tmp_path: Path) -> None:
    """The severity is in the summary, the vulnerabilities are in `related`; and not all are about vulnerabilities."""
    place = affected("AlmaLinux:8", "nginx", "fixed 1:1.24.0-2.module_el8.10.0+4143+ec3e7d32.alma.1")
    facts: dict[str, Any] = {
        "vector": None,
        "related": ["CVE-2026-9"],
        "summary": "Moderate: nginx:1.24 security update",
    }
    others = [advisory(name, place, **facts) for name in ("ALBA-2026:1", "ALEA-2026:1")]
    built = rows(tmp_path, advisory("ALSA-2026:5581", place, **facts), advisory("X-1", place, **facts), *others)
    assert {name: severity for (name, _, _), (severity, _) in built.items()} == {
        "ALSA-2026:5581": "medium",
        "X-1": "medium",
    }
    with sqlite3.connect(tmp_path / "cve.sqlite") as database:
        cves = dict(database.execute("SELECT name, cves FROM advisory").fetchall())
    database.close()
    assert cves == {"ALSA-2026:5581": "CVE-2026-9", "X-1": ""}, "elsewhere `related` is what is merely alike"


@pytest.mark.parametrize(
    ("vector", "score", "severity"),
    [  # of the National Vulnerability Database: CVE-2021-44228, 2014-0160, 2022-0847, 2019-0708, 2013-1937, 2015-8252
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10.0, "critical"),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", 7.5, "high"),
        ("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", 7.8, "high"),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8, "critical"),
        ("CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1, "medium"),
        ("CVSS:3.0/AV:P/AC:H/PR:L/UI:R/S:U/C:N/I:N/A:N", 0.0, "low"),
        ("AV:N/AC:L/Au:N/C:C/I:C/A:C", 10.0, "high"),
        ("AV:N/AC:L/Au:N/C:P/I:N/A:N", 5.0, "medium"),
        ("AV:L/AC:H/Au:N/C:C/I:C/A:C", 6.2, "medium"),
    ],
)
def test_scores_are_those_of_the_published_calculators(vector: str, score: float, severity: str) -> None:
    assert ((score_v3 if vector.startswith("CVSS:3") else score_v2)(vector), severity_of(vector)) == (score, severity)


def test_a_vector_that_is_none_is_unknown() -> None:
    for vector in ("", "CVSS:3.1/AV:N", "CVSS:3.1/x", "CVSS:4.0/AV:N/AC:L", "AV:N/AC:Q/Au:N/C:C/I:C/A:C"):
        assert severity_of(vector) == "unknown"


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    file = str(osv_zip(tmp_path / "osv.zip", ADVISORIES))
    for name in ("first", "second"):
        assert build([file], str(tmp_path / name)).advisories == len(ADVISORIES)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"osv.zip", "first", "second"}


def test_the_command_says_what_the_database_has(tmp_path: Path) -> None:
    file, output = osv_zip(tmp_path / "osv.zip", ADVISORIES), tmp_path / "cve.sqlite"
    ended = CliRunner().invoke(cve, ["build", "--output", str(output), str(file)])
    assert ended.exit_code == 0, ended.output
    assert "debian:12: 2 advisories\npypi: 1 advisory\n" in ended.output
    assert "3 advisories as of 2026-11-29" in ended.output


def test_files_that_cannot_be_read_leave_the_old_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "cve.sqlite"
    output.write_text("old")
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x03\x04" + bytes(100))
    cut = tmp_path / "cut.zip"
    whole = osv_zip(tmp_path / "whole.zip", ADVISORIES).read_bytes()
    cut.write_bytes(whole.replace(b"PK\x03\x04", b"PK\x00\x00"))
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", bytes(1 << 20))
    files = {
        broken: r"broken\.zip is no zip file: OSV exports",
        cut: r"cut\.zip is damaged: .*; download it again",
        bomb: "too large",
        osv_zip(tmp_path / "odd.zip", [{"id": "X-1"}]): "no advisory of OSV",
        osv_zip(tmp_path / "day.zip", [{"id": "X-1", "modified": "today"}]): "no advisory of OSV",
        osv_zip(tmp_path / "hex.zip", [advisory("X-1", affected("Hex", "a"))]): "no advisory for a system",
    }
    monkeypatch.setattr(building, "MAX_RECORD", 1 << 16)
    for file, words in files.items():
        with pytest.raises(PlanError, match=words):
            build([str(file)], str(output))
    assert output.read_text() == "old"
    with pytest.raises(PlanError, match="cannot be written"):
        build([str(osv_zip(tmp_path / "osv.zip", ADVISORIES))], str(tmp_path / "none" / "cve.sqlite"))


@pytest.mark.parametrize(
    ("ecosystem", "system", "identity", "version"),
    [
        ("Debian:12", "debian:12", "debian", "12"),
        ("Ubuntu:22.04:LTS", "ubuntu:22.04", "ubuntu", "22.04"),
        ("Ubuntu:23.10", "ubuntu:23.10", "ubuntu", "23.10"),
        ("Alpine:v3.19", "alpine:3.19", "alpine", "3.19.1"),
        ("Rocky Linux:9", "rocky:9", "rocky", "9.3"),
        ("AlmaLinux:8", "almalinux:8", "almalinux", "8.9"),
        ("Red Hat:enterprise_linux:9::appstream", "rhel:9", "rhel", "9.4"),
        ("openSUSE:Leap 15.5", "opensuse-leap:15.5", "opensuse-leap", "15.5"),
        ("openSUSE:Tumbleweed", "opensuse-tumbleweed", "opensuse-tumbleweed", "20260101"),
        ("SUSE:Linux Enterprise Module for Basesystem 15 SP5", "sles:15.5", "sles", "15.5"),
        ("Wolfi", "wolfi", "wolfi", "20230201"),
    ],
)
def test_ecosystems_and_systems_have_the_same_names(ecosystem: str, system: str, identity: str, version: str) -> None:
    known = system_of_ecosystem(ecosystem)
    assert known is not None
    assert known[1] == system == system_of_guest({"ID": identity, "VERSION_ID": version})


def test_other_streams_of_a_system_are_not_its_own() -> None:
    for ecosystem in (
        "Ubuntu:Pro:18.04:LTS",
        "Red Hat:rhel_eus:9.2::baseos",
        "Debian",
        "Alpine",
        "crates.io",
        "Alpine:edge",
    ):
        assert system_of_ecosystem(ecosystem) is None
    assert [
        system_of_guest({"ID": "debian"}),
        system_of_guest({}),
        system_of_guest({"ID": "x", "VERSION_ID": "y"}),
    ] == [
        "debian",
        "",
        "x",
    ]

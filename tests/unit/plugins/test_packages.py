"""The inspector `packages`: lists, the end of life, and known vulnerabilities by `douane cve build`."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from douane.advisories.building import build
from douane.plugins.packages import Packages, clock, database
from douane.plugins.packages.clock import day_number, today
from douane.plugins.packages.ranges import Condition, affects
from douane.plugins.packages.schema import APPLICATION_ID, VERSION
from douane.plugins.packages.support_end_dates import ENDS
from douane.plugins.packages.support_ends import support_end
from douane.plugins.packages.systems import system_of_guest
from douane_plugin.testing import WrongConfiguration, guest_image, run
from support.planted_packages import (
    ADVISORIES,
    STATUS,
    WHEEL,
    advisory,
    affected,
    image_of,
    osv_zip,
    planted_tree,
)

TREE = planted_tree(STATUS, **WHEEL)
IMAGE = guest_image(TREE)
OPENSSL = "libssl3"


def database_of(folder: Path, *records: dict[str, Any], date: str | None = None) -> Path:
    output = folder / "cve.sqlite"
    build([str(osv_zip(folder / "osv.zip", list(records)))], str(output), date or today())
    return output


@pytest.fixture(scope="module")
def cve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return database_of(tmp_path_factory.mktemp("cve"), *ADVISORIES)


def inspect(cve: Path | None = None, image: Any = IMAGE, **config: Any) -> Any:
    return run(Packages, image, config=config, grants={} if cve is None else {"cve": cve})


@pytest.mark.parametrize("tier", ["full", "strict"])
def test_a_package_with_a_known_vulnerability_is_refused(tmp_path: Path, cve: Path, tier: str) -> None:
    result = run(Packages, image_of(TREE, tmp_path), grants={"cve": cve}, sandbox=tier)
    assert (result.outcome, result.code) == ("refused", "packages-vulnerable")
    assert result.message == (
        "disk:/var/lib/dpkg/status: openssl 3.0.1-1 (package libssl3) has CVE-2024-1 (critical); update it to 3.0.2-1"
    )
    assert result.documents["vulnerabilities"]["rows"][0] == ["critical", "CVE-2024-1", "openssl", "3.0.1-1", "3.0.2-1"]


def test_without_a_fix_it_warns_and_the_rest_is_counted(cve: Path) -> None:
    result = inspect(cve, image=guest_image(planted_tree(STATUS.replace("3.0.1-1", "3.0.2-1"), **WHEEL)))
    assert result.outcome == "accepted", result
    assert [warned.message for warned in result.warnings] == [
        "disk:/var/lib/dpkg/status: telnetd 0.17-44 has CVE-2024-2 (critical, without a fix)".replace(
            "CVE-2024-2", "DEBIAN-CVE-2024-2"
        )
    ]
    counts = {name: result.properties[name] for name in ("critical", "high", "medium", "low", "excepted", "packages")}
    assert counts == {"critical": 1, "high": 0, "medium": 1, "low": 0, "excepted": 0, "packages": 4}
    assert result.properties["cve_date"] == today()


@pytest.mark.parametrize(
    ("config", "outcome", "warnings"),
    [
        ({}, "refused", 0),
        ({"refuse": "never"}, "accepted", 2),
        ({"refuse": "never", "warn": "never"}, "accepted", 0),
        ({"refuse": "never", "unfixed": "allow"}, "accepted", 1),
        ({"refuse": "never", "warn": "medium"}, "accepted", 3),
    ],
)
def test_the_site_decides_from_which_severity(cve: Path, config: dict[str, Any], outcome: str, warnings: int) -> None:
    result = inspect(cve, **config)
    assert (result.outcome, len(result.warnings)) == (outcome, warnings)


def test_unfixed_vulnerabilities_can_refuse(tmp_path: Path) -> None:
    cve = database_of(tmp_path, ADVISORIES[1])
    assert inspect(cve, unfixed="refuse", uncovered="allow").code == "packages-vulnerable"


@pytest.mark.parametrize(("level", "outcome"), [("critical", "refused"), ("high", "accepted")])
def test_a_severity_that_nobody_tells_is_what_the_site_says(tmp_path: Path, level: str, outcome: str) -> None:
    cve = database_of(tmp_path, advisory("X-1", affected("Debian:12", "openssl", "fixed 4"), vector=None))
    assert inspect(cve, unknown_severity=level, uncovered="allow").outcome == outcome


@pytest.mark.parametrize(
    ("exemption", "outcome", "codes"),
    [
        ({"id": "CVE-2024-1", "until": "2999-12-31"}, "accepted", ["packages-vulnerable"]),
        ({"id": "DEBIAN-CVE-2024-1", "package": "libssl*", "until": "2999-12-31"}, "accepted", ["packages-vulnerable"]),
        ({"id": "CVE-2024-1", "package": "bash", "until": "2999-12-31"}, "refused", []),
        ({"id": "CVE-2024-1", "until": "2020-01-31"}, "refused", []),
    ],
)
def test_exceptions_hold_until_their_day(cve: Path, exemption: dict[str, str], outcome: str, codes: list[str]) -> None:
    result = inspect(cve, exceptions=[exemption])
    assert (result.outcome, [warned.code for warned in result.warnings]) == (outcome, codes)
    assert result.properties.get("excepted", 0) == (1 if outcome == "accepted" else 0)


def test_an_exception_that_has_expired_is_said_so(cve: Path) -> None:
    result = inspect(cve, refuse="never", exceptions=[{"id": "CVE-2024-1", "until": "2020-01-31"}])
    warned = next(warned for warned in result.warnings if warned.code == "packages-exception-expired")
    assert "CVE-2024-1 ended on 2020-01-31" in warned.message


def test_the_version_of_the_source_counts(tmp_path: Path) -> None:
    cve = database_of(tmp_path, advisory("X-1", affected("Debian:12", "gcc-defaults", "fixed 1.204")))
    assert "gcc-defaults 1.203 (package gcc) has X-1" in inspect(cve, uncovered="allow").message


def test_what_the_distribution_has_installed_is_not_looked_up_as_of_pypi(tmp_path: Path) -> None:
    moved = {path.replace("usr/local/lib/python3.11", "usr/lib/python3"): text for path, text in WHEEL.items()}
    sums = (f"{hashlib.md5(text.encode()).hexdigest()}  {path}\n" for path, text in moved.items())
    moved["var/lib/dpkg/info/python3-jinja2.md5sums"] = "".join(sums)
    cve = database_of(tmp_path, advisory("X-1", affected("PyPI", "jinja2", "fixed 9")), ADVISORIES[1])
    assert "jinja2 3.1.1" in inspect(cve, refuse="low", image=guest_image(planted_tree(**moved))).message
    moved = {path: text.replace("pip\n", "debian\n") for path, text in moved.items()}
    result = inspect(cve, image=guest_image(planted_tree(**moved)))
    assert (result.outcome, result.properties["critical"]) == ("accepted", 1)


def test_a_system_that_the_database_does_not_know_is_incomplete(cve: Path) -> None:
    other = guest_image({**TREE, "etc/os-release": "ID=arch\n"})
    result = inspect(cve, image=other)
    assert (result.outcome, result.code) == ("incomplete", "packages-uncovered")
    assert "no advisories for arch, of which are 3 packages" in result.message
    warned = inspect(cve, image=other, uncovered="warn")
    assert (warned.outcome, warned.warnings[0].code) == ("accepted", "packages-uncovered")
    assert inspect(cve, image=other, uncovered="allow").warnings == ()


@pytest.mark.parametrize(
    ("release", "status", "kind"),
    [
        ("ID=alpine\nVERSION_ID=3.20.1\n", "var/lib/dpkg/status", "dpkg in alpine:3.20"),
        ("ID=rocky\nVERSION_ID=9.4\n", "var/lib/dpkg/status", "dpkg in rocky:9"),
        ("ID=wolfi\n", "var/lib/dpkg/status", "dpkg in wolfi"),
        ("ID=debian\nVERSION_ID=12\n", "lib/apk/db/installed", "apk in debian:12"),
    ],
)
def test_packages_of_another_kind_than_the_systems_are_uncovered(
    tmp_path: Path, release: str, status: str, kind: str
) -> None:
    """os-release is the tenant's word: a Debian that calls itself an Alpine is not compared with Alpine's."""
    places = ("Debian:12", "Alpine:v3.20", "Rocky Linux:9", "Wolfi")
    cve = database_of(tmp_path, advisory("X-1", *[affected(place, "musl", "fixed 9") for place in places]))
    listed = STATUS if "dpkg" in status else "P:musl\nV:1.0-r0\nA:x86_64\n\n"
    result = inspect(cve, image=guest_image({"etc/os-release": release, status: listed}))
    assert (result.outcome, result.code) == ("incomplete", "packages-uncovered")
    assert f"no advisories for {kind}, of which" in result.message


def test_a_version_that_cannot_be_compared_is_incomplete(cve: Path) -> None:
    odd = {path: text.replace("3.1.1", "latest") for path, text in WHEEL.items()}
    result = inspect(cve, refuse="never", image=guest_image(planted_tree(**odd)))
    assert (result.outcome, result.code) == ("incomplete", "packages-no-version")


@pytest.mark.parametrize(
    "image", [guest_image({"etc/os-release": "ID=debian\n"}), b"LUKS\xba\xbe\x00\x01".ljust(1 << 20, b"\0")]
)
def test_no_packages_are_not_clean_packages(image: bytes) -> None:
    result = inspect(image=image)
    assert (result.outcome, result.code) == ("incomplete", "packages-none")
    assert inspect(image=image, unread="warn").outcome == "accepted"


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({"deny": ["telnet*"]}, "packages-denied"),
        ({"deny": ["openssl"]}, "packages-denied"),  # by its source
        ({"deny": [{"name": OPENSSL, "version": ">= 3, < 3.0.2"}]}, "packages-denied"),
        ({"deny": [{"name": OPENSSL, "version": ">= 3.0.2"}]}, ""),
        ({"deny": [{"kind": "python"}]}, "packages-denied"),
        ({"deny": [{"origin": "*QA Group*"}]}, "packages-denied"),
        ({"deny": [{"name": "telnetd", "origin": "Ubuntu*"}]}, ""),
        ({"deny": [{"name": "telnetd", "severity": "warn"}]}, ""),
        ({"allow": ["gcc", "libssl3", "Jinja2"]}, "packages-not-allowed"),
        ({"allow": [{"origin": "*debian.org>"}, {"kind": "python"}]}, ""),
    ],
)
def test_lists_of_packages(config: dict[str, Any], code: str) -> None:
    result = inspect(**config)
    assert (result.outcome, result.code or "") == ("refused" if code else "accepted", code)


def test_a_version_that_the_list_cannot_compare_is_incomplete() -> None:
    result = inspect(deny=[{"name": "Jinja2", "version": "< x"}])
    assert (result.outcome, result.code) == ("incomplete", "packages-no-version")


@pytest.mark.parametrize(
    ("release", "config", "outcome"),
    [
        ("ID=debian\nVERSION_ID=10\n", {"end_of_life": "refuse"}, "refused"),
        ("ID=debian\nVERSION_ID=10\n", {"end_of_life": "allow"}, "accepted"),
        (
            "ID=debian\nVERSION_ID=10\n",
            {"end_of_life": "refuse", "support_ends": {"debian:10": "2999-01-01"}},
            "accepted",
        ),
        ("ID=alpine\nVERSION_ID=3.15.4\n", {"end_of_life": "refuse"}, "refused"),
        ("ID=mine\nVERSION_ID=1\n", {"end_of_life": "refuse", "support_ends": {"mine:1": "2020-01-01"}}, "refused"),
        ("ID=mine\n", {"end_of_life": "refuse"}, "accepted"),
    ],
)
def test_the_end_of_life_of_a_system(release: str, config: dict[str, Any], outcome: str) -> None:
    result = inspect(image=guest_image({**TREE, "etc/os-release": release}), **config)
    assert (result.outcome, result.code) == (outcome, "packages-end-of-life" if outcome == "refused" else None)


def test_the_last_day_of_support_is_a_day_of_support(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("douane.plugins.packages.today", lambda: "2024-06-30")
    image = guest_image({**TREE, "etc/os-release": "ID=debian\nVERSION_ID=10\n"})
    assert inspect(image=image, end_of_life="refuse").outcome == "accepted"


@pytest.mark.parametrize(
    ("margin", "notice", "code"),
    [
        (0, 0, ""),
        (0, 30, ""),
        (0, 31, "packages-end-of-life-soon"),
        (30, 60, "packages-end-of-life-soon"),
        (31, 60, "packages-end-of-life"),
    ],
)
def test_the_end_of_support_is_said_before_it_comes(
    monkeypatch: pytest.MonkeyPatch, margin: int, notice: int, code: str
) -> None:
    monkeypatch.setattr("douane.plugins.packages.today", lambda: "2024-05-31")  # 30 days before
    image = guest_image({**TREE, "etc/os-release": "ID=debian\nVERSION_ID=10\n"})
    config = {"end_of_life": "refuse", "end_of_life_margin": margin, "end_of_life_notice": notice}
    result = inspect(image=image, **config)
    refused = code == "packages-end-of-life"
    assert result.outcome == ("refused" if refused else "accepted")
    assert ([result.code] if refused else [warned.code for warned in result.warnings]) == ([code] if code else [])


def test_windows_is_told_by_its_build() -> None:
    """Windows Server 2019 is supported longest of those with the build 17763."""
    assert support_end(system_of_guest({"ID": "windows", "BUILD_ID": "17763"}), {}) == "2029-01-09"
    assert support_end(system_of_guest({"ID": "windows", "BUILD_ID": "22000"}), {}) < "2025"
    assert support_end(system_of_guest({"ID": "windows"}), {}) == ""


def test_each_built_in_date_is_found_by_what_the_system_says_of_itself() -> None:
    for name, ends in ENDS.items():
        key = "BUILD_ID" if name == "windows" else "VERSION_ID"
        assert {version: support_end(system_of_guest({"ID": name, key: version}), {}) for version in ends} == ends
        assert all(day_number(end) > day_number("2009-12-31") for end in ends.values())


@pytest.mark.parametrize(
    ("systems", "is_over"),
    [
        ("debian:3 debian:7 ubuntu:7.10 ubuntu:12.04 ubuntu:22.10 ubuntu:23.04 alpine:1.9 alpine:3.14", True),
        ("fedora:5 fedora:37 centos:4 centos:5 rhel:3 rhel:5 ol:5 rocky:7 almalinux:7 sles:9.4 sles:12.4", True),
        ("amzn:1 amzn:2018.03 opensuse-leap:10.3 opensuse-leap:42.0 opensuse-leap:15.2 windows:1381", True),
        ("ubuntu:22.07 sles:12.6 windows:6002", True),  # releases between two that are listed
        ("debian:99 ubuntu:99.04 alpine:99.1 opensuse-leap:16.1 opensuse-leap:43.1 amzn:2099 windows:99999", False),
        (f"debian ubuntu debian:{'9' * 5000} windows:x windows mine:1 debian:12 rocky:9", False),
    ],
)
def test_what_is_older_than_a_release_without_support_has_none(systems: str, is_over: bool) -> None:
    ends = {system: support_end(system, {}) for system in systems.split()}
    assert {system: bool(end) and end < "2026-11-30" for system, end in ends.items()} == dict.fromkeys(ends, is_over)
    assert support_end("debian:3", {"debian:3": "2999-01-01"}) == "2999-01-01"


@pytest.mark.parametrize(
    ("date", "max_age", "outcome"),
    [("2020-01-01", 7, "incomplete"), ("2020-01-01", 0, "refused"), ("2999-01-01", 7, "incomplete")],
)
def test_an_old_database_is_none(tmp_path: Path, date: str, max_age: int, outcome: str) -> None:
    result = inspect(database_of(tmp_path, *ADVISORIES, date=date), max_age=max_age)
    assert (result.outcome, result.code) == (
        outcome,
        "packages-cve-outdated" if outcome == "incomplete" else "packages-vulnerable",
    )


def test_a_database_that_cannot_be_read_has_its_code(tmp_path: Path, cve: Path) -> None:
    whole = cve.read_bytes()
    damaged = bytearray(whole)
    damaged[4096:] = bytes(len(whole) - 4096)
    files = {"empty": b"", "text": b"no database" * 1000, "cut": whole[:5000], "damaged": bytes(damaged)}
    for name, data in files.items():
        path = tmp_path / name
        path.write_bytes(data)
        result = inspect(path)
        assert result.outcome == "incomplete", name
        assert result.code == ("packages-cve-version" if name == "empty" else "packages-cve-unreadable"), name


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("PRAGMA user_version=99", "packages-cve-version"),
        ("PRAGMA application_id=1", "packages-cve-version"),
        ("UPDATE fact SET value = 'today'", "packages-cve-unreadable"),
        ("UPDATE affected SET ranges = '['", "packages-cve-unreadable"),
        ("UPDATE affected SET severity = 9", "packages-cve-unreadable"),
        ("DROP TABLE advisory", "packages-cve-unreadable"),
    ],
)
def test_a_database_with_other_contents_has_its_code(tmp_path: Path, statement: str, code: str) -> None:
    path = database_of(tmp_path, *ADVISORIES)
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()
    assert inspect(path).code == code


def test_a_question_without_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "MAX_STEPS", 100_000)
    path = tmp_path / "cve.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(f"""
            PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={VERSION};
            CREATE VIEW system AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
                SELECT i AS number, 'x' AS name FROM n WHERE i < 0;
        """)
    connection.close()
    assert inspect(path).code == "packages-cve-unreadable"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"deny": [{"nome": "x"}]}, "'deny', entry 1: 'nome' is no key"),
        ({"deny": [1]}, "is a table"),
        ({"deny": [{"name": 1}]}, "is a text"),
        ({"deny": [{"version": "1.0"}]}, "no range of versions"),
        ({"deny": [{"kind": "deb"}]}, "'kind' is one of"),
        ({"allow": [{"severity": "deny"}]}, "'severity' is one of"),
        ({"exceptions": [{"id": "CVE-1"}]}, "'until' is the last day"),
        ({"exceptions": [{"id": "CVE-1", "until": "2026-02-30"}]}, "no day of the calendar"),
        ({"exceptions": [{"until": "2026-01-01"}]}, "'id' is missing"),
        ({"support_ends": {"debian:12": "soon"}}, "is no day"),
        ({"max_age": -1}, "'max_age'"),
        ({"end_of_life_margin": -1}, "'end_of_life_margin'"),
        ({"refuse": "severe"}, "refuse"),
        ({"uncovered": "refuse"}, "uncovered"),
    ],
)
def test_a_wrong_configuration_is_a_sentence(config: dict[str, Any], words: str) -> None:
    with pytest.raises(WrongConfiguration, match=words):
        inspect(**config)


@pytest.mark.parametrize(
    ("ranges", "version", "expected"),
    [
        ([["i0", "f2-1"]], "1-1", (True, "2-1")),
        ([["i0", "f2-1"]], "2-1", (False, "")),
        ([["i0", "l2-1"]], "2-1", (True, "")),
        ([["i0", "l2-1"]], "2-2", (False, "")),
        ([["i1-1", "f2-1", "i3-1", "f4-1"]], "3-5", (True, "4-1")),
        ([["i1-1", "f2-1", "i3-1"]], "2-5", (False, "")),
        ([["i0", "m2-1"]], "2-1", (False, "")),
        ([["=1-1", "=1-2"]], "1-2", (True, "")),
        ([["i0", "f2-1"], ["i0", "f1-5"]], "1-1", (True, "1-5")),
    ],
)
def test_a_version_is_affected_as_the_schema_of_osv_says(
    ranges: list[list[str]], version: str, expected: tuple[bool, str]
) -> None:
    assert affects(ranges, "dpkg", version) == expected


@pytest.mark.parametrize(
    ("text", "versions"),
    [
        (">= 1.0, < 2", "1.0 1.9"),
        ("== 1.9", "1.9"),
        ("!= 1.9", "0.9 1.0 2 10"),
        ("> 1.9", "2 10"),
        ("<= 1.0", "0.9 1.0"),
    ],
)
def test_conditions_of_the_operator(text: str, versions: str) -> None:
    assert [item for item in ["0.9", "1.0", "1.9", "2", "10"] if Condition(text).holds("rpm", item)] == versions.split()


def test_days() -> None:
    assert (day_number("1970-01-02"), day_number("2026-11-30")) == (1, 20787)
    assert clock.today() == today()

"""Databases of packages. Those of rpm are from rpm 4.18 (SQLite), and from db_load of its headers (Berkeley DB)."""

from __future__ import annotations

import json
import random
import sqlite3
from pathlib import Path

import pytest
from guest_packages import BERKELEY, SQLITE, guest_with, headers, ndb_of
from hypothesis import given
from hypothesis import strategies as st
from memory_filesystem import MemorySystem, Object, guest_of, link, tree_of

from douane_guest.budget import Budget
from douane_guest.errors import GuestError
from douane_guest.packages import berkeley, dpkg, ndb, sqlite
from douane_guest.packages.rpm import parse_header
from douane_guest.source import BytesSource

RPMS = {
    ("alpha", "1.0-2", "noarch", "alpha"),
    ("beta", "3:1.0-2", "noarch", "beta"),
    ("gamma", "1.0-2", "noarch", "gamma"),
}


def rpms_of(files: dict[str, bytes]) -> set[tuple[str, ...]]:
    guest = guest_with(files)
    packages = guest.packages()
    assert not list(guest.unread)
    return {
        (package.name, package.version, package.arch, package.source) for package in packages if package.kind == "rpm"
    }


def test_rpm_in_three_databases() -> None:
    assert rpms_of({"var/lib/rpm/rpmdb.sqlite": SQLITE}) == RPMS
    assert rpms_of({"var/lib/rpm/Packages": BERKELEY}) == RPMS
    assert rpms_of({"usr/lib/sysimage/rpm/Packages.db": ndb_of(headers())}) == RPMS


def test_the_log_of_sqlite_is_applied_up_to_the_last_commit(tmp_path: Path) -> None:
    path = tmp_path / "rpmdb.sqlite"
    path.write_bytes(SQLITE)
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("DELETE FROM Packages WHERE hnum = (SELECT min(hnum) FROM Packages)")
    database.commit()
    log = (tmp_path / "rpmdb.sqlite-wal").read_bytes()
    files = {"var/lib/rpm/rpmdb.sqlite": path.read_bytes(), "var/lib/rpm/rpmdb.sqlite-wal": log}
    remaining = {values[0] for values in database.execute("SELECT hnum FROM Packages")}
    assert len(rpms_of(files)) == len(remaining) == 2
    damaged = bytearray(log)
    damaged[-1] ^= 1
    assert rpms_of({**files, "var/lib/rpm/rpmdb.sqlite-wal": bytes(damaged)}) == RPMS, "SQLite ignores it as well"
    database.close()


def test_a_large_table_is_read_as_sqlite_reads_it(tmp_path: Path) -> None:
    chance = random.Random(17)
    database = sqlite3.connect(tmp_path / "db")
    database.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
    rows = [(number, chance.randbytes(chance.choice((10, 300, 4061, 4062, 5000, 70_000)))) for number in range(1, 400)]
    database.executemany("INSERT INTO Packages VALUES (?, ?)", rows)
    database.commit()
    database.close()
    result = sqlite.Database(BytesSource((tmp_path / "db").read_bytes()), None, Budget()).rows("Packages")
    assert [values[1] for values in result] == [blob for _, blob in rows]


def test_a_journal_of_sqlite_that_was_not_finished_is_unread() -> None:
    guest = guest_with({"var/lib/rpm/rpmdb.sqlite": SQLITE, "var/lib/rpm/rpmdb.sqlite-journal": sqlite.JOURNAL_MAGIC})
    assert not guest.packages()
    assert [part.code for part in guest.unread] == ["guest-unclean"]


@pytest.mark.parametrize("name", ["sqlite", "berkeley", "ndb"])
def test_mutants_of_a_database_raise_the_three_exceptions_alone(name: str) -> None:
    chance = random.Random(17)
    content = {"sqlite": SQLITE, "berkeley": BERKELEY, "ndb": ndb_of(headers())}[name]
    for _ in range(200):
        mutant = bytearray(content)
        for _ in range(chance.randrange(1, 16)):
            mutant[chance.randrange(min(len(mutant), 4096 * chance.choice((1, 4, 64))))] = chance.randrange(256)
        source = BytesSource(bytes(mutant))
        try:
            if name == "sqlite":
                blobs = [row[1] for row in sqlite.Database(source, None, Budget(steps=100_000)).rows("Packages")]
            else:
                blobs = list((berkeley.values if name == "berkeley" else ndb.blobs)(source, Budget(steps=100_000)))
            for blob in blobs:
                if isinstance(blob, bytes):
                    parse_header(blob, "")
        except GuestError:
            continue


def test_debian_alpine_and_arch() -> None:
    guest = guest_with(
        {
            "var/lib/dpkg/status": b"Package: a\nStatus: install ok installed\nVersion: 1:2\n"
            b"Architecture: amd64\nSource: src (1)\n"
            b"Description: text\n Version: 9\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n",
            "var/lib/dpkg/status.d/base": b"Package: b\nVersion: 3\n",
            "var/lib/dpkg/status.d/base.md5sums": b"x",
            "lib/apk/db/installed": b"C:Q1\nP:musl\nV:1.2-r0\nA:x86_64\no:musl-src\n\nP:zlib\nV:1\n",
            "var/lib/pacman/local/bash-5-1/desc": b"%NAME%\nbash\n\n%VERSION%\n5-1\n\n%ARCH%\nx86_64\n",
        }
    )
    assert [package[:5] for package in guest.packages()] == [
        ("deb", "a", "1:2", "amd64", "src"),
        ("deb", "b", "3", "", ""),
        ("apk", "musl", "1.2-r0", "x86_64", "musl-src"),
        ("apk", "zlib", "1", "", ""),
        ("alpm", "bash", "5-1", "x86_64", ""),
    ]
    assert not list(guest.unread)


def test_packages_of_languages_in_their_folders_and_everywhere() -> None:
    guest = guest_with(
        {
            "usr/lib/python3/dist-packages/Yaml-6.dist-info/METADATA": b"Name: PyYAML\nVersion: 6.0\n\nName: x\n",
            "usr/lib/python3.11/site-packages/old.egg-info": b"Name: old\nVersion: 1\n",
            "usr/lib/node_modules/npm/package.json": json.dumps({"name": "npm", "version": "9"}).encode(),
            "usr/lib/node_modules/npm/node_modules/@a/b/package.json": json.dumps(
                {"name": "@a/b", "version": "2"}
            ).encode(),
            "usr/lib/node_modules/npm/lib/package.json": b"not of a package",
            "usr/lib/node_modules/bad/package.json": b"{" * 100_000,
            "var/lib/gems/3.1.0/specifications/rake-13.0.gemspec": b'  s.name = "rake".freeze\n',
            "opt/app/lib/python3/site-packages/x-1.dist-info/METADATA": b"Name: x\nVersion: 1\n",
        }
    )
    standard = {(package.kind, package.name, package.version) for package in guest.packages()}
    assert standard == {
        ("pypi", "PyYAML", "6.0"),
        ("pypi", "old", "1"),
        ("npm", "npm", "9"),
        ("npm", "@a/b", "2"),
        ("gem", "rake", "13.0"),
    }
    assert [part.where for part in guest.unread] == ["p1:/usr/lib/node_modules/bad/package.json"]
    everywhere = {(package.kind, package.name, package.version) for package in guest.packages(everywhere=True)}
    assert everywhere == standard | {("pypi", "x", "1")}


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("usr/lib/python3.9/site-packages", "/usr/lib/node_modules"),
        ("usr/lib/python3.9/site-packages", "/usr/lib/ruby/gems/3.1.0/specifications"),
        ("usr/lib/ruby/gems/3.2.0/specifications", "/usr/lib/node_modules"),
        ("usr/lib/ruby/gems/3.2.0/specifications", "/usr/lib/ruby/gems/3.1.0/specifications"),
        ("usr/local/lib/node_modules", "/usr/lib/node_modules"),
    ],
)
def test_a_second_name_of_a_folder_hides_no_package(name: str, target: str) -> None:
    files: dict[str, str | bytes | Object] = {
        "usr/lib/ruby/gems/3.1.0/specifications/rake-13.0.gemspec": 's.name = "rake"\n',
        "usr/lib/node_modules/npm/package.json": '{"name": "npm", "version": "9"}',
        name: link(target),
    }
    guest = guest_of(MemorySystem(tree_of({"etc/passwd": "", **files})))
    assert sorted(package.kind for package in guest.packages()) == ["gem", "npm"]
    assert not list(guest.unread)


def test_a_damaged_database_is_unread_and_the_others_are_read() -> None:
    guest = guest_with({"var/lib/rpm/Packages": b"x" * 4096, "lib/apk/db/installed": b"P:musl\nV:1\n"})
    assert [package.name for package in guest.packages()] == ["musl"]
    assert [part.code for part in guest.unread] == ["guest-broken"]


APK, DEB = b"P:a\nV:1\n\nP:b\nV:1\n\nP:c\nV:1\n", b"Package: a\nVersion: 1\n\nPackage: b\n\nPackage: c\nVersion: 1\n"


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("var/lib/dpkg/status", DEB.replace(b"Version: 1\n\nPackage: b\n\n", b"Vers\n")),
        ("var/lib/dpkg/status", DEB.replace(b": 1\n\nPackage: b\n\nPackage", bytes(24))),
        ("var/lib/dpkg/status", DEB.replace(b"Package: b", b"Pack")),
        ("lib/apk/db/installed", APK.replace(b"\n\nP:b\nV:1\n\n", b"\n")),
        ("lib/apk/db/installed", APK.replace(b"V:1\n\nP:b\nV:1\n\nP:", bytes(20))),
        ("lib/apk/db/installed", APK.replace(b"P:b", b"X:b")),
        ("var/lib/pacman/local/bash-5-1/desc", b"%NAM\nbash\n"),
        ("var/lib/pacman/local/bash-5-1/files", b""),
    ],
)
def test_a_list_with_a_damaged_middle_is_not_whole(path: str, content: bytes) -> None:
    """What damage joins looks like one package, and those between are gone."""
    guest = guest_with({path: content})
    assert len(guest.packages()) < 3
    assert [part.code for part in guest.unread] == ["guest-broken"]


@given(
    st.lists(st.sampled_from([b"Package", b"pACKAGE ", b" Package", b"version", b"Depends", b"oRIGIN", b"Maintainer"]))
)
def test_fields_of_dpkg_have_names_in_any_case_and_blanks_before_the_colon(names):
    paragraph = b"\n".join(b"%s: %d" % (name, number) for number, name in enumerate(names))
    expected = {}
    for number, name in enumerate(names):
        key = name.rstrip().lower()
        if key in (b"package", b"version", b"origin", b"maintainer"):
            expected.setdefault(key, str(number))
    keys = [name.rstrip().lower() for name in names if name[:1] != b" " and name != b"Depends"]
    assert dpkg._fields(paragraph) == (expected, len(set(keys)) == len(keys))

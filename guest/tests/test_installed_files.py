"""Which files belong to a package manager, by its lists. Those of rpm are from rpm 4.18, in SQLite and Berkeley DB."""

from __future__ import annotations

import random

import pytest
from guest_packages import FILES_BERKELEY, FILES_SQLITE, guest_with, header_of, headers, ndb_of
from hypothesis import given
from hypothesis import strategies as st

from douane_guest.budget import Budget
from douane_guest.errors import Broken, GuestError, TooMuch
from douane_guest.packages import installed, rpm_files
from douane_guest.packages.rpm_files import files_in

SITE = "/usr/lib/python3.12/site-packages"
OF_RPM = {
    f"{SITE}/jinja2-3.1.1.dist-info/METADATA",
    "/usr/share/gems/specifications/rake-13.0.6.gemspec",
    "/usr/lib64/ruby/gems/2.5.0/specifications/rack-2.0.gemspec",
    "/usr/lib/node_modules_22/npm/package.json",
    "/usr/lib/node_modules_22/npm/node_modules/tar/package.json",
    "/usr/share/many/zz",
}
OF_NOBODY = {
    f"{SITE}/METADATA",
    f"{SITE}/evil-1.dist-info/METADATA",
    f"{SITE}/jinja2-3.1.1.dist-info",  # a folder that the package made, and does not list
    f"{SITE}/jinja2-3.1.1.dist-info/METADATA/x",
    "/usr/share/gems/specifications/rack-2.0.gemspec",  # the name is in another folder
    "/usr/lib/node_modules_22/npm/node_modules/tar/METADATA",
    "/usr/local/lib/python3.12/site-packages/jinja2-3.1.1.dist-info/METADATA",
}
GHOST = f"{SITE}/ghost-1.dist-info/METADATA"


def listed_files(files: dict[str, bytes], manager: str, paths: set[str]) -> tuple[frozenset[str], list[str]]:
    """The paths that are in the lists, and the codes of what is unread."""
    guest = guest_with(files)
    return guest.installed_files(guest.root, {manager}, paths), [part.code for part in guest.unread]


@pytest.mark.parametrize(
    ("path", "database"),
    [
        ("var/lib/rpm/rpmdb.sqlite", FILES_SQLITE),
        ("var/lib/rpm/Packages", FILES_BERKELEY),
        ("usr/lib/sysimage/rpm/Packages.db", ndb_of(headers(FILES_SQLITE))),
    ],
)
def test_rpms_files_in_three_databases(path: str, database: bytes) -> None:
    """A file that the package only claims (`%ghost`) may be anybody's."""
    assert listed_files({path: database}, "rpm", OF_RPM | OF_NOBODY | {GHOST}) == (OF_RPM, [])


def test_paths_of_packages_that_are_older_than_rpm_4() -> None:
    old = header_of((1000, [b"old"]), (1027, [path.encode() for path in sorted(OF_RPM)]))
    assert listed_files({"var/lib/rpm/Packages.db": ndb_of([old])}, "rpm", OF_RPM | OF_NOBODY) == (OF_RPM, [])


LISTS = {
    "dpkg": {"var/lib/dpkg/info/libruby3.1:amd64.list": b"/.\n/usr\n/usr/share/x y\n/usr/lib/b\n"},
    "dpkg without dpkg": {"var/lib/dpkg/status.d/base.md5sums": b"0a  usr/share/x y\n0b  usr/lib/b\n"},
    "apk": {"lib/apk/db/installed": b"P:a\nV:1\nF:usr/share\nR:x y\nF:usr/lib\nM:0:0:755\nR:b\nZ:Q1\n"},
    "pacman": {
        "var/lib/pacman/local/a-1-1/files": b"%FILES%\nusr/\nusr/share/x y\nusr/lib/b\n\n%BACKUP%\nusr/share/d\t0a\n"
    },
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_other_managers(name: str) -> None:
    manager = name.split(maxsplit=1)[0]
    paths = {"/usr/share/x y", "/usr/lib/b", "/usr/share/b", "/usr/share/d", "/usr/share/d\t0a", "/usr/lib"}
    assert listed_files(LISTS[name], manager, paths) == ({"/usr/share/x y", "/usr/lib/b"}, [])
    for absent in {"dpkg", "rpm", "apk", "pacman"} - {manager}:
        assert not listed_files(LISTS[name], absent, paths)[0]


@pytest.mark.parametrize("bound", ["MAX_LIST", "MAX_LISTS"])
@pytest.mark.parametrize("name", ["dpkg", "dpkg without dpkg", "pacman"])
def test_a_list_beyond_the_bound_is_nobodys_and_unread(monkeypatch: pytest.MonkeyPatch, bound: str, name: str) -> None:
    monkeypatch.setattr(installed, bound, 10)
    assert listed_files(LISTS[name], name.split(maxsplit=1)[0], {"/usr/lib/b"}) == (frozenset(), ["guest-too-much"])


def test_a_header_with_more_files_than_any_package_is_nobodys_and_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpm_files, "MAX_FILES", 2)
    many = header_of((1000, [b"many"]), (1116, [0] * 3), (1117, [b"x"] * 3), (1118, [b"/usr/lib/"]))
    assert listed_files({"var/lib/rpm/Packages.db": ndb_of([many])}, "rpm", {"/usr/lib/x"}) == (
        frozenset(),
        ["guest-too-much"],
    )


def test_names_of_files_take_steps() -> None:
    header = header_of((1116, [0] * 1000), (1117, [b"x"] * 1000), (1118, [b"/usr/lib/"]))
    with pytest.raises(TooMuch):
        list(files_in(header, {b"/usr/lib/"}, Budget(steps=900)))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.sampled_from((0, 1, 64, 65))), max_size=8))
def test_a_header_has_the_files_that_were_written_into_it(files: list[tuple[str, str, int]]) -> None:
    folders = sorted({f"/{folder}/".encode() for folder, _, _ in files})
    tags = [
        (1037, [flag for _, _, flag in files]),
        (1116, [folders.index(f"/{folder}/".encode()) for folder, _, _ in files]),
        (1117, [name.encode() for _, name, _ in files]),
        (1118, folders),
    ]
    header = header_of(*(tags if files else ()))
    expected = [f"/{folder}/{name}".encode() for folder, name, flag in files if folder != "c" and flag < 64]
    assert list(files_in(header, {b"/a/", b"/b/"}, Budget())) == expected


NAMES, FOLDERS = (1117, [b"x", b"y"]), (1118, [b"/a/"])


@pytest.mark.parametrize(
    "header",
    [
        header_of((1116, [0]), NAMES, FOLDERS),
        header_of((1116, [0, 1]), NAMES, FOLDERS),
        header_of((1037, [0]), (1116, [0, 0]), NAMES, FOLDERS),
        header_of(NAMES, FOLDERS),
        header_of((1116, [0, 0]), NAMES),
        header_of((1116, [b"0", b"0"]), NAMES, FOLDERS),
        header_of((1116, [0, 0]), (1117, [0, 0]), FOLDERS),
        header_of(FOLDERS, (1116, [0, 0]), NAMES)[:-1] + b"y",
        header_of(NAMES, FOLDERS, (1116, [0, 0]))[:7] + b"\x0f" + header_of(NAMES, FOLDERS, (1116, [0, 0]))[8:-1],
        header_of((1027, [b"/a/x"]))[:-1] + b"y",
        b"",
    ],
)
def test_a_list_that_contradicts_itself_is_damaged(header: bytes) -> None:
    with pytest.raises(Broken):
        list(files_in(header, {b"/a/"}, Budget()))


TAGS = st.sampled_from((1027, 1037, 1116, 1117, 1118))
SMALL = st.integers(0, 40)
ENTRIES = st.lists(st.tuples(TAGS, st.sampled_from((4, 6, 8)), st.integers(-1, 60), SMALL), max_size=6)


@given(ENTRIES, st.binary(max_size=60) | st.lists(st.sampled_from((b"/a/\0", b"x\0", b"\0\0\0\0"))).map(b"".join))
def test_any_header_gives_files_of_the_folders_or_an_error(
    entries: list[tuple[int, int, int, int]], data: bytes
) -> None:
    import struct

    table = b"".join(struct.pack(">IIiI", *entry) for entry in entries)
    try:
        files = list(files_in(struct.pack(">II", len(entries), len(data)) + table + data, {b"/a/"}, Budget(steps=1000)))
    except GuestError:
        return
    assert all(path.startswith(b"/a/") for path in files)


@given(
    st.sampled_from(sorted(LISTS)),
    st.lists(st.sampled_from((b"/usr/lib/b", b"usr", b"F:", b"R:b", b"%", b"%FILES%", b"\n", b"\0", b"\xff", b"  "))),
)
def test_any_list_owns_nothing_that_is_not_in_it(name: str, parts: list[bytes]) -> None:
    content = b"".join(parts)
    result, unread = listed_files(
        {next(iter(LISTS[name])): content}, name.split(maxsplit=1)[0], {"/usr/lib/b", "/usr/lib/other"}
    )
    assert result <= {"/usr/lib/b"}
    assert not unread


@pytest.mark.parametrize("path", ["var/lib/rpm/rpmdb.sqlite", "var/lib/rpm/Packages", "var/lib/rpm/Packages.db"])
def test_a_damaged_database_of_rpm_owns_no_more_than_a_whole_one(path: str) -> None:
    """And what was not read of it is said."""
    chance = random.Random(17)
    content = {"ite": FILES_SQLITE, "ges": FILES_BERKELEY, ".db": ndb_of(headers(FILES_SQLITE))}[path[-3:]]
    unread = 0
    for _ in range(60):
        mutant = bytearray(content)
        for _ in range(chance.randrange(1, 200)):
            mutant[chance.randrange(len(mutant))] = chance.randrange(256)
        files, codes = listed_files({path: bytes(mutant)}, "rpm", OF_RPM | OF_NOBODY)
        assert not files & OF_NOBODY
        unread += bool(codes)
    assert unread > 10

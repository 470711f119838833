"""Which files belong to a package manager, by its lists. Those of rpm are from rpm 4.18, in SQLite and Berkeley DB."""

from __future__ import annotations

import base64
import gzip
import hashlib
import random

import pytest
from guest_packages import FILES_BERKELEY, FILES_CONTENT, FILES_SQLITE, guest_with, header_of, headers, ndb_of
from hypothesis import given
from hypothesis import strategies as st

from douane_guest.budget import Budget
from douane_guest.errors import Broken, GuestError, TooMuch
from douane_guest.packages import installed, rpm_files
from douane_guest.packages.rpm_files import files_in
from douane_guest.unread import UnreadParts

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
    "/usr/share/gems/specifications/rack-2.0.gemspec",  # the name is in another folder
    "/usr/lib/node_modules_22/npm/node_modules/tar/METADATA",
    "/usr/local/lib/python3.12/site-packages/jinja2-3.1.1.dist-info/METADATA",
}
GHOST = f"{SITE}/ghost-1.dist-info/METADATA"


def listed_files(
    files: dict[str, bytes], manager: str, paths: set[str], content: bytes = FILES_CONTENT
) -> tuple[set[str], list[str]]:
    """Those of the paths, each of which has this content, that a manager has installed; the codes of what is unread."""
    guest = guest_with(files | {path[1:]: content for path in paths - {"/usr/lib"}})
    installed = guest.installed_files(guest.root, {manager}, paths)
    return set(installed), [part.code for part in guest.unread]


@pytest.mark.parametrize(
    ("path", "database"),
    [
        ("var/lib/rpm/rpmdb.sqlite", FILES_SQLITE),
        ("var/lib/rpm/Packages", FILES_BERKELEY),
        ("usr/lib/sysimage/rpm/Packages.db", ndb_of(headers(FILES_SQLITE))),
    ],
)
def test_rpms_files_in_three_databases(path: str, database: bytes) -> None:
    """A file that the package only claims (`%ghost`) may be anybody's, and so may one that was written over."""
    assert listed_files({path: database}, "rpm", OF_RPM | OF_NOBODY | {GHOST}) == (OF_RPM, [])
    assert listed_files({path: database}, "rpm", OF_RPM, b"another") == (set(), [])


def test_who_made_the_package_of_a_file_of_rpm() -> None:
    guest = guest_with({"var/lib/rpm/rpmdb.sqlite": FILES_SQLITE, "usr/share/many/zz": FILES_CONTENT})
    assert guest.installed_files(guest.root, {"rpm"}, {"/usr/share/many/zz"}) == {
        "/usr/share/many/zz": "Fedora Project"
    }


def digest(algorithm: str, content: bytes = FILES_CONTENT) -> str:
    return hashlib.new(algorithm, content).hexdigest()


@pytest.mark.parametrize(
    ("number", "algorithm"), [(None, "md5"), (1, "md5"), (2, "sha1"), (8, "sha256"), (9, "sha384"), (10, "sha512")]
)
def test_paths_of_packages_that_are_older_than_rpm_4(number: int | None, algorithm: str) -> None:
    """And the digests that rpm has had in its time."""
    old = header_of(
        (1000, [b"old"]),
        (1027, [path.encode() for path in sorted(OF_RPM)]),
        (1035, [digest(algorithm).encode()] * len(OF_RPM)),
        *([(5011, [number])] if number else []),
    )
    assert listed_files({"var/lib/rpm/Packages.db": ndb_of([old])}, "rpm", OF_RPM | OF_NOBODY) == (OF_RPM, [])


@pytest.mark.parametrize("number", [0, 3, 255])
def test_a_digest_of_another_algorithm_is_nobodys(number: int) -> None:
    new = header_of((1000, [b"new"]), (1027, [b"/usr/a"]), (1035, [digest("sha256").encode()]), (5011, [number]))
    assert listed_files({"var/lib/rpm/Packages.db": ndb_of([new])}, "rpm", {"/usr/a"}) == (set(), [])


MD5, SHA256 = digest("md5").encode(), digest("sha256").encode()
Q1, Q2 = (base64.b64encode(hashlib.new(name, FILES_CONTENT).digest()) for name in ("sha1", "sha256"))
SUMS = b"%s  usr/share/x y\n%s  usr/lib/b\n" % (MD5.upper(), MD5)
MTREE = (
    b"#mtree\n/set type=file uid=0 gid=0 mode=644\n./.PKGINFO time=1.0 size=35 sha256digest=00\n./usr type=dir\n"
    b"./usr/share/x\\040y time=1.0 size=35 md5digest=%s sha256digest=%s\n./usr/lib/b time=1.0 sha256digest=%s\n"
    b"./usr/share/d time=1.0 mode=777 type=link link=sha256digest=00\n" % (MD5, SHA256, SHA256)
)
LISTS = {
    "dpkg": {"var/lib/dpkg/info/libruby3.1:amd64.md5sums": SUMS},
    "dpkg without dpkg": {"var/lib/dpkg/status.d/base.md5sums": SUMS},
    "apk": {
        "lib/apk/db/installed": b"P:a\nV:1\nF:usr/share\nM:0:0:755\nR:x y\nZ:Q1%s\nR:d\n"
        b"F:usr/lib\nR:b\na:0:0:755\nZ:Q2%s\n" % (Q1, Q2)
    },
    "pacman": {"var/lib/pacman/local/a-1-1/mtree": gzip.compress(MTREE)},
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_other_managers(name: str) -> None:
    manager = name.split(maxsplit=1)[0]
    paths = {"/usr/share/x y", "/usr/lib/b", "/usr/share/b", "/usr/share/d", "/usr/lib"}
    assert listed_files(LISTS[name], manager, paths) == ({"/usr/share/x y", "/usr/lib/b"}, [])
    assert listed_files(LISTS[name], manager, paths, b"another") == (set(), [])
    for absent in {"dpkg", "rpm", "apk", "pacman"} - {manager}:
        assert not listed_files(LISTS[name], absent, paths)[0]


@pytest.mark.parametrize(
    ("manager", "lines", "is_listed"),
    [
        ("apk", b"F:usr/lib\nR:b\nZ:Q1A\nR:b\nZ:Q1%s" % Q1, True),
        ("apk", b"F:usr/lib\nR:b\nF:usr/share\nZ:Q1%s" % Q1, False),
        ("apk", b"F:usr/lib\nZ:Q1%s" % Q1, False),
        ("apk", b"F:usr/lib\nR:b\nZ:Q3%s" % Q1, False),
        ("pacman", b"./\\400\n./usr/lib/b sha256digest=abc\n./usr/lib/b sha256digest=%s" % SHA256, True),
        ("pacman", b"x/usr/lib/b sha256digest=%s" % SHA256, False),
        ("pacman", b"./usr/lib/b\n./usr/lib/c sha256digest=%s" % SHA256, False),
        ("dpkg", b"%s0  usr/lib/b\n%s usr/lib/b\n%s  \n" % (MD5, MD5, MD5), False),
    ],
)
def test_damaged_lines_are_nobodys_and_do_not_end_the_list(manager: str, lines: bytes, is_listed: bool) -> None:
    content = gzip.compress(lines) if manager == "pacman" else lines
    result = listed_files({next(iter(LISTS[manager])): content}, manager, {"/usr/lib/b"})
    assert result == ({"/usr/lib/b"} if is_listed else set(), [])


def test_what_a_list_unpacks_to_takes_steps() -> None:
    guest = guest_with({"var/lib/pacman/local/a-1-1/mtree": gzip.compress(bytes(1 << 20))})
    unread = UnreadParts()
    assert not installed.installed_files(guest.root, Budget(steps=50_000), unread, {"pacman"}, {"/usr/lib/b"})
    assert [part.code for part in unread] == ["guest-too-much"]


@pytest.mark.parametrize("manager", ["dpkg", "pacman"])
def test_empty_lines_take_steps(manager: str) -> None:
    lines = b"usr/lib\n" + b"\n" * (1 << 16)
    guest = guest_with({next(iter(LISTS[manager])): gzip.compress(lines) if manager == "pacman" else lines})
    unread = UnreadParts()
    assert not installed.installed_files(guest.root, Budget(steps=20_000), unread, {manager}, {"/usr/lib/b"})
    assert [part.code for part in unread] == ["guest-too-much"]


@pytest.mark.parametrize("bound", ["MAX_LIST", "MAX_LISTS"])
@pytest.mark.parametrize("name", ["dpkg", "dpkg without dpkg", "pacman"])
def test_a_list_beyond_the_bound_is_nobodys_and_unread(monkeypatch: pytest.MonkeyPatch, bound: str, name: str) -> None:
    monkeypatch.setattr(installed, bound, 10)
    assert listed_files(LISTS[name], name.split(maxsplit=1)[0], {"/usr/lib/b"}) == (set(), ["guest-too-much"])


def test_a_list_that_unpacks_to_more_than_the_bound_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = {"var/lib/pacman/local/a-1-1/mtree": gzip.compress(MTREE + bytes(10_000))}
    monkeypatch.setattr(installed, "MAX_LIST", 5000)
    assert listed_files(bomb, "pacman", {"/usr/lib/b"}) == (set(), ["guest-too-much"])
    cut = {"var/lib/pacman/local/a-1-1/mtree": gzip.compress(MTREE)[:-20]}
    assert listed_files(cut, "pacman", {"/usr/lib/b"}) == (set(), ["guest-too-much"])
    plain = {"var/lib/pacman/local/a-1-1/mtree": MTREE}
    assert listed_files(plain, "pacman", {"/usr/lib/b"}) == (set(), ["guest-broken"])


def test_a_file_that_is_too_long_to_describe_a_package_is_nobodys() -> None:
    content = bytes((1 << 20) + 1)
    sums = {"var/lib/dpkg/info/a.md5sums": f"{digest('md5', content)}  usr/lib/b\n".encode()}
    assert listed_files(sums, "dpkg", {"/usr/lib/b"}, content) == (set(), [])


def test_a_header_with_more_files_than_any_package_is_nobodys_and_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpm_files, "MAX_FILES", 2)
    many = header_of((1000, [b"many"]), (1116, [0] * 3), (1117, [b"x"] * 3), (1118, [b"/usr/lib/"]))
    assert listed_files({"var/lib/rpm/Packages.db": ndb_of([many])}, "rpm", {"/usr/lib/x"}) == (
        set(),
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
    assert [file.path for file in files_in(header, {b"/a/", b"/b/"}, Budget())] == expected


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


TAGS = st.sampled_from((1027, 1035, 1037, 1116, 1117, 1118, 5011))
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
    assert all(file.path.startswith(b"/a/") for file in files)


PARTS = (b"./usr/lib/b", b"usr/lib/b", b"F:usr/lib", b"R:b", b"Z:", b"Q1", b"Q2", b" sha256digest=", b" md5=", b"  ")
PARTS += (b"\n", b"\n", b"\0", b"\xff", b"\\400", b"0", b"a", MD5, SHA256, Q1, Q2)


@given(
    st.sampled_from(sorted(LISTS)),
    st.lists(st.sampled_from(PARTS)),
)
def test_any_list_owns_nothing_that_is_not_in_it(name: str, parts: list[bytes]) -> None:
    content = b"".join(parts)
    content = gzip.compress(content, 0) if name == "pacman" else content
    result, unread = listed_files(
        {next(iter(LISTS[name])): content}, name.split(maxsplit=1)[0], {"/usr/lib/b", "/usr/lib/other"}
    )
    assert result <= ({"/usr/lib/b"} if {b"usr/lib/b", b"./usr/lib/b", b"F:usr/lib"} & {*parts} else set())
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

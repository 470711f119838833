"""Systems that are made to hide something: what their guest sees is shown, or is unread."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from guest_packages import BERKELEY, guest_with, headers, ndb_of
from memory_filesystem import MemorySystem, Object, folder, link, text

from douane_guest.budget import Budget
from douane_guest.errors import Broken, TooMuch
from douane_guest.files import GuestFile
from douane_guest.filesystems.base import FILE
from douane_guest.guest import Guest
from douane_guest.packages import berkeley, ndb, registry
from douane_guest.packages.rpm import parse_header
from douane_guest.source import BytesSource
from douane_guest.unread import UnreadParts
from douane_guest.volume import Volume

MIB = 1 << 20


def guest_of(*systems: MemorySystem) -> Guest:
    budget, unread = Budget(), UnreadParts()
    volumes = [
        Volume(f"p{number}", BytesSource(b""), system, budget, unread) for number, system in enumerate(systems, 1)
    ]
    return Guest(None, volumes, budget, unread)


def codes(guest: Guest) -> list[str]:
    return [part.code for part in guest.unread]


def with_fstab(lines: str, **children: Object) -> Guest:
    """A system whose /etc has a file "real", and a volume with a file "decoy"."""
    etc = folder({"fstab": text(lines), "real": text("r")})
    return guest_of(MemorySystem({"etc": etc, **children}, uuid="a"), MemorySystem({"decoy": text("d")}, uuid="b"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("UUID=b /etc ext4 noauto", []),
        ("UUID=b /etc vfat nofail", ["guest-broken"]),
        ("overlay /etc overlay lowerdir=/a,upperdir=/b", ["guest-unknown"]),
        ("/images/x /etc squashfs loop", ["guest-unknown"]),
        ("#\n" * 5000, []),
        ("tmpfs /a tmpfs\n" * 1001, ["guest-too-much"]),
    ],
)
def test_a_mount_that_the_guest_does_not_make_hides_nothing(line: str, expected: list[str]) -> None:
    guest = with_fstab(line, images=folder({"x": text("")}))
    assert guest.exists("etc/real")
    assert codes(guest) == expected


@pytest.mark.parametrize(
    "line", ["UUID=b /link ext4 defaults", "#\n" * 3000 + "UUID=b /etc ext3", "UUID=b /etc auto x"]
)
def test_a_mount_is_shown_where_the_guest_makes_it(line: str) -> None:
    guest = with_fstab(line, link=link("etc"))
    assert guest.list("etc") == ["decoy"]
    assert not codes(guest)


def test_a_folder_that_is_mounted_elsewhere_is_shown_there() -> None:
    guest = with_fstab("/hidden/keys /etc none bind", hidden=folder({"keys": folder({"key": text("k")})}))
    assert guest.read("etc/key") == b"k"
    assert {item.path for item in guest.walk()} == {
        "/",
        "/etc",
        "/etc/key",
        "/hidden",
        "/hidden/keys",
        "/hidden/keys/key",
    }


def test_a_root_that_is_no_folder_is_unread() -> None:
    system = MemorySystem({})
    system.root = Object(FILE, b"no folder")
    guest = guest_of(system)
    assert not guest.roots
    assert not list(guest.walk_volumes())
    assert set(codes(guest)) == {"guest-broken"}


def test_etc_that_is_a_link_to_itself_is_no_system_and_os_release_in_a_pipe_is_none() -> None:
    assert not guest_of(MemorySystem({"etc": link("etc")})).roots
    pipe = Object("fifo")
    guest = guest_of(MemorySystem({"etc": folder({"os-release": pipe, "passwd": text("")})}))
    assert (guest.os, codes(guest)) == ({}, [])


def test_an_os_release_of_an_exbibyte_is_unread() -> None:
    huge = text("")
    huge.size = 1 << 60
    guest = guest_of(MemorySystem({"etc": folder({"os-release": huge})}))
    assert (guest.os, codes(guest)) == ({}, ["guest-too-much"])


def test_packages_that_dpkg_did_not_finish_are_there_and_blanks_before_a_colon_are_nothing() -> None:
    guest = guest_with(
        {
            "var/lib/dpkg/status": b"Package : a\nStatus: install ok unpacked\n\n"
            b"Package: b\nStatus: install ok half-configured\n\nPackage: c\nStatus: purge ok not-installed\n\n"
            b"Version: 1\nStatus: install ok installed\n\nPackage: d\n"
        }
    )
    assert [package.name for package in guest.packages()] == ["a", "b", "d"]
    assert codes(guest) == ["guest-broken"], "the fourth has no name"


def test_packages_behind_links_are_there() -> None:
    guest = guest_with({"opt/modules/left/package.json": b'{"name": "left", "version": "1"}', "usr/lib/x": b""})
    guest.volumes[0].system.root.children.append((b"opt2", folder({"python": folder({})})))
    usr = dict(dict(guest.volumes[0].system.root.children)[b"usr"].children)[b"lib"]
    usr.children.append((b"node_modules", link("/opt/modules")))
    dist = folder({"six-1.dist-info": link("/opt/six"), "yaml-2.dist-info": folder({"METADATA": link("/opt/yaml")})})
    usr.children.append((b"python3", folder({"site-packages": dist})))
    opt = dict(guest.volumes[0].system.root.children)[b"opt"]
    opt.children += [(b"six", folder({"METADATA": text("Name: six\nVersion: 1\n")})), (b"yaml", text("Name: yaml\n"))]
    assert {package.name for package in guest.packages()} == {"left", "six", "yaml"}


def test_a_list_of_packages_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "MAX_PACKAGES", 3)
    guest = guest_with({"var/lib/dpkg/status": b"\n\n".join(b"Package: p%d" % number for number in range(5))})
    assert len(guest.packages()) == 3
    assert codes(guest) == ["guest-too-much"]


class Endless:
    """The system of a file without end, each of whose pieces is the same."""

    def chunks(self, node, start=0):
        place = start // 4096 * 4096
        while place < node.size:
            yield place, (b"Package: p\n\n" * 342)[:4096]
            place += 4096


def test_a_status_of_two_gigabytes_is_unread_and_one_paragraph_without_end_is() -> None:
    guest = guest_with({"var/lib/dpkg/status": b"x" * (2 * MIB)})
    assert not guest.packages()
    assert codes(guest) == ["guest-too-much"]
    status = text("")
    status.size = 2 << 30
    guest = guest_of(
        MemorySystem(
            {"etc": folder({"passwd": text("")}), "var": folder({"lib": folder({"dpkg": folder({"status": status})})})}
        )
    )
    assert not guest.packages()
    assert codes(guest) == ["guest-too-much"]


def test_a_header_of_rpm_that_is_shared_by_many_entries_costs_steps() -> None:
    content = ndb_of(headers())
    length = struct.unpack_from("<I", content, 4096 + 12)[0]
    slot = content[32:48]
    shared = content[:32] + slot * 254 + content[4096:]
    with pytest.raises(TooMuch):
        list(ndb.blobs(BytesSource(shared), Budget(steps=200 * (length // 64))))


def test_what_a_database_of_rpm_cannot_have_is_broken() -> None:
    with pytest.raises(Broken, match="no name"):
        parse_header(struct.pack(">II", 0, 0), "")
    page = next(number for number in range(4096, len(BERKELEY), 4096) if BERKELEY[number + 25] in (2, 13))
    other = bytearray(BERKELEY)
    other[page + 25] = 5
    with pytest.raises(Broken, match="kind 5"):
        list(berkeley.values(BytesSource(bytes(other)), Budget()))


def test_a_file_whose_extents_are_shared_a_million_times_is_bounded_by_what_is_delivered() -> None:
    node = MemorySystem({}).node(text(""))._replace(size=1 << 50)
    file = GuestFile(Endless(), node, Budget(delivered=MIB))  # type: ignore[arg-type]
    with pytest.raises(TooMuch):
        file.sha256()


def test_a_database_behind_long_links_is_read_as_the_guest_reads_it() -> None:
    """Linux takes 40 links of 4,096 bytes; nothing must be missing that it finds."""
    guest = guest_with({"var/lib/dpkg/real": b"Package: hidden\n", "var/lib/dpkg/x": b""})
    lib = dict(dict(guest.volumes[0].system.root.children)[b"var"].children)[b"lib"]
    dpkg = dict(lib.children)[b"dpkg"]
    names = ["status", *(f"link{number}" for number in range(35)), "real"]
    for name, target in pairwise(names):
        dpkg.children.append((name.encode(), link("./" * 2000 + target)))
    assert [package.name for package in guest.packages()] == ["hidden"]
    assert not codes(guest)

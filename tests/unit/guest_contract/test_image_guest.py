"""`image.guest`: what a plugin sees of a guest, and that nothing unread is clean, whatever the plugin does."""

from __future__ import annotations

import subprocess
import sys

import pytest
from memory_filesystem import MemorySystem, folder, link, text

import douane_plugin
from douane_guest.budget import Budget
from douane_guest.containers.raw import RawDisk
from douane_guest.errors import Broken, GuestError
from douane_guest.guest import Guest as GuestOfDisk
from douane_guest.source import BytesSource
from douane_guest.unread import UnreadParts
from douane_guest.volume import Volume
from douane_plugin import Guest, Incomplete, Inspector
from douane_plugin.testing import WrongConfiguration, run

DPKG = (
    "Package: telnetd\nStatus: install ok installed\nArchitecture: amd64\nVersion: 0.17-44\n"
    "Source: netkit-telnet (0.17)\nMaintainer: Debian QA Group\n"
)


class DamagedSystem(MemorySystem):
    """Files with "bad" as their text cannot be read."""

    def chunks(self, node, start=0):
        if node.ref.data == b"bad":
            raise Broken("an extent lies outside of the disk")
        yield from super().chunks(node, start)

    def xattrs(self, node):
        if node.ref.data == b"bad":
            raise Broken("a block of attributes is damaged")
        return {b"user.caf\xe9": b"\0\xff"} if node.kind == "file" else {}


def tree(**more):
    return {
        "etc": folder(
            {
                "os-release": text("ID=debian\nVERSION_ID=12\n"),
                "shadow": text("root:*:1::::::\n"),
                "link": link("../usr/bin"),
                **more,
            }
        ),
        "usr": folder({"bin": folder({"true": text("#!"), "caf\udce9": text("latin")})}),
        "var": folder({"lib": folder({"dpkg": folder({"status": text(DPKG)})})}),
    }


def guest_of(*systems, disk=None):
    budget, unread = Budget(), UnreadParts()
    volumes = [Volume(f"p{number}", BytesSource(b""), system, budget, unread) for number, system in enumerate(systems)]
    return Guest(GuestOfDisk(disk, volumes, budget, unread), GuestError)


@pytest.fixture
def guest():
    return guest_of(DamagedSystem(tree(broken=text("bad"))), MemorySystem({"data": text("x")}, name="xfs"))


def test_a_plugin_sees_systems_packages_and_files(guest):
    assert dict(guest.os) == {"ID": "debian", "VERSION_ID": "12"}
    package = guest.package("telnetd")
    assert (package.version, package.kind, package.architecture) == ("0.17-44", "dpkg", "amd64")
    assert (package.source, package.path) == ("netkit-telnet", "/var/lib/dpkg/status")
    assert (package.source_version, package.origin) == ("0.17", "Debian QA Group")
    root = guest.roots[0]
    assert (dict(root.os), [package.name for package in root.packages()]) == (dict(guest.os), ["telnetd"])
    assert guest.package("missing") is None
    assert [package.name for package in guest.packages()] == ["telnetd"]
    assert guest.read("etc/shadow") == b"root:*:1::::::\n"
    with guest.open("/etc/shadow") as file:
        assert (file.size, file.read(4), file.seek(-2, 2), file.read()) == (15, b"root", 13, b":\n")
    assert list(guest.open("/etc/os-release")) == [b"ID=debian\n", b"VERSION_ID=12\n"]
    assert [guest.exists(path) for path in ("/etc/shadow", "/etc/none", "/etc/link/true")] == [True, False, True]
    assert sorted(guest.list("/usr/bin")) == ["caf\udce9", "true"]
    assert guest.roots[0].volume is guest.volumes[0]
    volume = guest.volumes[1]
    assert (volume.name, volume.filesystem, volume.uuid, volume.clean) == ("p1", "xfs", "", True)
    assert volume.read("/data") == b"x"


def test_entries_are_as_stat_shows_them(guest):
    entry = guest.stat("/etc/link", follow=False)
    assert (entry.path, entry.volume, entry.kind, entry.link) == ("/etc/link", "p0", "link", "../usr/bin")
    assert guest.stat("/etc/link").path == "/usr/bin"
    true = guest.stat("/etc/link/true")
    assert (true.mode, true.uid, true.gid, true.size, true.mtime_ns, true.link) == (0o644, 0, 0, 2, 0, None)
    assert true.open().read() == b"#!"
    assert "/usr/bin/caf\udce9" in [entry.path for entry in guest.walk()]
    assert [entry.path for entry in guest.glob("/usr/**/t*")] == ["/usr/bin/true"]


def test_extended_attributes_are_bytes_by_whole_names(guest):
    assert dict(guest.xattrs("/etc/link/true")) == {"user.caf\udce9": b"\0\xff"}
    assert [dict(guest.xattrs("/etc/link", follow=follow)) for follow in (True, False)] == [{}, {}]
    assert dict(guest.volumes[1].stat("data").xattrs) == {}
    with pytest.raises(TypeError):
        guest.xattrs("/etc/shadow")["user.x"] = b""
    with pytest.raises(Incomplete, match="p0:/etc/broken: a block of attributes is damaged"):
        guest.xattrs("/etc/broken")
    assert [(part.place, part.code) for part in guest.unread] == [("p0:/etc/broken", "guest-broken")]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda guest: guest.xattrs("/none"), FileNotFoundError),
        (lambda guest: guest.read("/none"), FileNotFoundError),
        (lambda guest: guest.list("/etc/shadow"), NotADirectoryError),
        (lambda guest: guest.open("/etc"), IsADirectoryError),
        (lambda guest: guest.stat("/etc").open(), IsADirectoryError),
        (lambda guest: list(guest.walk("/none")), FileNotFoundError),
        (lambda guest: guest_of().read("/etc/passwd"), FileNotFoundError),
    ],
)
def test_wrong_paths_raise_what_python_raises(guest, call, error):
    with pytest.raises(error):
        call(guest)
    assert guest.unread == ()


def test_what_cannot_be_read_is_the_answer_and_is_listed(guest):
    for call in (guest.read, lambda path: guest.open(path).read(), lambda path: guest.stat(path).open().read()):
        with pytest.raises(Incomplete, match="p0:/etc/broken: an extent lies outside of the disk") as caught:
            call("/etc/broken")
        assert caught.value.code == "guest-broken"
    with pytest.raises(Incomplete, match="more than the 3 that are read") as caught:
        guest.read("/etc/shadow", most=3)
    assert caught.value.code == "guest-too-much"
    assert [(part.place, part.code) for part in guest.unread] == [
        ("p0:/etc/broken", "guest-broken"),
        ("p0:/etc/shadow", "guest-too-much"),
    ]


def test_parts_that_become_known_after_the_list_was_asked_for_are_not_clean(guest):
    assert guest.unread == ()
    guest._check_unread()
    with pytest.raises(Incomplete):
        guest.read("/etc/broken")
    with pytest.raises(Incomplete, match="1 part of the image could not be read, and the check did not ask for that"):
        guest._check_unread()
    assert len(guest.unread) == 1
    guest._check_unread()


def test_the_disk_is_read_in_extents():
    disk = guest_of(disk=RawDisk(BytesSource(bytes(512) + b"data"), Budget())).disk
    assert (disk.size, disk.format, disk.pread(510, 4), disk.pread(514, 9)) == (516, "raw", b"\0\0da", b"ta")
    assert disk.pread(9999, 1) == b""
    assert sum(length for _, length, _ in disk.extents()) == 516
    with pytest.raises(ValueError, match="0 or more"):
        disk.pread(-1, 1)


class Reading(Inspector):
    """Reads as the parameter says, and accepts."""

    reads = "guest"

    def __init__(self, reading: str) -> None:
        self.reading = reading

    def inspect(self, image):
        assert image.file.read(4) == image.guest.disk.pread(0, 4) if self.reading == "both" else True
        if self.reading == "asked":
            assert [part.code for part in image.guest.unread] == ["guest-encrypted"]
        if self.reading == "name":
            raise Incomplete("odd-name", "caf\udce9")


LUKS = b"LUKS\xba\xbe\0\2" + bytes(8184)


@pytest.mark.parametrize(
    ("reading", "outcome", "code"),
    [
        ("nothing", "incomplete", "guest-encrypted"),
        ("both", "incomplete", "guest-encrypted"),
        ("asked", "accepted", None),
    ],
)
def test_an_accept_of_an_image_that_could_not_be_read_needs_the_question(reading, outcome, code):
    result = run(Reading, LUKS, config={"reading": reading})
    assert (result.outcome, result.code) == (outcome, code)
    assert outcome == "accepted" or "the check did not ask for that" in result.message


@pytest.mark.parametrize(
    ("disk_format", "code"),
    [("raw", None), ("iso", None), (None, None), ("qcow2", "guest-unknown"), ("vhd", "guest-unknown")],
)
def test_a_disk_that_is_not_what_the_image_is_said_to_be_is_not_clean(disk_format, code):
    """A hypervisor goes by the word: it would show another disk than the one that the plugin has seen."""
    result = run(Reading, bytes(4096), config={"reading": "nothing"}, declared={"disk_format": disk_format})
    assert (result.outcome, result.code) == ("accepted" if code is None else "incomplete", code)


def test_names_of_the_image_that_are_no_text_are_shown_in_messages():
    assert run(Reading, LUKS, config={"reading": "name"}).message == "caf\\xe9"


def test_only_plugins_that_read_guests_have_one():
    class Other(Inspector):
        def inspect(self, image):
            return {"os": image.guest.os}

    with pytest.raises(ValueError, match=r"image\.guest is for plugins that declare reads = 'guest', not 'stream'"):
        run(Other, b"")


def test_a_python_without_douane_guest_is_a_configuration_that_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "douane_guest.guest", None)
    with pytest.raises(WrongConfiguration, match=r"install douane-plugin\[guest\] there"):
        run(Reading, b"", config={"reading": "nothing"})


def test_plugins_that_read_no_guest_do_not_pay_for_it():
    code = "import sys, douane_plugin; print([name for name in sys.modules if 'guest' in name or '_files' in name])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
    assert all(hasattr(douane_plugin, name) for name in douane_plugin.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        douane_plugin.nothing  # noqa: B018


def test_a_guest_that_fails_in_another_way_is_a_failure_of_the_plugin():
    class Failing(Inspector):
        reads = "guest"

        def inspect(self, image):
            raise KeyError(image.guest.disk.size)

    with pytest.raises(KeyError):
        run(Failing, bytes(512))

"""`guest_image` of the test kit: e2fsck has no complaints, and the guest has the files."""

from __future__ import annotations

import subprocess

import pytest

from douane_guest.guest import open_guest
from douane_guest.source import BytesSource
from douane_plugin import Inspector
from douane_plugin.testing import guest_image, run

FILES = {
    "/etc/os-release": "ID=example\n",
    "usr/bin/tool": b"\x7fELF" * 5000,
    "/empty/": "",
    "/nothing": b"",
    **{f"/many/name-{number:0200d}": str(number) for number in range(100)},
}


def test_the_image_is_a_file_system_that_its_own_checker_accepts(tmp_path):
    image = tmp_path / "guest.img"
    links = {"/bin": "usr/bin", "/long": "x" * 100}
    attributes = {
        "/usr/bin/tool": {"security.capability": b"\1\0\0\2" + bytes(16), "user.note": b"", "user.other": b"odd"},
        "/empty": {"security.selinux": b"system_u:object_r:etc_t:s0\0"},
        "/bin": {"trusted.x": b"y"},
    }
    image.write_bytes(guest_image(FILES, links=links, modes={"/usr/bin/tool": 0o4755}, xattrs=attributes))
    ended = subprocess.run(["e2fsck", "-fn", image], check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout
    guest = open_guest(BytesSource(image.read_bytes()))
    assert (guest.os, guest.read("/bin/tool"), guest.list("/empty")) == ({"ID": "example"}, FILES["usr/bin/tool"], [])
    assert (guest.stat("/bin/tool").node.mode, guest.stat("/long", follow=False).link) == (0o4755, "x" * 100)
    assert guest.read(f"/many/name-{77:0200d}") == b"77"
    assert len(guest.list("/many")) == 100
    for path, expected in attributes.items():
        item = guest.stat(path, follow=False)
        assert item.volume.system.xattrs(item.node) == {name.encode(): value for name, value in expected.items()}
    assert list(guest.unread) == []


@pytest.mark.parametrize(
    ("files", "links"),
    [
        ({"/a": "", "/a/b": ""}, {}),
        ({"/a": "", "a": ""}, {}),
        ({"/a": ""}, {"/a": "b"}),
        ({"/a/../b": ""}, {}),
        ({"/" + "n" * 256: ""}, {}),
        ({"/": "x"}, {"/": "y"}),
        ({"/large": bytes(129 << 20)}, {}),
    ],
)
def test_what_no_file_system_can_hold_is_refused(files, links):
    with pytest.raises(ValueError, match=r"path|folder|fit|there"):
        guest_image(files, links=links)


class Count(Inspector):
    """Joins the paths and the contents of all files."""

    reads = "files"

    def inspect(self, image):
        parts = [
            f"{file.volume}:{file.path}={b''.join(map(bytes, file)).decode()}"
            for file in image.files()
            if file.kind == "file"
        ]
        return {"files": ",".join(sorted(parts)), "unread": len(image.unread)}


@pytest.mark.parametrize("chunks", [None, 1, 4096, "random"])
def test_a_plugin_that_reads_files_gets_those_of_the_image_however_their_records_are_cut(chunks):
    image = guest_image({"/a": "first", "/b/c": "second"})
    result = run(Count, image, chunks=chunks)
    assert result.properties == {"files": "disk:/a=first,disk:/b/c=second", "unread": 0}


def test_the_test_kit_answers_in_the_place_of_a_plugin_that_does_not_ask():
    class Blind(Inspector):
        reads = "files"

        def inspect(self, image):
            return {"files": sum(file.kind == "file" for file in image.files())}

    assert run(Blind, guest_image({"/a": "first"})).properties == {"files": 1}
    result = run(Blind, b"LUKS\xba\xbe\0\2" + bytes(8184))
    assert (result.outcome, result.code) == ("incomplete", "guest-encrypted")

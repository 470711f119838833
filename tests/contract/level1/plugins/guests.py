import os

from douane_plugin import (
    Guest,
    GuestDisk,
    GuestEntry,
    GuestFile,
    GuestPackage,
    GuestRoot,
    GuestVolume,
    Incomplete,
    Inspector,
    Reject,
    UnreadPart,
    Volume,
)


class Guests(Inspector):
    reads = "guest"

    def __init__(self, how: str = "all"):
        self.how = how

    def inspect(self, image):
        guest = image.guest
        if self.how == "blind":
            return None
        package = guest.package("telnetd")
        if package is not None:
            raise Reject("telnetd", f"{package.name} {package.version} {package.kind} is installed")
        assert guest.package("none") is None and [package.name for package in guest.packages()] == ["bash"]
        tool_file = guest.open("/usr/bin/tool")
        for value, expected in (
            (guest, Guest), (guest.disk, GuestDisk), (guest.stat("/"), GuestEntry), (tool_file, GuestFile),
            (guest.packages()[0], GuestPackage), (guest.roots[0], GuestRoot), (guest.volumes[0], GuestVolume),
            (guest.volumes[0], Volume),
        ):
            assert isinstance(value, expected)
        (bash,) = guest.packages()
        assert (bash.version, bash.kind, bash.architecture, bash.source, bash.path) == (
            "5.2", "dpkg", "all", "", "/var/lib/dpkg/status"
        )
        assert tool_file.size == 5000 and tool_file.seek(4) == 4 and tool_file.read(2) == b"\0\0"
        assert guest.roots[0].read("/etc/shadow") == guest.volumes[0].read("/etc/shadow") == b"root:*:1::::::\n"
        assert guest.disk.format == "raw"
        assert guest.os["ID"] == "example" and image.file.read(4) == guest.disk.pread(0, 4)
        assert sum(length for _, length, _ in guest.disk.extents()) == guest.disk.size == os.path.getsize(image.path)
        (volume,) = guest.volumes
        assert (volume.name, volume.filesystem, volume.label, volume.clean) == ("disk", "ext4", "", True) and volume.uuid
        assert [root.volume for root in guest.roots] == [volume]
        assert guest.exists("/bin/tool") and not guest.exists("/none")
        assert sorted(guest.list("/etc")) == ["os-release", "shadow"]
        assert [entry.path for entry in guest.glob("/usr/*/t*")] == ["/usr/bin/tool"]
        link = guest.stat("/bin", follow=False)
        assert (link.kind, link.link, guest.stat("/bin").kind) == ("link", "usr/bin", "dir")
        tool = guest.stat("/bin/tool")
        assert (tool.path, tool.volume, tool.mode, tool.uid, tool.gid, tool.size) == (
            "/usr/bin/tool", "disk", 0o4755, 0, 0, 5000
        )
        assert tool.mtime_ns and tool.open().read() == guest.read("/usr/bin/tool") == guest.open("bin/tool").read()
        for path, error in (("/none", FileNotFoundError), ("/etc", IsADirectoryError), ("/bin/tool/x", NotADirectoryError)):
            try:
                guest.read(path)
            except error:
                pass
        paths = sorted(entry.path for entry in guest.walk())
        try:
            guest.read("/usr/bin/tool", most=10)
        except Incomplete as error:
            assert error.code == "guest-too-much"
        codes = [part.code for part in guest.unread]
        assert isinstance(guest.unread[0], UnreadPart)
        return {"paths": len(paths), "codes": ",".join(codes), "place": guest.unread[0].place, "why": bool(guest.unread[0].why)}

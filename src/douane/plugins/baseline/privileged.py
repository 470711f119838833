"""The files that have set-id bits or capabilities in the packages of distributions, and whether a path is among them.

`/usr` is left out and `sbin` is `bin`: where a program lies depends on how far a release has merged these folders.
"""

from __future__ import annotations

import fnmatch

from .rules import ALPINE, DEBIAN, FEDORA, LINUX, PROFILES, UBUNTU

_EVERYWHERE = """
bin/at bin/chage bin/chfn bin/chsh bin/crontab bin/expiry bin/fusermount bin/fusermount3 bin/gpasswd bin/mount
bin/newgrp bin/newgidmap bin/newuidmap bin/passwd bin/pkexec bin/ping bin/ping6 bin/postdrop bin/postqueue bin/sg bin/su
bin/sudo bin/sudoedit bin/umount bin/unix_chkpwd bin/wall bin/write bin/write.ul bin/mount.nfs bin/mount.cifs
lib/polkit-1/polkit-agent-helper-1
"""
_DEBIAN = """
bin/bsd-write bin/dotlockfile bin/exim4 bin/mail-lock bin/mail-touchlock bin/mail-unlock bin/ntfs-3g bin/pppd
bin/screen bin/ssh-agent bin/traceroute6.iputils bin/mlocate bin/plocate
lib/dbus-1.0/dbus-daemon-launch-helper lib/eject/dmcrypt-get-device lib/openssh/ssh-keysign
lib/*/utempter/utempter lib/utempter/utempter
"""
_SETUID = {
    DEBIAN: _DEBIAN,
    UBUNTU: _DEBIAN + "bin/pam_extrausers_chkpwd lib/snapd/snap-confine lib/cargo/bin/su lib/cargo/bin/sudo",
    FEDORA: """
    bin/grub2-set-bootflag bin/ksu bin/locate bin/lockdev bin/pam_timestamp_check bin/userhelper bin/usernetctl
    bin/userisdnctl bin/ssh-agent lib/polkit-1/polkit-agent-helper-1 lib64/dbus-1/dbus-daemon-launch-helper
    libexec/cockpit-session libexec/dbus-1/dbus-daemon-launch-helper libexec/openssh/ssh-keysign
    libexec/qemu-bridge-helper libexec/sssd/* libexec/utempter/utempter bin/staprun bin/fusermount-glusterfs
    """,
    ALPINE: """
    bin/bbsuid bin/doas bin/bsd-write lib/dbus-1.0/dbus-daemon-launch-helper libexec/dbus-daemon-launch-helper
    lib/ssh/ssh-keysign bin/sudo-rs bin/su-rs
    """,
    LINUX: "",
}
_CAPABLE = """
bin/arping bin/clockdiff bin/dumpcap bin/mtr-packet bin/newgidmap bin/newuidmap bin/ping bin/rcp bin/rlogin bin/rsh
bin/suexec bin/systemd-detect-virt bin/tracepath6 lib/*/gstreamer1.0/gstreamer-1.0/gst-ptp-helper
libexec/gstreamer-1.0/gst-ptp-helper libexec/sssd/* lib/snapd/snap-confine bin/mlocate bin/fping
"""

SETUID = {profile: frozenset((_EVERYWHERE + _SETUID.get(profile, "")).split()) for profile in PROFILES}
SETUID[LINUX] = frozenset().union(*SETUID.values())
CAPABLE = frozenset(_CAPABLE.split())


class Paths:
    """A list of paths, some with `*`."""

    def __init__(self, listed: frozenset[str], added: list[str]) -> None:
        paths = listed | {bare(path) for path in added}
        self._paths = frozenset(path for path in paths if "*" not in path)
        self._patterns = tuple(path for path in paths if "*" in path)

    def __contains__(self, path: str) -> bool:
        name = bare(path)
        return name in self._paths or any(fnmatch.fnmatchcase(name, pattern) for pattern in self._patterns)


def bare(path: str) -> str:
    """A path as the lists have it."""
    name = path.lstrip("/").removeprefix("usr/")
    return "bin/" + name.removeprefix("sbin/") if name.startswith("sbin/") else name

"""Images for a cloud as they should be, one for each profile, and faults that can be planted in them: at least one for
each rule of the inspector `baseline`.

    build(folder / "disk.img", "debian", FAULTS["root-password"])

It needs `mkfs.ext4` and `debugfs`, and no root.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from windows_hives import windows_hive

LOADER = b"\xeb\x63GRUB".ljust(510, b"\0") + b"\x55\xaa"
"""A boot sector. ext4 leaves the first 1,024 bytes of the disk to such."""
HASHES_OF_TOOR = {
    "md5": "$1$saltsalt$fz9m3OoeOUZ50I722c9rH/",
    "sha256": "$5$saltsalt$KS2O/frx9VfZSuO8w8TmD12pwbGJ87yjt.0fQrwSHU5",
    "sha512": "$6$saltsalt$imNpoTToxg0uElWe0jkumPeYaSbMjdfpMltx4ujhl6fBM0Kbfp4goTvuYuH/9J.53A/DGQiRrlELi.Z/L.rQo/",
    "yescrypt": "$y$j9T$saltsalt$3sO8YnjmlgC4UdVhUZioq1qR/6MjQ.W2k4KOzcpucE2",
}
"""By crypt(3)."""

MD5_OF_A_SECRET = "$1$saltsalt$" + "x" * 22
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA5hSFd4yr8yQFYdSkWyEG0Vp9cW2iFpTnbrVpsZgcWq somebody"
VAGRANT_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIN1YdxBpNlzxDqfJyw/QKow1F+wvG9hXGoqiysfJOn5Y anybody"
LABEL = "system_u:object_r:etc_t:s0"
CAPABILITIES = "\\x01\\x00\\x00\\x02\\x00\\x20\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00"
"""cap_net_raw, as debugfs reads it."""

PASSWD = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n"
SHADOW = "root:*:19000::::::\nuser:!:19000::::::\n"
UNATTEND = "<unattend><AdministratorPassword><Value>cGFzcw==</Value></AdministratorPassword></unattend>"

_LINUX = {
    "etc/passwd": PASSWD,
    "etc/shadow": SHADOW,
    "etc/machine-id": "",
    "etc/fstab": "LABEL=root / ext4 defaults 0 1\n",
    "etc/ssh/sshd_config": "PermitRootLogin prohibit-password\nPasswordAuthentication no\nPermitRootLogin yes\n",
    "etc/sudoers": "root ALL=(ALL:ALL) ALL\n%sudo ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n",
    "etc/sudoers.d/90-cloud-init-users": "debian ALL=(ALL) NOPASSWD:ALL\n",
    "etc/cloud/cloud.cfg": "users:\n  - default\nsystem_info:\n  default_user:\n    name: debian\n",
    "usr/bin/cloud-init": "#!/usr/bin/python3\n",
    "usr/bin/su": "su",
    "usr/bin/ping": "ping",
    "boot/vmlinuz-6.12": "kernel",
    "boot/grub/grub.cfg": "linux /vmlinuz-6.12 root=LABEL=root\n",
    "var/log/wtmp": "",
    "var/spool/print/.keep": "",
    "tmp/.X11-unix/.keep": "",
}
_SYSTEMD = {
    "usr/lib/systemd/systemd": "systemd",
    "etc/systemd/system/cloud-init.target.wants/cloud-init.service": "",
}
TREES: dict[str, dict[str, str | bytes]] = {
    "debian": {**_LINUX, **_SYSTEMD, "etc/os-release": "ID=debian\nVERSION_ID=13\n"},
    "ubuntu": {**_LINUX, **_SYSTEMD, "etc/os-release": "ID=ubuntu\nID_LIKE=debian\n"},
    "fedora": {
        **_LINUX,
        **_SYSTEMD,
        "etc/os-release": 'ID=rocky\nID_LIKE="rhel centos fedora"\n',
        "etc/selinux/config": "# SELINUX=disabled\nSELINUX=enforcing\n",
    },
    "alpine": {
        **_LINUX,
        "etc/os-release": "ID=alpine\n",
        "sbin/openrc": "openrc",
        "etc/runlevels/default/cloud-init": "",
    },
    "windows": {
        "Windows/System32/config/SOFTWARE": windows_hive(),
        "Windows/System32/ntoskrnl.exe": "MZ",
        "Windows/Setup/State/State.ini": "[State]\r\nImageState=IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE\r\n",
        "Windows/Panther/unattend.xml": UNATTEND.replace("cGFzcw==", "*SENSITIVE*DATA*DELETED*"),
        "Program Files/Cloudbase Solutions/Cloudbase-Init/conf/cloudbase-init.conf": "[DEFAULT]\n",
    },
    "linux": {**_LINUX, "etc/os-release": "ID=arch\n"},
}
"""The files of a clean image by profile; `etc/shadow` and others are as distributions have them."""

_MODES = {"var/spool/print": 0o1777, "usr/bin/su": 0o4755, "usr/bin/ping": 0o755}


class Fault(NamedTuple):
    """A fault, and the rule that it breaks."""

    rule: str
    files: Mapping[str, str | bytes | None] = {}
    """Files that are added or replaced; None: removed."""

    modes: Mapping[str, int] = {}
    links: Mapping[str, str] = {}
    attributes: Mapping[str, Mapping[str, str]] = {}
    """Extended attributes by path; an empty value removes one."""

    profile: str = "debian"
    loader: bytes = LOADER
    also: tuple[str, ...] = ()
    """Rules that it cannot but break as well."""


def _login(text: str) -> dict[str, str]:
    return {"etc/ssh/sshd_config": text}


def _shadow(root: str = "*", user: str = "!") -> dict[str, str]:
    return {"etc/shadow": f"root:{root}:19000::::::\nuser:{user}:19000::::::\n"}


_CORE = b"\x7fELF\2\1\1".ljust(16, b"\0") + b"\4\0\x3e\0"
_SWAP = bytes(4086) + b"SWAPSPACE2"

FAULTS: dict[str, Fault] = {
    "unknown-system": Fault("unknown-system", profile="linux"),
    "root-password": Fault("root-password", _shadow(root=MD5_OF_A_SECRET)),
    "account-password": Fault("account-password", _shadow(user=MD5_OF_A_SECRET)),
    "empty-password": Fault("empty-password", _shadow(user="")),
    **{
        f"default-password-{kind}": Fault("default-password", _shadow(user=field), also=("account-password",))
        for kind, field in HASHES_OF_TOOR.items()
    },
    "second-root": Fault("second-root", {"etc/passwd": PASSWD + "toor:x:0:0::/root:/bin/sh\n"}),
    "authorized-keys": Fault("authorized-keys", {"root/.ssh/authorized_keys": KEY}),
    "keys-elsewhere": Fault(
        "authorized-keys", {**_login("AuthorizedKeysFile /etc/keys/%u\n"), "etc/keys/user": f'command="x" {KEY}'}
    ),
    "builder-key": Fault("builder-key", {"home/user/.ssh/authorized_keys": VAGRANT_KEY}),
    "builder-account": Fault("builder-account", {"etc/passwd": PASSWD + "packer:x:1001:1001::/home/packer:/bin/sh\n"}),
    "host-keys": Fault("host-keys", {"etc/ssh/ssh_host_ed25519_key": "key"}),
    "machine-id": Fault("machine-id", {"etc/machine-id": "0123456789abcdef0123456789abcdef\n"}),
    "dbus-machine-id": Fault("dbus-machine-id", {"var/lib/dbus/machine-id": "0123456789abcdef0123456789abcdef\n"}),
    "random-seed": Fault("random-seed", {"var/lib/systemd/random-seed": "x" * 32}),
    "ssh-root-login": Fault("ssh-root-login", _login("permitrootlogin=yes\nPermitRootLogin no\n")),
    "ssh-root-login-included": Fault(
        "ssh-root-login",
        {
            **_login("Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin no\n"),
            "etc/ssh/sshd_config.d/1.conf": "PermitRootLogin yes",
        },
    ),
    "ssh-passwords": Fault("ssh-passwords", _login("Match Address 10.0.0.0/8\n  PasswordAuthentication yes\n")),
    "ssh-empty-passwords": Fault("ssh-empty-passwords", _login("PermitEmptyPasswords yes\n")),
    "sudo-nopasswd": Fault("sudo-nopasswd", {"etc/sudoers.d/user": "user\tALL=(ALL) \\\n  NOPASSWD: ALL\n"}),
    "sudo-group": Fault("sudo-nopasswd", {"etc/sudoers.d/wheel": "debian, %wheel ALL=(ALL) NOPASSWD: ALL\n"}),
    "doas": Fault("sudo-nopasswd", {"etc/doas.conf": "permit nopass user\n"}, profile="alpine"),
    "first-boot": Fault("first-boot", {"usr/bin/cloud-init": None, "etc/cloud/cloud.cfg": None}),
    "cloud-init-off": Fault("first-boot", {"etc/cloud/cloud-init.disabled": ""}),
    "cloud-init-command-line": Fault("first-boot", {"boot/grub/grub.cfg": "linux /vmlinuz cloud-init=disabled\n"}),
    "cloud-init-no-target": Fault("first-boot", {next(path for path in _SYSTEMD if "cloud" in path): None}),
    "cloud-init-masked": Fault("first-boot", links={"etc/systemd/system/cloud-init.service": "/dev/null"}),
    "cloud-init-no-runlevel": Fault("first-boot", {"etc/runlevels/default/cloud-init": None}, profile="alpine"),
    "cloud-init-logins": Fault(
        "cloud-init-logins", {"etc/cloud/cloud.cfg.d/99_builder.cfg": "#cloud-config\nchpasswd:\n  list: root:toor\n"}
    ),
    "cloud-init-state": Fault("cloud-init-state", {"var/lib/cloud/instances/i-1/user-data.txt": ""}),
    "kernel": Fault("kernel", {"boot/vmlinuz-6.12": None}),
    "boot-loader": Fault("boot-loader", loader=bytes(512)),
    "selinux-mode": Fault("selinux-mode", {"etc/selinux/config": "SELINUX=permissive\n"}, profile="fedora"),
    "selinux-labels": Fault("selinux-labels", attributes={"etc/sudoers": {"security.selinux": ""}}, profile="fedora"),
    "selinux-autorelabel": Fault("selinux-autorelabel", {".autorelabel": ""}, profile="fedora"),
    "setuid": Fault("setuid", {"usr/bin/planted": "x"}, modes={"usr/bin/planted": 0o4755}),
    "setgid": Fault("setuid", {"opt/planted": "x"}, modes={"opt/planted": 0o2755}),
    "setuid-of-others": Fault("setuid", {"bin/bbsuid": "x"}, modes={"bin/bbsuid": 0o4111}),
    "capabilities": Fault(
        "capabilities",
        {"usr/bin/planted": "x"},
        modes={"usr/bin/planted": 0o755},
        attributes={"usr/bin/planted": {"security.capability": CAPABILITIES}},
    ),
    "world-writable": Fault("world-writable", {"etc/profile": "x"}, modes={"etc/profile": 0o666}),
    "world-writable-folder": Fault("world-writable", {"opt/a/b": "x"}, modes={"opt/a": 0o777}),
    "shell-history": Fault("shell-history", {"home/user/.python_history": "import os"}),
    "known-hosts": Fault("known-hosts", {"root/.ssh/known_hosts": "host key"}),
    "temporary-files": Fault("temporary-files", {"var/tmp/script.sh": "x"}),
    "temporary-folder": Fault("temporary-files", {"tmp/packer/script.sh": "x"}),
    "package-lists": Fault("package-caches", {"var/lib/apt/lists/deb_Packages": "Package: a"}),
    "package-caches": Fault("package-caches", {"var/cache/dnf/a/b.solv": "x"}, profile="linux"),
    "logs": Fault("logs", {"var/log/apt/history.log": "Start-Date"}),
    "network-rules": Fault(
        "network-rules", {"etc/udev/rules.d/70-persistent-net.rules": 'ATTR{address}=="00:00:00:00:00:01", NAME="e"\n'}
    ),
    "dhcp-leases": Fault("dhcp-leases", {"var/lib/dhcp/dhclient.eth0.leases": "lease {}"}),
    "swap-files": Fault("swap-files", {"swapfile": _SWAP}),
    "swap-in-fstab": Fault("swap-files", {"data": "x", "etc/fstab": "/data none swap sw 0 0\n"}),
    "pagefile": Fault("swap-files", {"pagefile.sys": "x"}, profile="windows"),
    "core-dumps": Fault("core-dumps", {"srv/core.1234": _CORE}),
    "coredump": Fault("core-dumps", {"var/lib/systemd/coredump/core.a.zst": "x"}),
    "git-folders": Fault("git-folders", {"root/work/.git/HEAD": "ref: refs/heads/main"}),
    "builder-files": Fault("builder-files", {"root/anaconda-ks.cfg": "rootpw x"}),
    "unattend-password": Fault("unattend-password", {"Windows/Panther/unattend.xml": UNATTEND}, profile="windows"),
    "unattend-utf-16": Fault("unattend-password", {"unattend.xml": UNATTEND.encode("utf-16")}, profile="windows"),
    "sysprep": Fault("sysprep", {"Windows/Setup/State/State.ini": "IMAGE_STATE_COMPLETE"}, profile="windows"),
    "cloudbase-init": Fault(
        "first-boot",
        {next(path for path in TREES["windows"] if "Cloudbase" in path): None},
        profile="windows",
    ),
    "windows-host-keys": Fault("host-keys", {"ProgramData/ssh/ssh_host_rsa_key": "key"}, profile="windows"),
    "windows-keys": Fault(
        "authorized-keys", {"ProgramData/ssh/administrators_authorized_keys": KEY}, profile="windows"
    ),
}
"""Faults by name: that of their rule, or of the way in which they break it."""


def build(image: Path, profile: str, fault: Fault | None = None) -> Path:
    """Make an image, a disk with one ext4 and a boot sector."""
    fault = fault or Fault("", profile=profile)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        tree.mkdir()
        for path, content in {**TREES[profile], **fault.files}.items():
            if content is not None:
                (tree / path).parent.mkdir(parents=True, exist_ok=True)
                (tree / path).write_bytes(content if isinstance(content, bytes) else content.encode())
        for path, target in fault.links.items():
            (tree / path).symlink_to(target)
        for path, mode in {**_MODES, **fault.modes}.items():
            if (tree / path).exists():
                (tree / path).chmod(mode)
        attributes = _attributes(tree, profile, fault)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-d", tree, image, "4M"], check=True)
        if attributes:
            commands = Path(folder) / "commands"
            commands.write_text(attributes)
            subprocess.run(["debugfs", "-w", "-f", commands, image], check=True, capture_output=True)
    with image.open("r+b") as file:
        file.write(fault.loader)
    return image


def _attributes(tree: Path, profile: str, fault: Fault) -> str:
    """Commands of debugfs: labels for all files of a fedora, and what the fault has."""
    paths = ["/", *("/" + path.relative_to(tree).as_posix() for path in sorted(tree.rglob("*")))]
    values = {path: {"security.selinux": LABEL} if profile == "fedora" else {} for path in paths}
    for path, changes in fault.attributes.items():
        values["/" + path] |= changes
    return "".join(
        f'ea_set "{path}" {name} {value}\n' for path, pairs in values.items() for name, value in pairs.items() if value
    )

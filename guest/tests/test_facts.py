"""The facts of a system: who can log in, what starts it, what sets it up."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from memory_filesystem import MemorySystem, Object, guest_of, link, tree_of

from douane_guest.errors import Broken
from douane_guest.facts.accounts import Account, password_of
from douane_guest.facts.boot import Loader
from douane_guest.facts.first_boot import CloudInit, Ignition
from douane_guest.facts.ssh import PublicKey, parse_line
from douane_guest.facts.summary import Facts, System
from douane_guest.filesystems.base import Node

BLOB = base64.b64encode(b"\0\0\0\x0bssh-ed25519" + b"\0\0\0\x20" + bytes(32)).decode()
KEY = f"ssh-ed25519 {BLOB}"
FINGERPRINT = "SHA256:kmYcvdi2GkPeWxB6XLjrZB8JHsy2Hm8luHMFp9GMvqk"


def system_of(files: dict[str, str | bytes | Object]) -> System:
    (system,) = Facts(guest_of(MemorySystem(tree_of({"etc/os-release": "ID=x\n"} | files)))).systems()
    return system


@pytest.mark.parametrize(
    ("field", "state"),
    [
        ("", ("empty", "")),
        ("*", ("none", "")),
        ("!", ("none", "")),
        ("!!", ("none", "")),
        ("!*", ("none", "")),
        ("$y$j9T$a$b", ("set", "yescrypt")),
        ("!$6$a$b", ("locked", "sha512")),
        ("$2b$05$a", ("set", "bcrypt")),
        ("ab.cdefghijkl", ("set", "des")),
        ("_" + "a" * 19, ("set", "bsdi")),
        ("ab" + "c" * 22, ("set", "bigcrypt")),
        ("$argon2id$x", ("set", "unknown")),
        ("nonsense", ("none", "")),
    ],
)
def test_the_state_of_a_password(field: str, state: tuple[str, str]) -> None:
    assert password_of(field) == state


def test_accounts_and_the_keys_that_open_them() -> None:
    system = system_of(
        {
            "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nold:aaBBccDDeeFF1:1:1::/home/old:\nn:x:2:2::/:\nbad\n",
            "etc/shadow": "root::1::::::\n",
            "etc/ssh/sshd_config": 'Include "sshd_config.d/*.conf"\n',
            "etc/ssh/sshd_config.d/a.conf": "AuthorizedKeysFile .ssh/authorized_keys\t/etc/keys/%u\n",
            "root/.ssh/authorized_keys": f'# no\nfrom="a b",command="x \\"y" {KEY} root at home\nssh-ed25519 AAAA\n',
            "etc/keys/old": KEY,
            "etc/keys/other": KEY,
        }
    )
    assert [(account.name, account.password, account.hash) for account in system.accounts] == [
        ("root", "empty", ""),
        ("old", "set", "des"),
        ("n", "none", ""),
    ]
    assert [(key.account, key.path, key.key) for key in system.authorized_keys] == [
        ("root", "/root/.ssh/authorized_keys", PublicKey("ssh-ed25519", FINGERPRINT, "root at home")),
        ("old", "/etc/keys/old", PublicKey("ssh-ed25519", FINGERPRINT, "")),
    ]


def test_accounts_are_those_that_the_guest_will_see() -> None:
    """glibc takes lines without their last fields, and blanks before names; of two lines of shadow the first counts."""
    system = system_of(
        {
            "etc/passwd": " toor::00:0\nroot:x:0:0::/root:/bin/sh\nx:x:+0:0:::\ny:x:1:1:::\nz:x:\n",
            "etc/shadow": "root:$6$a$b:1::::::\nroot:*:1::::::\n",
            "var/lib/extrausers/passwd": "root:x:5:5:::\nmore:x:1000:1000:::\n",
            "var/lib/extrausers/shadow": "more:$y$j9T$a$b:1::::::\n",
        }
    )
    assert [(account.name, account.password, account.is_root) for account in system.accounts] == [
        ("toor", "empty", True),
        ("root", "set", True),
        ("x", "none", True),
        ("y", "none", False),
        ("more", "set", False),
    ]


@pytest.mark.parametrize(
    ("uid", "is_root"),
    [("0", True), ("00", True), (" -0", True), ("4294967296", True), ("", True), ("1", False), ("a", False)],
)
def test_a_user_is_root_in_whatever_way_its_number_is_written(uid: str, is_root: bool) -> None:
    assert Account("a", uid, "/", "/bin/sh", "set", "md5").is_root == is_root


@pytest.mark.parametrize(
    ("setting", "path"),
    [
        ('AuthorizedKeysFile "/etc/my keys/%u" # ours', "etc/my keys/a"),
        ("AuthorizedKeysFile = /etc/keys=a/%u", "etc/keys=a/a"),
        (r"AuthorizedKeysFile /etc/my\ keys/%u", "etc/my keys/a"),
        ("\tauthorizedkeysfile\t'/etc/k/%u'\r", "etc/k/a"),
        ("Port 22", ".ssh/authorized_keys"),
    ],
)
def test_keys_are_where_sshd_looks_for_them(setting: str, path: str) -> None:
    """The home of the account is empty, which is the root folder for sshd."""
    system = system_of({"etc/passwd": "a:x:1:1:::\n", "etc/ssh/sshd_config": setting, path: KEY})
    assert [(key.account, key.path) for key in system.authorized_keys] == [("a", f"/{path}")]


@pytest.mark.parametrize("options", [r'command="x\\" y"', r"no-pty", r'from="a\"b",no-pty', 'environment="A=#"'])
def test_options_before_a_key_end_where_they_do_for_sshd(options: str) -> None:
    assert parse_line(f"{options} {KEY}") is not None


def test_a_line_that_sshd_ignores_is_no_key() -> None:
    for line in ("", "ssh-ed25519", "ssh-ed25519 !", f"ssh-rsa {BLOB}", f"# {KEY}", "no-pty"):
        assert parse_line(line) is None


def test_the_identity_that_an_image_must_not_have() -> None:
    system = system_of(
        {
            "etc/machine-id": "uninitialized\n",
            "var/lib/dbus/machine-id": "0123456789abcdef0123456789abcdef\n",
            "etc/ssh/ssh_host_ed25519_key": "PRIVATE",
            "etc/ssh/ssh_host_ed25519_key.pub": KEY + " root@build",
            "etc/ssh/ssh_host_rsa_key": link("/opt/keys/rsa"),
            "opt/keys/rsa": "PRIVATE",
            "opt/keys/other": "PRIVATE",
            "etc/ssh/sshd_config": "HostKey /opt/keys/other\nHostKey /etc/ssh/ssh_host_rsa_key\nHostKey /x\n",
        }
    )
    assert (system.machine_id, system.dbus_machine_id) == ("uninitialized", "set")
    assert [(key.path, key.key and key.key.comment) for key in system.host_keys] == [
        ("/etc/ssh/ssh_host_ed25519_key", "root@build"),
        ("/opt/keys/rsa", None),
        ("/opt/keys/other", None),
    ]
    assert "PRIVATE" not in repr(system)


def test_cloud_init_and_the_last_list_of_its_data_sources() -> None:
    system = system_of(
        {
            "etc/cloud/cloud.cfg": "datasource_list: [ NoCloud,\n  ConfigDrive ]\n",
            "etc/cloud/cloud.cfg.d/90_dpkg.cfg": "# x\ndatasource_list:\n  - 'OpenStack' # here\n  - None\nother: 1\n",
            "etc/cloud/cloud-init.disabled": "",
            "var/lib/cloud/seed/nocloud/meta-data": "",
            "var/lib/cloud/instance": link("instances/i-1"),
        }
    )
    assert system.cloud_init == CloudInit(False, ("OpenStack", "None"), ("/var/lib/cloud/seed/nocloud",), True)
    assert system.ignition is None


def test_a_boot_volume_and_an_esp_that_fstab_does_not_mount_are_looked_into() -> None:
    kernel = bytes(0x202) + b"HdrS" + bytes(8) + b"\0\x20" + bytes(0x1FF0) + b"6.1.0-9 (a@b) #1\0" + bytes(0x4000)
    root = MemorySystem(
        tree_of({"etc/os-release": "ID=x\n", "usr/lib/ignition/x": "", "usr/lib/modules/6.1.0/vmlinuz": "k"})
    )
    boot = MemorySystem(
        tree_of(
            {
                "vmlinuz-6": kernel,
                "loader/entries/a.conf": "options ignition.platform.id=openstack quiet\n",
                "ignition.firstboot": "",
            }
        )
    )
    esp = MemorySystem(
        tree_of({"EFI/fedora/shimx64.efi": "", "EFI/BOOT/BOOTX64.EFI": "", "EFI/fedora/grub.cfg": ""}), name="vfat"
    )
    facts = Facts(guest_of(root, boot, esp))
    (system,) = facts.systems()
    assert [(item.volume, item.path, item.version) for item in system.kernels] == [
        ("p1", "/usr/lib/modules/6.1.0/vmlinuz", "6.1.0"),
        ("p2", "/vmlinuz-6", "6.1.0-9"),
    ]
    assert system.ignition == Ignition("openstack", True)
    assert facts.boot().loaders == [
        Loader("uefi", "default", "p3:/EFI/BOOT/BOOTX64.EFI"),
        Loader("uefi", "shim", "p3:/EFI/fedora/shimx64.efi"),
    ]
    assert facts.boot().settings == ["p2:/loader/entries"]


def test_a_fact_that_cannot_be_read_is_unread_and_the_others_are_there() -> None:
    class Damaged(MemorySystem):
        def chunks(self, node: Node, start: int = 0) -> Iterator[tuple[int, bytes]]:
            if node.ref.data.startswith(b"root:"):
                raise Broken("its extents overlap")
            return super().chunks(node, start)

    guest = guest_of(Damaged(tree_of({"etc/passwd": "root:x:0:0::/:/bin/sh\n", "etc/machine-id": ""})))
    (system,) = Facts(guest).systems()
    assert (system.accounts, system.machine_id) == ([], "empty")
    assert [(part.where, part.code) for part in guest.unread] == [("p1: the accounts", "guest-broken")]

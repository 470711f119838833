"""`blocked_packages` and `private_keys` on disks with files, and on disks of which a part cannot be read."""

from __future__ import annotations

import pytest
from example_plugins import TIERS, Check, answer_of, run_plugin

from douane_plugin.testing import guest_image

PACKAGES = "blocked_packages:BlockedPackages"  # blocked_packages.py
KEYS = "private_keys:PrivateKeys"  # private_keys.py
PLAN = """
[[plugin]]
name = "packages"
use = "plugins/blocked_packages.py:BlockedPackages"
config = { packages = ["telnetd"] }

[[plugin]]
name = "keys"
use = "plugins/private_keys.py:PrivateKeys"
"""
SYSTEM = {"/etc/os-release": "ID=debian\n", "/etc/shadow": "daemon::1\nroot:!*:1::::::\n"}
STATUS = "Package: {}\nStatus: install ok installed\nArchitecture: all\nVersion: 0.17\n"
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"


def with_package(name: str) -> bytes:
    return guest_image({**SYSTEM, "/var/lib/dpkg/status": STATUS.format(name)})


def damaged(image: bytes) -> bytes:
    """The image with an extent tree of its root folder's first folder that is none."""
    header = image.index(b"\x0a\xf3\x01", image.index(b"\x0a\xf3\x01") + 1)
    return image[:header] + b"\0\0" + image[header + 2 :]


@pytest.mark.parametrize("tier", TIERS)
def test_a_disk_without_what_is_forbidden_is_accepted(check: Check, tier: str) -> None:
    run = check(with_package("bash"), PLAN, tier=tier)
    assert run.answer == ("accepted", None), run.stderr
    assert run.report["properties"]["packages.system"] == "debian"
    assert run.report["properties"]["packages.packages"] == 1
    assert run.report["properties"]["keys.files"] == 3


@pytest.mark.parametrize("tier", TIERS)
def test_a_package_and_a_key_are_refused(check: Check, tier: str) -> None:
    run = check(with_package("telnetd"), PLAN, tier=tier)
    assert run.answer == ("refused", "blocked-package")
    run = check(guest_image({**SYSTEM, "/root/.ssh/id": KEY}), PLAN, tier=tier)
    assert run.answer == ("refused", "private-key")
    assert "/root/.ssh/id is a private key" in run.report["message"]


def test_a_part_that_cannot_be_read_is_not_clean(check: Check) -> None:
    image = damaged(with_package("bash"))
    run = check(image, PLAN.partition("\n\n")[0])
    assert run.report["outcome"] == "undecided"
    packages = run.verdict("packages")
    assert (packages["outcome"], packages["code"]) == ("incomplete", "guest-broken")
    assert "the check did not ask for that" in packages["message"]
    assert answer_of(KEYS, image) == ("incomplete", "keys-unread")


def test_names_of_packages_and_files_are_configured() -> None:
    image = with_package("rsh-server")
    assert answer_of(PACKAGES, image, packages=["telnetd"]) == ("accepted", None)
    assert answer_of(PACKAGES, image, packages=["rsh-server"]) == ("refused", "blocked-package")
    image = guest_image({"/a.key": KEY})
    assert answer_of(KEYS, image) == ("refused", "private-key")
    assert run_plugin(KEYS, image, allowed=["/a.key"]).properties == {"files": 1}


@pytest.mark.parametrize(("shadow", "is_refused"), [("root::1", True), ("root:$y$abc:1", True), ("root:*:1", False)])
def test_a_password_of_root_is_refused_unless_it_is_allowed(shadow: str, is_refused: bool) -> None:
    image = guest_image({**SYSTEM, "/etc/shadow": shadow})
    expected = ("refused", "root-password") if is_refused else ("accepted", None)
    assert answer_of(PACKAGES, image, packages=[]) == expected
    assert answer_of(PACKAGES, image, packages=[], root_password=True) == ("accepted", None)


@pytest.mark.parametrize("image", [b"", bytes(4096), b"QFI\xfb\0\0\0\3", b"LUKS\xba\xbe\0\2" + bytes(8184)])
def test_images_that_are_no_disk_with_files(image: bytes) -> None:
    for plugin, config in ((PACKAGES, {"packages": []}), (KEYS, {})):
        outcome, _ = answer_of(plugin, image, **config)
        assert outcome == ("accepted" if not image.strip(b"\0") else "incomplete")

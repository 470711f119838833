"""Package URLs by the rules of each ecosystem, and the components of a guest."""

from __future__ import annotations

import pytest
from memory_filesystem import MemorySystem, folder, text
from packageurl import PackageURL

from douane_guest.budget import Budget
from douane_guest.guest import Guest
from douane_guest.packages.base import Package
from douane_guest.packages.purl import purl_of
from douane_guest.sbom import components_of
from douane_guest.source import BytesSource
from douane_guest.unread import UnreadParts
from douane_guest.volume import Volume

DEBIAN = {"ID": "debian", "VERSION_ID": "12"}
RHEL = {"ID": "rhel", "VERSION_ID": "9"}
ALPINE = {"ID": "alpine", "VERSION_ID": "3.19"}


@pytest.mark.parametrize(
    ("package", "system", "purl"),
    [
        (Package("deb", "attr", "1:2-4", "amd64"), DEBIAN, "pkg:deb/debian/attr@1:2-4?arch=amd64&distro=debian-12"),
        (Package("deb", "libc++1", "14~1+b1", ""), {}, "pkg:deb/debian/libc%2B%2B1@14~1%2Bb1"),
        (
            Package("rpm", "Image", "1:6-3", "noarch"),
            RHEL,
            "pkg:rpm/redhat/Image@6-3?arch=noarch&distro=rhel-9&epoch=1",
        ),
        (Package("rpm", "gpg-pubkey", "1-2", ""), {}, "pkg:rpm/gpg-pubkey@1-2"),
        (Package("apk", "musl", "1-r2", "x86"), ALPINE, "pkg:apk/alpine/musl@1-r2?arch=x86&distro=alpine-3.19"),
        (Package("alpm", "pacman", "6.0-1", "any"), {"ID": "arch"}, "pkg:alpm/arch/pacman@6.0-1?arch=any"),
        (Package("pypi", "Jaraco_Text", "4.0"), DEBIAN, "pkg:pypi/jaraco-text@4.0"),
        (Package("npm", "@Angular/core", "17.0.0"), DEBIAN, "pkg:npm/%40angular/core@17.0.0"),
        (Package("gem", "nokogiri", "1.16", "java"), DEBIAN, "pkg:gem/nokogiri@1.16?platform=java"),
        (Package("gem", "a\udcff", "1?#"), DEBIAN, "pkg:gem/a%5Cxff@1%3F%23"),
        (Package("gem", "a/b", "1"), DEBIAN, "pkg:gem/a%2Fb@1"),
    ],
)
def test_a_package_url_is_the_canonical_one(package: Package, system: dict[str, str], purl: str) -> None:
    assert purl_of(package, system) == purl
    if "%2F" not in purl:  # the library leaves the slash of a name as it is
        assert PackageURL.from_string(purl).to_string() == purl


def test_each_system_has_its_own_packages_and_no_reference_is_there_twice() -> None:
    def system(name: str) -> MemorySystem:
        status = "Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: all\nSource: b (2)\n"
        dpkg = folder({"status": text(status), "status.d": folder({"a": text(status)})})
        files = {"etc": folder({"os-release": text(f"ID={name}\nCPE_NAME=cpe:/o:{name}:{name}:1\n")})}
        return MemorySystem(files | {"var": folder({"lib": folder({"dpkg": dpkg})})})

    budget, unread = Budget(), UnreadParts()
    volumes = [
        Volume(f"p{number}", BytesSource(b""), system(name), budget, unread)
        for number, name in enumerate(("debian", "ubuntu", "debian"), 1)
    ]
    components = list(components_of(Guest(None, volumes, budget, unread)))
    references = [component["bom-ref"] for component in components]
    assert references == [
        *("os:debian@", "pkg:deb/debian/a@1?arch=all", "pkg:deb/debian/a@1?arch=all#2"),
        *("os:ubuntu@", "pkg:deb/ubuntu/a@1?arch=all", "pkg:deb/ubuntu/a@1?arch=all#2"),
        *("os:debian@#2", "pkg:deb/debian/a@1?arch=all#3", "pkg:deb/debian/a@1?arch=all#4"),
    ]
    assert components[0]["cpe"] == "cpe:/o:debian:debian:1"
    assert {"name": "douane:source", "value": "b"} in components[1]["properties"]
    assert components[2]["evidence"] == {"occurrences": [{"location": "/var/lib/dpkg/status.d/a"}]}

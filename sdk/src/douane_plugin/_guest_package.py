"""What is installed in a guest."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PACKAGE_KINDS = {"deb": "dpkg", "alpm": "pacman", "pypi": "python", "npm": "node"}
"""By the words of package URLs. All others are the same in both."""


class GuestPackage:
    """An installed package; all fields are str.

    `name`; `version`, with epoch and release; `kind`: ``dpkg``, ``rpm``, ``apk``, ``pacman``, ``python``, ``node`` or
    ``gem``; `architecture`, and `source`, the name of the source package if it is another, both empty if the database
    does not tell; `source_version`, the version of the source package if it is another; `origin`, who made the package
    (rpm's vendor, dpkg's origin or maintainer, apk's maintainer, pacman's packager), empty if the database does not
    tell; `path`, the file that says that the package is installed.
    """

    __slots__ = ("architecture", "kind", "name", "origin", "path", "source", "source_version", "version")

    def __init__(self, package: Any) -> None:
        self.name: str = package.name
        self.version: str = package.version
        self.kind: str = PACKAGE_KINDS.get(package.kind, package.kind)
        self.architecture: str = package.arch
        self.source: str = package.source
        self.path: str = package.path
        self.source_version: str = getattr(package, "source_version", "")  # an older douane_guest has none
        self.origin: str = getattr(package, "origin", "")

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name} {self.version}>"

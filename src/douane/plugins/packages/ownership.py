"""Which packages of languages the distribution has installed: its advisories are about them, since it repairs old
versions under their old numbers. Advisories of PyPI would be false for them.
"""

from __future__ import annotations

import posixpath

from .owned_files import owned_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from douane_plugin import GuestPackage, GuestRoot

MANAGERS = ("dpkg", "rpm", "apk", "pacman")
_FOLDERS = {
    "python": ("/usr/lib/python", "/usr/lib64/python"),
    "node": ("/usr/share/nodejs/",),
    "gem": ("/usr/share/gems/", "/usr/share/rubygems-integration/"),
}
"""Where distributions alone install; but for pip, which leaves its mark."""

_GEMS = ("/usr/lib/ruby/gems/", "/usr/lib64/ruby/gems/")
_SHARED_FOLDERS: dict[str, dict[str, tuple[str, ...]]] = {
    "dpkg": {"gem": _GEMS},
    "apk": {"gem": _GEMS, "python": ("/usr/lib/python",), "node": ("/usr/lib/node_modules/",)},
}
"""By the system's package manager, where it installs packages of languages, and the language's own installer may as
well (`gem install` of Alpine does): what the lists of the manager's files have is the distribution's."""

_DEFAULT_GEMS = "/specifications/default/"
_INSTALLERS = ("pip", "uv", "poetry", "pdm")
"""What these write into the file INSTALLER (PEP 376); distributions write another word, or remove it."""


class Ownership:
    """Tells for the packages of a system which are the distribution's."""

    def __init__(self, root: GuestRoot, packages: Sequence[GuestPackage]) -> None:
        self._root = root
        self._managers = {package.kind for package in packages if package.kind in MANAGERS}
        paths = {package.path for package in packages if self._is_shared(package)}
        self._owned = owned_files(root, self._managers, paths) if paths else frozenset()

    def is_of_distribution(self, package: GuestPackage) -> bool:
        """True for a package of a language that the distribution has installed, and no installer of the language has
        been at."""
        path = package.path
        if not self._managers:
            return False
        if self._is_shared(package):
            return path in self._owned and not self._has_mark(package)
        if path.startswith(_FOLDERS.get(package.kind, ())):
            return not self._has_mark(package)
        return package.kind == "gem" and path.startswith("/usr/lib") and _DEFAULT_GEMS in path

    def _is_shared(self, package: GuestPackage) -> bool:
        return any(
            package.path.startswith(_SHARED_FOLDERS.get(manager, {}).get(package.kind, ()))
            for manager in self._managers
        )

    def _has_mark(self, package: GuestPackage) -> bool:
        if package.kind != "python":
            return False
        try:
            installer = self._root.read(posixpath.join(posixpath.dirname(package.path), "INSTALLER"), 1 << 16)
        except OSError:
            return False
        return installer.decode("utf-8", "replace").strip() in _INSTALLERS

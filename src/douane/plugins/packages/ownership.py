"""Which packages of languages the distribution has installed: its advisories are about them, since it repairs old
versions under their old numbers. Advisories of PyPI would be false for them.

The lists of the system's package manager decide, and not the place alone: what somebody else puts into a folder of the
distribution is in none of them, or has another digest.
"""

from __future__ import annotations

import posixpath

from douane.plugins._guest_facts import system_behind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from douane_plugin import GuestPackage, GuestRoot

_PYTHON = ("/usr/lib/python", "/usr/lib64/python")
_GEMS = ("/usr/lib/ruby/gems/", "/usr/lib64/ruby/gems/")
_FOLDERS: dict[str, dict[str, tuple[str, ...]]] = {
    "dpkg": {
        "python": _PYTHON,
        "gem": (*_GEMS, "/usr/share/rubygems-integration/"),
        "node": ("/usr/share/nodejs/",),
    },
    "rpm": {
        "python": _PYTHON,
        "gem": (*_GEMS, "/usr/share/gems/"),
        "node": ("/usr/lib/node_modules",),
    },
    "apk": {"python": _PYTHON, "gem": _GEMS, "node": ("/usr/lib/node_modules/",)},
    "pacman": {"python": _PYTHON, "gem": _GEMS, "node": ("/usr/lib/node_modules/",)},
}
"""Where each package manager's distributions install packages of languages; ``/usr/local`` is nobody's but the user's.

- dpkg: the npm of NodeSource is in ``/usr/lib/node_modules``, and no distribution's.
- rpm: Fedora and RHEL have gems in ``/usr/share/gems`` (Red Hat's "RubyGems macros": ``gem_dir``), SUSE in
  ``/usr/lib64/ruby/gems`` (the wiki's "Packaging Ruby"). ``/usr/lib/node_modules`` is a link to ``node_modules_22``
  beside it in Fedora and RHEL 10 (``nodejs_private_sitelib`` in nodejs.spec); the npm of NodeSource is there, too, by
  another vendor (`_BASE`). pip writes to ``/usr/local`` since
  Fedora 27 ("Making sudo pip safe"), and leaves its mark elsewhere.
- pacman: ArchWiki's package guidelines of Python, Ruby ("/usr/lib/ruby/gems", which `gem` with ``--no-user-install``
  writes to as well) and Node.js (``npm install -g --prefix "$pkgdir/usr"``).
"""

_BASE = ("glibc", "filesystem", "bash", "rpm")
"""Packages of rpm that are the distribution's in every system; their vendor is its name."""

MANAGERS = tuple(_FOLDERS)
_INSTALLERS = ("pip", "uv", "poetry", "pdm")
"""What these write into the file INSTALLER (PEP 376); distributions write another word, or remove it."""


class Ownership:
    """Tells for the packages of a system which are the distribution's."""

    def __init__(self, root: GuestRoot, packages: Sequence[GuestPackage]) -> None:
        self._root = root
        self._managers = {package.kind for package in packages if package.kind in MANAGERS}
        self._places = {package.path: self._place(package) for package in packages if package.kind not in MANAGERS}
        paths = {path for path in self._places.values() if path}
        guest, tree = system_behind(root)
        self._origins = guest.installed_files(tree, self._managers, paths) if paths else {}
        self._vendors = {
            _vendor(package.origin) for package in packages if package.kind == "rpm" and package.name in _BASE
        }

    def is_of_distribution(self, package: GuestPackage) -> bool:
        """True for a package of a language that the distribution has installed, and no installer of the language has
        been at."""
        origin = self._origins.get(self._places.get(package.path, ""))
        if origin is None or self._has_mark(package):
            return False
        return package.kind != "node" or "rpm" not in self._managers or _vendor(origin) in self._vendors

    def _place(self, package: GuestPackage) -> str:
        """The path of its file without links, if a manager of this system installs such packages there."""
        if not self._managers:
            return ""
        try:
            path = self._root.stat(package.path).path
        except OSError:
            return ""
        folders = (_FOLDERS[manager].get(package.kind, ()) for manager in self._managers)
        return path if any(path.startswith(prefixes) for prefixes in folders) else ""

    def _has_mark(self, package: GuestPackage) -> bool:
        if package.kind != "python":
            return False
        try:
            installer = self._root.read(posixpath.join(posixpath.dirname(package.path), "INSTALLER"), 1 << 16)
        except OSError:
            return False
        return installer.decode("utf-8", "replace").strip() in _INSTALLERS


def _vendor(origin: str) -> str:
    """``SUSE LLC <https://www.suse.com/>`` and ``SUSE LINUX GmbH, Nuernberg, Germany`` are the same."""
    return origin.partition(" ")[0]

"""Grants of files and folders: open them, see what they are, and refuse those that show more than the operator means.

A plugin reads them at their own paths, in every tier. That a folder may not hold special files, and not lead to the
folders of the system or of Douane, is checked once, when a plugin starts; the sandbox bounds what happens later.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from datetime import UTC, datetime

import msgspec

from douane import sandbox
from douane.errors import PlanError
from douane.own_folders import registered, secret_at
from douane.report import GrantedContent
from douane.sandbox.base_files import ACCOUNTS, LOCAL_TIME
from douane.sandbox.private_folder import is_private_folder, places
from douane.units import MiB

from .model import PluginSpec

MAX_FILES = 20_000
"""Files and folders in a granted folder. Looking at so many takes 80 ms at each start of the plugin."""

_MAX_DEPTH = 64

_MAX_DIGESTED = 64 * MiB
"""Length of a file whose content is digested; a longer one has its length and its time alone."""

_SYSTEM = ("/proc", "/sys", "/dev")
_OWN_IN_SANDBOX = (*ACCOUNTS, LOCAL_TIME[0])
"""Paths at which a sandbox has files of its own."""

_PLACEHOLDER = re.compile(r"\{grant:([^{}]*)\}")


class PathGrant(msgspec.Struct, frozen=True):
    """An open grant of a file or a folder."""

    fd: int
    """For reading a file; of a folder, only to keep it."""

    path: str | None
    """Where the plugin reads it; None if only the descriptor leads there."""

    granted: sandbox.GrantedPath | None
    """For the sandbox; None without a path."""

    content: GrantedContent


def is_path_target(target: str) -> bool:
    """True for a target of the form ``file:PATH`` or ``dir:PATH``."""
    return target.startswith(("file:", "dir:"))


def granted_path(spec: PluginSpec, name: str) -> str | None:
    """The path at which the plugin reads the grant `name`; None for a connection, and for files of the system that
    the sandbox has of its own."""
    target = spec.grants[name]
    if not is_path_target(target):
        return None
    path = _absolute(spec.path(target.partition(":")[2]))
    real = os.path.realpath(path)
    if any(_is_in(real, folder) or _is_in(path, folder) for folder in _SYSTEM) or path in _OWN_IN_SANDBOX:
        return None
    return None if real in _OWN_IN_SANDBOX else path


def filled_in(spec: PluginSpec, words: tuple[str, ...]) -> tuple[str, ...]:
    """The arguments `words` with the path of each ``{grant:NAME}``. Raises PlanError for a name without a path."""

    def path_of(match: re.Match[str]) -> str:
        name = match[1]
        if name not in spec.grants:
            names = ", ".join(spec.grants) or "nothing"
            raise PlanError(f"plugin {spec.name!r}: {match[0]} names a grant that is not there; granted: {names}")
        path = granted_path(spec, name)
        if path is None:
            raise PlanError(f"plugin {spec.name!r}: {match[0]}: {spec.grants[name]} has no path in the sandbox")
        return path

    return tuple(_PLACEHOLDER.sub(path_of, word) for word in words)


def placeholders(text: str) -> tuple[str, ...]:
    """The names in the ``{grant:NAME}`` of a command."""
    return tuple(dict.fromkeys(_PLACEHOLDER.findall(text)))


def open_path_grant(spec: PluginSpec, name: str) -> PathGrant:
    """Open the file or folder of the grant `name`. Raises PlanError, which says why it cannot be granted."""
    kind, _, address = spec.grants[name].partition(":")
    subject = f"plugin {spec.name!r}: grant {name!r}"
    place = spec.path(address)
    fd = _open(subject, place, is_folder=kind == "dir")
    try:
        status = os.fstat(fd)
        if (secret := secret_at(place, status)) is not None:
            raise PlanError(f"{subject}: {place} cannot be granted: {secret} has the credentials of a store")
        path = granted_path(spec, name)
        if kind == "dir":
            _refuse_folder(subject, place, status)
            listing = _Listing(subject, place)
            listing.add(fd, "", 0)
            is_private, content = listing.is_private, listing.content()
        else:
            is_private, content = not status.st_mode & stat.S_IROTH, _content_of(fd, status)
        content = msgspec.structs.replace(content, path=path)
        if path is None:
            return PathGrant(fd, None, None, content)
        granted = sandbox.GrantedPath(path, status.st_dev, status.st_ino, is_private)
        return PathGrant(fd, path, granted, content)
    except BaseException:
        os.close(fd)
        raise


def is_current(granted: sandbox.GrantedPath) -> bool:
    """False if the path leads to another file now, or to none."""
    try:
        status = os.stat(granted.path)
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == (granted.device, granted.inode)


def _absolute(path: str) -> str:
    """`..` after a link leads elsewhere than its text says."""
    if ".." not in path.split("/"):
        return os.path.abspath(path)
    folder, name = os.path.split(path)
    return os.path.realpath(path) if name in ("", ".", "..") else os.path.join(os.path.realpath(folder), name)


def _open(subject: str, path: str, *, is_folder: bool) -> int:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK | (os.O_DIRECTORY if is_folder else 0)
    try:
        fd = os.open(path, flags)
    except NotADirectoryError as error:
        if os.path.isfile(path):
            raise PlanError(f"{subject}: {path} is a file and no folder; write file:{path}") from error
        raise PlanError(f"{subject}: {path} cannot be opened: {error.strerror}") from error
    except OSError as error:
        raise PlanError(f"{subject}: {path} cannot be opened: {error.strerror}") from error
    mode = os.fstat(fd).st_mode
    if is_folder or stat.S_ISREG(mode):
        os.set_blocking(fd, True)
        return fd
    os.close(fd)
    hint = f"; write dir:{path} for a folder" if stat.S_ISDIR(mode) else ""
    raise PlanError(f"{subject}: {path} is not a regular file{hint}")


def _refuse_folder(subject: str, path: str, status: os.stat_result) -> None:
    """Raise PlanError for a folder that a plugin must not see, or that holds one."""
    real = os.path.realpath(path)
    reason = None
    if real == "/":
        reason = "it is the whole host"
    elif any(_is_in(real, folder) for folder in _SYSTEM) or _is_on_proc(status):
        reason = "the host's processes and devices are no data"
    elif any(_is_in(folder, real) for folder in (*_SYSTEM, *_OWN_IN_SANDBOX)):
        reason = f"it holds {next(folder for folder in (*_SYSTEM, *_OWN_IN_SANDBOX) if _is_in(folder, real))}"
    elif any(_is_in(folder, real) for folder in places()) or is_private_folder(real):
        reason = "it holds the temporary files of all plugins"
    else:
        for folder in registered():
            if _is_in(folder, real) or _is_in(real, folder):
                reason = f"Douane's own data are in {folder}"
    if reason is not None:
        raise PlanError(f"{subject}: {path} cannot be granted: {reason}; grant the folder that the plugin needs")


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _is_on_proc(status: os.stat_result) -> bool:
    """True for /proc and /sys that are mounted elsewhere, for example in the folder of a chroot."""
    root = os.stat("/").st_dev
    return any(device == status.st_dev != root for device in (os.stat(folder).st_dev for folder in ("/proc", "/sys")))


class _Listing:
    """The names, kinds, lengths and times in a folder, in a fixed order. Raises PlanError for a special file."""

    def __init__(self, subject: str, place: str) -> None:
        self.is_private = False
        self._subject, self._place = subject, place
        self._digest = hashlib.sha256()
        self._files = self._size = self._modified = 0
        self._device: int | None = None

    def content(self) -> GrantedContent:
        """The report's words for it."""
        return GrantedContent("dir", self._size, _time(self._modified), self._digest.hexdigest(), files=self._files)

    def add(self, fd: int, below: str, depth: int) -> None:
        """Add the folder with the descriptor `fd`, whose path in the granted folder is `below`."""
        status = os.fstat(fd)
        if self._device is None:
            self._device = status.st_dev
        if status.st_dev != self._device:
            raise self._refusal(below, "is another file system")
        if depth > _MAX_DEPTH:
            raise self._refusal(below, f"is more than {_MAX_DEPTH} folders deep")
        self._modified = max(self._modified, status.st_mtime_ns)
        self.is_private |= status.st_mode & 0o005 != 0o005
        for name in self._names(fd, below):
            self._add_entry(fd, name, f"{below}/{name}" if below else name, depth)

    def _names(self, fd: int, below: str) -> list[str]:
        names = []
        try:
            with os.scandir(fd) as entries:
                for entry in entries:
                    names.append(entry.name)
                    if self._files + len(names) > MAX_FILES:
                        raise PlanError(
                            f"{self._subject}: {self._place} has more than {MAX_FILES} files; "
                            "grant the folder that the plugin needs"
                        )
        except OSError as error:
            raise self._refusal(below, f"cannot be read: {error.strerror}") from error
        return sorted(names)

    def _add_entry(self, folder: int, name: str, path: str, depth: int) -> None:
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return  # just replaced: files are, while we look
        self._files += 1
        kind = stat.S_IFMT(status.st_mode)
        if kind not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
            raise self._refusal(path, "is a special file, and a plugin reads files and folders only")
        is_file = kind == stat.S_IFREG
        facts = f"{path}\0{kind}\0{status.st_size if is_file else 0}\0{status.st_mtime_ns if is_file else 0}\0"
        self._digest.update(os.fsencode(facts))
        if is_file:
            self._size += status.st_size
            self._modified = max(self._modified, status.st_mtime_ns)
            self.is_private |= not status.st_mode & stat.S_IROTH
        elif kind == stat.S_IFDIR:
            self._add_folder(folder, name, path, depth)

    def _add_folder(self, folder: int, name: str, path: str, depth: int) -> None:
        try:
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise self._refusal(path, f"cannot be read: {error.strerror}") from error
        try:
            self.add(fd, path, depth + 1)
        finally:
            os.close(fd)

    def _refusal(self, below: str, reason: str) -> PlanError:
        return PlanError(f"{self._subject}: {os.path.join(self._place, below).rstrip('/')} {reason}")


_digests: dict[tuple[int, ...], str] = {}
"""SHA-256 by the identity and the state of a file: a service starts plugins for every image."""

_MAX_DIGESTS = 64


def _content_of(fd: int, status: os.stat_result) -> GrantedContent:
    digest = None
    if status.st_size <= _MAX_DIGESTED:
        state = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        digest = _digests.get(state)
        if digest is None:
            if len(_digests) >= _MAX_DIGESTS:
                _digests.clear()
            digest = _digests[state] = _digest(fd, status.st_size)
    return GrantedContent("file", status.st_size, _time(status.st_mtime_ns), digest)


def _digest(fd: int, size: int) -> str:
    digest, offset = hashlib.sha256(), 0
    while offset < size and (data := os.pread(fd, min(MiB, size - offset), offset)):
        digest.update(data)
        offset += len(data)
    return digest.hexdigest()


def _time(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat(timespec="microseconds")

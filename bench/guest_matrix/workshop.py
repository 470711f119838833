"""Where images are built: a folder, the trees, programs, and mounts where this machine allows them."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from .facts import Listing, facts_of_folder
from .tree import Shape, make_tree

UTC = {**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8", "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
MEBIBYTE = 1 << 20


class NotBuilt(Exception):
    """A cell cannot be built on this machine. The text says why."""


def run(*command: object, stdin: str | None = None, environment: dict[str, str] | None = None) -> str:
    """Run a program; what it prints. Raises NotBuilt if it is missing or fails."""
    words = [os.fspath(word) if isinstance(word, Path) else str(word) for word in command]
    try:
        process = subprocess.run(
            words, input=stdin, capture_output=True, text=True, check=False, env=UTC | (environment or {})
        )
    except FileNotFoundError:
        raise NotBuilt(f"there is no program {words[0]}") from None
    if process.returncode:
        message = (process.stderr.strip() or process.stdout.strip() or "no message").splitlines()
        raise NotBuilt(f"{words[0]} failed: {message[-1][:200]}")
    return process.stdout


def empty_file(path: Path, size: int) -> Path:
    """A new file of zeros."""
    with path.open("wb") as file:
        file.truncate(size)
    return path


@contextmanager
def mounted(image: Path, kind: str, options: str = "ro") -> Iterator[Path]:
    """Where the kernel shows the file system in an image. Raises NotBuilt where it does not mount it."""
    folder = image.with_name(f"{image.name}.mount")
    folder.mkdir(exist_ok=True)
    try:
        run("mount", "-t", kind, "-o", f"loop,{options}", image, folder)
    except NotBuilt as error:
        folder.rmdir()
        raise NotBuilt(f"the kernel of this machine does not mount it: {error}") from None
    try:
        yield folder
    finally:
        run("umount", folder)
        folder.rmdir()


@lru_cache(maxsize=1)
def can_mount() -> bool:
    """True if this machine mounts a file system from a file: root, with loop devices."""
    if os.geteuid() or not os.path.exists("/dev/loop-control"):
        return False
    folder = Path(os.environ.get("TMPDIR", "/tmp")) / f"douane-guest-matrix-probe-{os.getpid()}"
    image = empty_file(folder, MEBIBYTE)
    try:
        run("mke2fs", "-q", "-F", image)
        with mounted(image, "ext4"):
            return True
    except NotBuilt:
        return False
    finally:
        image.unlink()


class Workshop:
    """The folder in which all cells of a run are built. Trees and file systems in it are made once."""

    def __init__(self, folder: Path, *, small: bool = False, asks_others: bool = True) -> None:
        self.folder = folder
        self.small = small
        self.asks_others = asks_others
        """Whether programs are asked that take seconds: a second kernel, 7z."""

    def tree(self, shape: Shape) -> Path:
        """The folder that is packed."""
        return self.folder / f"tree-{self._key(shape)}"

    def truth(self, shape: Shape) -> Listing:
        """What is in the folder that is packed."""
        listing: Listing = pickle.loads((self.folder / f"truth-{self._key(shape)}").read_bytes())
        return listing

    def prepare(self, shape: Shape) -> None:
        """Make the tree, if it is not there."""
        if self.tree(shape).exists():
            return
        actual = shape.small() if self.small else shape
        make_tree(self.tree(shape), actual)
        (self.folder / f"truth-{self._key(shape)}").write_bytes(pickle.dumps(facts_of_folder(self.tree(shape))))

    def stacked(self, family: str) -> Path:
        """The image of a file system that cells put into volumes, tables and containers."""
        return self.folder / f"stacked-{family.replace(' ', '-')}"

    def stacked_truth(self, family: str) -> list[tuple[str, Listing]]:
        """What is in it, as :func:`~.check.truths` says."""
        truth: list[tuple[str, Listing]] = pickle.loads(self._stacked_truth(family).read_bytes())
        return truth

    def keep_stacked(self, family: str, image: Path, truth: list[tuple[str, Listing]]) -> None:
        """Keep an image for `stacked`."""
        image.rename(self.stacked(family))
        self._stacked_truth(family).write_bytes(pickle.dumps(truth))

    def _stacked_truth(self, family: str) -> Path:
        return self.stacked(family).with_suffix(".truth")

    def _key(self, shape: Shape) -> str:
        return "-".join(str(int(value)) for value in shape)

    @contextmanager
    def room(self, name: str) -> Iterator[Path]:
        """A folder for one cell; it is removed with all that is in it."""
        folder = self.folder / "".join(letter if letter.isalnum() else "-" for letter in name)[:120]
        folder.mkdir(exist_ok=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder)

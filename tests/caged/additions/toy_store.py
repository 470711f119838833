"""The store `toy`: a folder in which the name of a file says whether it is staged or an image."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from douane.errors import StoreError


class ToyStaged:
    """See `douane.stores.base.Staged`."""

    def __init__(self, key: str, path: Path) -> None:
        self.key = key
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)

    def write(self, view: memoryview, offset: int) -> None:
        os.pwrite(self.fd, view, offset)

    def open_read(self) -> int:
        return os.open(self.path, os.O_RDONLY)

    def explain(self, error: OSError) -> StoreError:
        return StoreError(f"cannot write {self.path}: {error.strerror}")

    def finish(self, size: int) -> None:
        os.ftruncate(self.fd, size)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class ToyBytes:
    """See `douane.stores.base.StoredBytes`: a store need not have files."""

    fd = None

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read_into(self, view: memoryview, offset: int) -> int:
        piece = self._data[offset : offset + len(view)]
        view[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        pass


class ToyStore:
    """See `douane.stores.base.Store`. For one process at a time."""

    def __init__(self, location: str) -> None:
        self.folder = Path(location)
        self.folder.mkdir(parents=True, exist_ok=True)

    def identity(self) -> str:
        return str(self.folder)

    def stage(self, key: str) -> ToyStaged:
        return ToyStaged(key, self.folder / f"{key}.staged")

    def adopt(self, key: str, size: int) -> ToyStaged:
        return self.stage(key)

    def staged_keys(self) -> Iterator[str]:
        return (path.stem for path in self.folder.glob("*.staged"))

    def is_abandoned(self, key: str) -> bool:
        return (self.folder / f"{key}.staged").exists()

    def link_staged(self, key: str, new_key: str) -> ToyStaged:
        raise StoreError("this store copies", code="store-unwritable")

    def discard(self, key: str) -> bool:
        (self.folder / f"{key}.staged").unlink(missing_ok=True)
        return True

    def publish(self, staged: ToyStaged, image_id: str) -> None:
        staged.path.rename(self.folder / f"{image_id}.image")
        staged.close()

    def exists(self, image_id: str) -> bool:
        return (self.folder / f"{image_id}.image").exists()

    def open_location(self, url: str, *, images: bool) -> ToyBytes | None:
        return None

    def size(self, image_id: str) -> int:
        return (self.folder / f"{image_id}.image").stat().st_size

    def copy_to(self, image_id: str, fd: int, *, name: str = "the output", sparse: bool = False) -> int:
        return os.write(fd, (self.folder / f"{image_id}.image").read_bytes())

    def open(self, image_id: str) -> ToyBytes:
        return ToyBytes((self.folder / f"{image_id}.image").read_bytes())

    def location(self, image_id: str) -> str | None:
        return None

    def open_staged(self, key: str) -> ToyBytes:
        return ToyBytes((self.folder / f"{key}.staged").read_bytes())

    def delete(self, image_id: str, *, only: ToyBytes | None = None) -> None:
        (self.folder / f"{image_id}.image").unlink(missing_ok=True)

    def image_ids(self) -> Iterator[str]:
        return (path.stem for path in self.folder.glob("*.image"))

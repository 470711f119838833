"""Recovery beside live imports: it takes nothing away from them, whichever step they are at."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from douane.catalog import Catalog
from douane.declared import DeclaredImage
from douane.engine import RunOptions, choose_tier, load_plan, open_source
from douane.errors import Conflict, SinkError, StoreError
from douane.imports import Home, Imported, image_import, import_image
from douane.stores import FileStore, save
from douane.stores.staging_file import StagingFile


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "image").write_bytes(os.urandom(300_000))
    return tmp_path


@pytest.fixture
def home(place: Path) -> Iterator[Home]:
    opened = Home(place / "home")
    yield opened
    opened.close()


class Paused:
    """An import in another thread that pauses before it calls one function, until :meth:`resume`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, place: Path, owner: Any, name: str, **declared: Any) -> None:
        self._paused, self._resume = threading.Event(), threading.Event()
        real: Callable[..., Any] = getattr(owner, name)
        test_thread = threading.current_thread()
        self.result: Imported | BaseException | None = None

        def patched(*args: Any, **keywords: Any) -> Any:
            if threading.current_thread() is not test_thread:
                self._paused.set()
                assert self._resume.wait(60)
            return real(*args, **keywords)

        monkeypatch.setattr(owner, name, patched)
        self._thread = threading.Thread(target=self._import, args=(place, declared))
        self._thread.start()
        assert self._paused.wait(60), self.result

    def _import(self, place: Path, declared: dict[str, Any]) -> None:
        home = Home(place / "home")
        plan = load_plan(None)
        try:
            options = RunOptions(tier=choose_tier(plan, None))
            self.result = import_image(
                home, plan, DeclaredImage(**declared), open_source(str(place / "image")), options
            )
        except BaseException as error:  # for the test's thread
            self.result = error
        finally:
            home.close()

    def resume(self) -> Imported | BaseException | None:
        """Let it come to its end; return what it returned or raised."""
        self._resume.set()
        self._thread.join()
        return self.result


STEPS = [
    (Catalog, "begin_new_import"),
    (image_import, "inspect_image"),
    (StagingFile, "finish"),
    (Catalog, "ready_to_publish"),
    (FileStore, "publish"),
    (os, "link"),
    (os, "unlink"),
    (Catalog, "activate"),
]


@pytest.mark.parametrize(("owner", "name"), STEPS, ids=[name for _, name in STEPS])
def test_an_import_succeeds_beside_a_recovery(
    monkeypatch: pytest.MonkeyPatch, place: Path, home: Home, owner: Any, name: str
) -> None:
    paused = Paused(monkeypatch, place, owner, name)
    home.recover()
    home.recover()
    result = paused.resume()
    assert isinstance(result, Imported), result
    assert result.image is not None
    assert result.image.status == "active"
    [image] = home.catalog.images()
    assert image == result.image
    assert list(home.store.image_ids()) == [image.id]
    assert list(home.store.staged_keys()) == []
    home.recover()
    assert save(home.store, image.id, place / "saved") == 300_000
    assert (place / "saved").read_bytes() == (place / "image").read_bytes()


@pytest.mark.parametrize("step", [(StagingFile, "discard"), (Catalog, "fail")], ids=["discard", "fail"])
def test_a_refusal_stands_beside_a_recovery(
    monkeypatch: pytest.MonkeyPatch, place: Path, home: Home, step: tuple[Any, str]
) -> None:
    paused = Paused(monkeypatch, place, *step, disk_format="qcow2")
    home.recover()
    result = paused.resume()
    assert isinstance(result, Imported)
    assert (result.image, result.report.outcome, result.report.code) == (None, "refused", "format-mismatch")
    assert home.catalog.images() == []
    assert list(home.store.staged_keys()) == []


@pytest.mark.parametrize(("owner", "name"), STEPS[1:], ids=[name for _, name in STEPS[1:]])
def test_an_image_that_is_deleted_at_any_step_stays_deleted(
    monkeypatch: pytest.MonkeyPatch, place: Path, home: Home, owner: Any, name: str
) -> None:
    paused = Paused(monkeypatch, place, owner, name)
    [image] = home.catalog.images()
    home.catalog.delete(image.id)
    home.store.delete(image.id)
    home.recover()
    result = paused.resume()
    assert isinstance(result, SinkError | StoreError | Conflict), result
    home.recover()
    assert home.catalog.images() == []
    assert list(home.store.image_ids()) == []
    assert list(home.store.staged_keys()) == []

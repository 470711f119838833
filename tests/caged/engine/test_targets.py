"""One run that writes the image to several targets."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from douane.declared import DeclaredImage
from douane.engine import Report, RunOptions, Target, WarmRun, inspect_image, load_plan, open_source
from douane.sandbox import Tier
from douane.stream.sink import FileSink
from support.plans import plan_of
from support.sinks import KeptFile

SIZE = (40 << 20) + 77
"""More than a ring holds, and no multiple of a block."""

Send = Callable[..., Report]


class FullDisk(FileSink):
    """A sink without space."""

    def __init__(self) -> None:
        super().__init__(os.open("/dev/full", os.O_RDWR), "the full disk")


class NotDurable(KeptFile):
    """A sink whose device fails when the bytes are to be made durable."""

    def finish(self, size: int) -> None:
        """Raise what fsync raises then."""
        raise OSError(5, "Input/output error")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "image"
    path.write_bytes(os.urandom(SIZE))
    return path


@pytest.fixture(params=["cold", "warm"])
def send(request: pytest.FixtureRequest, tmp_path: Path, image: Path, nothing_left: None) -> Send:
    """Let the image through a plan into targets, in a run that is started for it, or that has waited for it."""
    options = RunOptions(tier=Tier.STRICT)

    def go(targets: Sequence[Target], *plugins: str) -> Report:
        path = tmp_path / "plan.toml"
        path.write_text(plan_of(*plugins))
        plan, source = load_plan(str(path)), open_source(str(image))
        if request.param == "warm":
            return WarmRun(plan, options).inspect(source, DeclaredImage(), targets=targets)
        return inspect_image(plan, DeclaredImage(), source, None, options, targets=targets)

    return go


@pytest.fixture
def files(tmp_path: Path) -> Iterator[list[KeptFile]]:
    kept = [KeptFile(tmp_path / f"file-{number}") for number in range(3)]
    yield kept
    for file in kept:
        file.close()


def test_every_target_receives_the_same_bytes(send: Send, files: list[KeptFile], image: Path) -> None:
    targets = [Target(file) for file in files]
    report = send(targets, "good:Count")
    assert report.outcome == "accepted", report
    assert [file.content() for file in files] == [image.read_bytes()] * 3
    assert [target.size for target in targets] == [SIZE] * 3


def test_every_target_receives_what_the_last_transform_has_made(send: Send, files: list[KeptFile], image: Path) -> None:
    targets = [Target(file) for file in files]
    report = send(targets, "good:Count", "good:Upper")
    assert report.outcome == "accepted", report
    assert [file.content() for file in files] == [image.read_bytes().upper()] * 3
    assert {target.size for target in targets} == {report.stored.size}


def test_a_plugin_that_reads_at_random_sees_the_image_beside_targets(
    send: Send, files: list[KeptFile], image: Path
) -> None:
    optional = [Target(file, required=False) for file in files]
    report = send(optional, "good:Random")
    assert report.outcome == "accepted", report
    assert report.properties["random.tail"] == image.read_bytes()[-4:].hex()
    assert [file.content() for file in files] == [image.read_bytes()] * 3


@pytest.mark.parametrize("plugins", [["good:Count"], ["good:Random"], ["good:Upper"]], ids=str)
@pytest.mark.parametrize("when", ["in the middle", "at the end"])
def test_an_optional_target_that_fails_is_detached(
    send: Send, files: list[KeptFile], image: Path, tmp_path: Path, when: str, plugins: list[str]
) -> None:
    failing = FullDisk() if when == "in the middle" else NotDurable(tmp_path / "not-durable")
    bad, good = Target(failing, required=False), [Target(files[0], required=False), Target(files[1])]
    report = send([bad, *good], *plugins)
    os.close(failing.fd)
    assert report.outcome == "accepted", report
    stored = image.read_bytes().upper() if plugins == ["good:Upper"] else image.read_bytes()
    assert [file.content() for file in files[:2]] == [stored] * 2
    assert [target.error for target in good] == [None, None]
    assert [target.size for target in good] == [len(stored)] * 2
    assert bad.error is not None
    assert bad.size is None
    assert "cannot be written" in str(bad.error)


def test_a_required_target_that_fails_ends_the_run_undecided(send: Send, files: list[KeptFile]) -> None:
    failing = FullDisk()
    bad, good = Target(failing), Target(files[0])
    report = send([good, bad], "good:Count")
    os.close(failing.fd)
    assert (report.outcome, report.code) == ("undecided", "store-failed"), report
    assert report.message == str(bad.error)
    assert (good.size, files[0].size) == (None, None)


def test_the_failure_of_the_last_target_ends_the_run_also_if_it_is_optional(send: Send) -> None:
    failing = [FullDisk(), FullDisk()]
    targets = [Target(sink, required=False) for sink in failing]
    report = send(targets, "good:Count")
    for sink in failing:
        os.close(sink.fd)
    assert (report.outcome, report.code) == ("undecided", "store-failed"), report
    assert [target.size for target in targets] == [None, None]


def test_a_refused_image_is_in_no_target(send: Send, files: list[KeptFile]) -> None:
    targets = [Target(file, required=False) for file in files]
    report = send(targets, "good:Head")
    assert report.outcome == "refused", report
    assert [(target.size, target.error) for target in targets] == [(None, None)] * 3

"""The end of an import without success: what is saved on the image, and what is tried again."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.glance import outcome
from douane.glance.image_metadata import property_text
from douane.glance.outcome import Reason, Undo, requeue
from support.fake_image import FakeImage, NotFound, TaskAbortedError, Wrapper

REASON = Reason("refused", "evil", "there is evil in it")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome, "PAUSES", (0.0, 0.0))


def test_reason_status_and_stores_are_saved_in_one_step() -> None:
    wrapper = Wrapper(FakeImage(size=5, extra_properties={"mine": "x"}))
    assert requeue(wrapper, REASON, ["fast"], Undo())
    image = wrapper.image
    assert (image.status, image.size, wrapper.saves) == ("queued", None, 1)
    assert image.extra_properties == {
        "mine": "x",
        "douane_outcome": "refused",
        "douane_code": "evil",
        "douane_reason": "there is evil in it",
        "os_glance_failed_import": "fast",
        "os_glance_importing_to_stores": "",
    }


def test_the_image_is_queued_even_if_the_reason_cannot_be_set() -> None:
    def full(image: FakeImage) -> None:
        if "douane_code" in image.extra_properties:
            raise ValueError("the quota of properties is reached")

    wrapper = Wrapper(FakeImage(), full)
    assert requeue(wrapper, REASON, ["fast"], Undo({"disk_format": "qcow2"}))
    assert wrapper.image.status == "queued"
    assert wrapper.image.disk_format == "qcow2"
    assert wrapper.image.extra_properties["os_glance_failed_import"] == "fast"


def test_the_reason_is_set_if_only_other_properties_cannot_be_restored() -> None:
    def protected(image: FakeImage) -> None:
        if image.extra_properties.get("mine") == "before":
            raise ValueError("the property is protected")

    wrapper = Wrapper(FakeImage(), protected)
    assert requeue(wrapper, REASON, [], Undo({}, {"mine": "before"}))
    assert wrapper.image.extra_properties["douane_code"] == "evil"
    assert wrapper.image.status == "queued"


def test_a_save_is_repeated_after_an_error() -> None:
    remaining_errors = [1, 2, 3, 4]

    def away(image: FakeImage) -> None:
        if remaining_errors:
            remaining_errors.pop()
            raise OSError("the database is away")

    wrapper = Wrapper(FakeImage(), away)
    assert requeue(wrapper, REASON, [], Undo())
    assert wrapper.image.status == "queued"


def test_requeue_returns_false_if_nothing_can_be_saved() -> None:
    def away(image: FakeImage) -> None:
        raise OSError("the database is away")

    wrapper = Wrapper(FakeImage(), away)
    assert not requeue(wrapper, REASON, [], Undo())
    assert wrapper.image.status == "importing"


@pytest.mark.parametrize("error", [NotFound, TaskAbortedError])
def test_an_image_that_is_deleted_or_locked_by_another_task_is_left_alone(error: type[Exception]) -> None:
    saves = []

    def refuse(image: FakeImage) -> None:
        saves.append(image)
        raise error

    assert requeue(Wrapper(FakeImage(), refuse), REASON, [], Undo())
    assert len(saves) == 1


@pytest.mark.parametrize("status", ["active", "queued"])
def test_an_image_that_is_not_importing_keeps_its_status_and_format(status: str) -> None:
    wrapper = Wrapper(FakeImage(status=status, size=7))
    assert requeue(wrapper, REASON, ["second"], Undo({"disk_format": "qcow2"}))
    assert (wrapper.image.status, wrapper.image.size, wrapper.image.disk_format) == (status, 7, "raw")


def test_the_properties_of_the_import_are_undone() -> None:
    wrapper = Wrapper(FakeImage(extra_properties={"acts.seen": "5", "hw_disk_bus": "scsi"}))
    requeue(wrapper, REASON, [], Undo({}, {"acts.seen": None, "hw_disk_bus": "virtio"}))
    assert "acts.seen" not in wrapper.image.extra_properties
    assert wrapper.image.extra_properties["hw_disk_bus"] == "virtio"


def test_a_reason_is_text_that_every_database_takes() -> None:
    reason = Reason("refused", "c\U0001f600", "a\U0001f600b\nc\0d\ud83d" + "x" * 5000)
    assert (reason.code, reason.message) == ("c?", "a?b?c?d?" + "x" * 992)
    assert reason.properties() == {
        "douane_outcome": "refused",
        "douane_code": reason.code,
        "douane_reason": reason.message,
    }


@settings(deadline=None)
@given(st.text(st.characters()))
def test_a_property_is_text_that_every_database_takes(text: str) -> None:
    stored = property_text(text)
    assert len(stored) == len(text)
    assert "\0" not in stored
    assert all(len(char.encode()) <= 3 for char in stored), "utf8mb3 has three bytes a character"
    assert all(after in (before, "?") for before, after in zip(text, stored, strict=True))
    encodable = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") == text
    assert stored == text or not encodable or max(text) > "\uffff" or "\0" in text

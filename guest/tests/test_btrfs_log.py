"""What is only in the log tree of an unclean btrfs is shown as the kernel shows it after a mount."""

import pytest
from btrfs_images import DATA, LOG_ROOT, at, open_image, with_superblock
from guest_trees import listing
from sparse_images import load, read_truth

from douane_guest.budget import Budget
from douane_guest.filesystems import btrfs
from douane_guest.filesystems.btrfs import changes

LOGS = sorted(path.stem for path in DATA.glob("log-*.image"))


def test_there_are_images_with_logs():
    assert len(LOGS) == 8


@pytest.mark.parametrize("name", LOGS)
def test_what_is_only_in_the_log_tree_is_shown_as_the_kernel_shows_it(name):
    system = open_image(name)
    assert (system.clean, system.unread) == (False, [])
    assert listing(system) == read_truth(DATA / f"{name}.truth")


@pytest.mark.parametrize("name", LOGS)
def test_without_its_log_an_image_shows_other_files(name):
    """So that the test above tests something."""
    source = with_superblock(load(DATA / f"{name}.image"), LOG_ROOT, bytes(8))
    assert listing(btrfs.open(source, Budget())) != read_truth(DATA / f"{name}.truth")


def test_attributes_in_the_log_are_added_changed_and_removed():
    system = open_image("log-contents")
    assert system.xattrs(at(system, b"folder/before 1")) == {b"user.changed": b"y", b"user.new": b"z"}


def test_links_in_the_log_are_counted():
    system = open_image("log-links")
    assert at(system, b"folder/before 6").links == 2
    assert at(system, b"folder/new link").ref == at(system, b"folder/before 6").ref


def test_a_log_that_cannot_be_read_is_told_and_the_committed_files_are_shown():
    source = with_superblock(load(DATA / "log-contents.image"), LOG_ROOT, (1 << 40).to_bytes(8, "little"))
    system = btrfs.open(source, Budget())
    assert [part.code for part in system.unread] == ["guest-unclean"]
    assert b"folder/before 1" in listing(system)


def test_a_log_that_is_too_large_for_memory_is_told(monkeypatch):
    monkeypatch.setattr(changes, "_MAX_BYTES", 1000)
    assert [part.code for part in open_image("log-contents").unread] == ["guest-unclean"]

"""What is only in the journal is shown: images taken while the kernel had them mounted, and logs that debugfs wrote."""

import shutil
import subprocess
from pathlib import Path

import pytest
from ext_images import debugfs, journal_of, make_ext, opened, without_replay
from guest_mutants import mutants
from guest_trees import listing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unclean_ext import CASES, Unclean, stored, taken_while_mounted

from douane_guest.budget import Budget
from douane_guest.errors import Broken
from douane_guest.filesystems import ext
from douane_guest.filesystems.base import FOLDER
from douane_guest.filesystems.ext import journal, log, superblock
from douane_guest.headers.crc32c import crc32c_raw
from douane_guest.source import BytesSource

BLOCK = 1024
MAGIC = bytes.fromhex("c03b3998")


def check(unclean: Unclean, case: str) -> None:
    system = ext.open(BytesSource(unclean.data), Budget())
    displayed = listing(system)
    assert not system.clean
    assert comparable(displayed, case) == comparable(unclean.truth, case)
    assert system.unread == []
    try:
        plain = listing(without_replay(unclean.data))
    except Broken:
        return
    assert plain != displayed, f"the image of {case} has nothing in its journal"


def comparable(facts, case: str):
    """Folders have the time of the replay if the kernel adds names to them for fast commits."""
    return {
        path: fact._replace(mtime_ns=None) if fact.kind == FOLDER and "at the end" in case else fact
        for path, fact in facts.items()
        if path != b"lost+found"
    }


@pytest.mark.parametrize("case", CASES)
def test_what_was_synced_before_a_copy_while_mounted_is_shown(tmp_path, case):
    check(taken_while_mounted(case, tmp_path) or stored(case), case)


@pytest.mark.parametrize("case", CASES)
def test_stored_images_taken_while_mounted_are_shown_as_the_kernel_showed_them(case):
    check(stored(case), case)


def test_the_stored_images_have_what_is_hard_in_a_journal():
    features, kinds, escaped, wraps = 0, set(), 0, 0
    for case in CASES:
        blocks, header = journal_of(stored(case).data)
        places = []
        for part in journal.parts(blocks, header, Budget()):
            kinds.add(part.kind)
            places.append(part.place)
            if part.kind == log.DESCRIPTOR:
                escaped += sum(record.escaped for record in journal.records(header, part.data))
        features |= header.incompat | header.compat << 8
        wraps += places != sorted(places)
    assert kinds == {log.DESCRIPTOR, log.COMMIT, log.REVOKE}
    assert features & (log.BIT64 | log.ASYNC_COMMIT | log.CHECKSUM_3 | log.FAST_COMMIT | log.CHECKSUM_1 << 8) == (
        log.BIT64 | log.ASYNC_COMMIT | log.CHECKSUM_3 | log.FAST_COMMIT | log.CHECKSUM_1 << 8
    )
    assert escaped > 50
    assert wraps >= 2


transactions = st.lists(
    st.tuples(
        st.lists(st.integers(5000, 5005), min_size=1, max_size=5, unique=True), st.booleans(), st.integers(0, 255)
    ),
    min_size=1,
    max_size=5,
)


@pytest.mark.parametrize("version", ["", "-c -v 1", "-c -v 2", "-c -v 3"])
@pytest.mark.parametrize("wide", ["64bit", "^64bit"])
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(transactions=transactions)
def test_a_log_that_debugfs_wrote_changes_what_a_check_would_change(tmp_path, version, wide, transactions):
    image = make_ext(tmp_path / "image", "-t", "ext4", "-b", "1024", "-J", "size=1", "-O", wide, size="8M")
    commands = [f"jo {version}"]
    for number, (blocks, revokes, byte) in enumerate(transactions):
        names = ",".join(map(str, blocks))
        content = tmp_path / f"blocks{number}"
        content.write_bytes(
            b"".join(((MAGIC if block % 2 else b"") + bytes([byte]) * BLOCK)[:BLOCK] for block in blocks)
        )
        commands.append(f"jw -r {names}" if revokes else f"jw -b {names} {content}")
    debugfs(image, *commands, "jc")
    replayed = tmp_path / "replayed"
    shutil.copyfile(image, replayed)
    subprocess.run(["e2fsck", "-fy", "-E", "journal_only", replayed], capture_output=True, check=True)
    expected = replayed.read_bytes()
    with opened(image) as system:
        assert not system.clean
        for block in range(5000, 5006):
            assert system.source.pread(block * BLOCK, BLOCK) == expected[block * BLOCK : (block + 1) * BLOCK]
        # A read that begins and ends inside of blocks gets the same bytes.
        assert system.source.pread(5000 * BLOCK - 7, 4 * BLOCK) == expected[5000 * BLOCK - 7 : 5004 * BLOCK - 7]


def changed_commit(case: str) -> bytes:
    """The image of a case with another bit in a commit block in the middle of its log."""
    data = stored(case).data
    blocks, header = journal_of(data)
    commits = [part for part in journal.parts(blocks, header, Budget()) if part.kind == log.COMMIT]
    place = blocks.place(commits[len(commits) // 2].place - 1)
    return data[: place + 17] + bytes([data[place + 17] ^ 1]) + data[place + 18 :]


@pytest.mark.parametrize("case", ["ext4", "checksums of transactions"])
def test_a_wrong_checksum_of_a_transaction_is_broken_as_the_kernel_does_not_mount_it(case):
    with pytest.raises(Broken, match="wrong checksum"):
        ext.open(BytesSource(changed_commit(case)), Budget())


def test_a_commit_that_did_not_wait_and_has_a_wrong_checksum_ends_the_log():
    system = ext.open(BytesSource(changed_commit("commits without waiting")), Budget())
    blocks, header = journal_of(stored("commits without waiting").data)
    assert system.source._places != journal.replay(blocks, header, 8192, Budget()).places


def test_each_changed_byte_of_a_log_with_checksums_is_noticed_or_ends_the_log():
    data = stored("ext4").data
    blocks, header = journal_of(data)
    all_places = journal.replay(blocks, header, 8192, Budget()).places
    for part in list(journal.parts(blocks, header, Budget()))[:6]:
        # The kernel accepts a commit block of which only the fields reached the disk.
        for inner in (0, 5, 11, 12, 30, 59 if part.kind == log.COMMIT else 1023):
            place = blocks.place(part.place - 1) + inner
            mutant = BytesSource(data[:place] + bytes([data[place] ^ 0x40]) + data[place + 1 :])
            try:
                system = ext.open(mutant, Budget())
            except Broken:
                continue
            assert getattr(system.source, "_places", {}) != all_places


@pytest.mark.parametrize("case", ["ext4", "many features"])
def test_a_changed_copy_of_a_block_is_broken(case):
    data = stored(case).data
    blocks, header = journal_of(data)
    part = next(part for part in journal.parts(blocks, header, Budget()) if part.kind == log.DESCRIPTOR)
    place = blocks.place(part.place) + 500
    with pytest.raises(Broken, match="wrong checksum"):
        ext.open(BytesSource(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]), Budget())


def test_a_journal_that_the_superblock_does_not_need_is_listed_as_unread():
    data = bytearray(stored("ext3").data)
    data[1024 + 0x60] &= ~superblock.RECOVER
    system = ext.open(BytesSource(bytes(data)), Budget())
    assert [(unread.code, "not needed" in unread.why) for unread in system.unread] == [("guest-unclean", True)]


def test_old_transactions_of_a_clean_file_system_are_not_replayed(tmp_path):
    image = tmp_path / "image"
    image.write_bytes(stored("ext4").data)
    subprocess.run(["e2fsck", "-fy", image], capture_output=True, check=False)
    blocks, _ = journal_of(image.read_bytes())
    assert any(blocks.read(number)[:4] == MAGIC for number in range(1, 1000))
    with opened(image) as system:
        assert system.clean
        assert isinstance(listing(system), dict)
        assert not hasattr(system.source, "_places")


@pytest.mark.parametrize("case", ["ext3", "ext4 with data", "many features", "fast commits at the end"])
def test_mutants_of_unclean_images_are_refused_with_the_three_exceptions(case):
    assert mutants(stored(case).data, ext.open, 40, steps=200_000) > 1


def test_checksums_are_those_of_the_standards():
    assert crc32c_raw(b"123456789") ^ 0xFFFFFFFF == 0xE3069283
    assert crc32c_raw(b"789", crc32c_raw(b"123456")) == crc32c_raw(b"123456789")
    # CRC-32/BZIP2, whose bits run in this order; the log does not invert it at the end.
    assert log.reverse(log.add_block(0xFFFFFFFF, b"123456789")) ^ 0xFFFFFFFF == 0xFC891918


def test_stored_images_are_small():
    assert all(path.stat().st_size < 200_000 for path in (Path(__file__).parent / "data").glob("ext-*"))

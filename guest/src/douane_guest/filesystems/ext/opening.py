"""Opening an ext file system, with replay of its journal in memory."""

from __future__ import annotations

from douane_guest.budget import Budget
from douane_guest.errors import Broken, Unsupported, only_guest_errors
from douane_guest.filesystems.base import Unread
from douane_guest.source import Source

from . import fast_commits, journal, superblock
from .blocks import Replayed
from .log import FAST_COMMIT, MAGIC, Header, Log, read_header
from .superblock import Superblock
from .system import ExtSystem


@only_guest_errors
def open_ext(source: Source, budget: Budget) -> ExtSystem:
    """Open it, and replay its journal in memory if it was not unmounted."""
    block = read_superblock(source)
    unread: list[Unread] = []
    clean = not block.incompat & superblock.RECOVER and block.state & 3 == superblock.VALID
    files = ExtSystem(source, block, budget)
    if block.compat & superblock.HAS_JOURNAL:
        files = replay_journal(files, block, budget, unread)
    elif not block.state & superblock.VALID:
        add_unclean(unread, "it was not unmounted and has no journal: a check of it can change what is in it")
    if block.state & superblock.ERRORS:
        add_unclean(unread, "the kernel has seen errors in it: a check of it can change what is in it")
    files.clean, files.unread = clean, unread
    return files


def read_superblock(source: Source) -> Superblock:
    """The superblock of a source."""
    if source.size < superblock.PLACE + superblock.SIZE:
        raise Broken("the disk is too small for a superblock of ext")
    return superblock.parse(source.pread(superblock.PLACE, superblock.SIZE), source.size)


def add_unclean(unread: list[Unread], why: str) -> None:
    """Note that what the virtual machine sees may differ."""
    unread.append(Unread("journal", "guest-unclean", why))


def replay_journal(files: ExtSystem, block: Superblock, budget: Budget, unread: list[Unread]) -> ExtSystem:
    """The file system after the replay of its journal."""
    if not block.journal_inode:
        add_unclean(unread, "its journal is on another device")
        return files
    raw = files.inodes.raw(block.journal_inode)
    count = files.size_of(raw) // block.block_size
    log = Log(files.source, block.block_size, list(files.runs(block.journal_inode, raw, 0, count)))
    header = read_header(log, count)
    if not block.incompat & superblock.RECOVER:
        if header.start:
            # Linux does not replay it, and a check at boot does.
            add_unclean(unread, "its journal has transactions, and its superblock says that they are not needed")
        return files
    replay = journal.replay(log, header, block.blocks, budget)
    if replay.places:
        source = Replayed(files.source, files.source.size, block.block_size, replay.places, MAGIC)
        replayed = read_superblock(source)
        if not block.same_shape(replayed):
            raise Broken("the journal changes the shape of the file system")
        block, files = replayed, ExtSystem(source, replayed, budget)
    if header.incompat & FAST_COMMIT and replay.transaction is not None:
        return replay_fast_commits(files, block, budget, unread, (log, header, replay.transaction))
    return files


def replay_fast_commits(
    files: ExtSystem, block: Superblock, budget: Budget, unread: list[Unread], place: tuple[Log, Header, int]
) -> ExtSystem:
    """The file system after the fast commits that follow the last transaction; without them, if one is not read."""
    log, header, transaction = place
    try:
        for kind, value in fast_commits.records(log, header, transaction, budget):
            files.changes.apply(kind, value, files.all_runs)
    except Unsupported as error:
        add_unclean(unread, f"its journal has fast commits, which are not replayed: {error.why}")
        return ExtSystem(files.source, block, budget)
    return files

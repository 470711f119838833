"""Small stacks for the threads of a program.

glibc gives each thread a stack of RLIMIT_STACK (8 MiB), and RLIMIT_DATA counts all of it, touched or not. qemu-img
starts up to 64 threads when its disk is fast: with a bound of 512 MiB, two of a hundred conversions ended with
"qemu_thread_create: Resource temporarily unavailable".
"""

from __future__ import annotations

import contextlib
import resource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

STACK_BYTES = 1 << 20


@contextlib.contextmanager
def small_stacks() -> Iterator[None]:
    """Lower the limit of this process, which a program that it starts inherits, and restore it."""
    before, most = resource.getrlimit(resource.RLIMIT_STACK)
    size = STACK_BYTES if most == resource.RLIM_INFINITY else min(STACK_BYTES, most)
    resource.setrlimit(resource.RLIMIT_STACK, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_STACK, (before, most))

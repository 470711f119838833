"""UDF 1.02 to 2.60: physical, sparable, virtual (VAT) and metadata partitions; strategies 4 and 4096; all extents.

ECMA-167 (3rd edition) and the UDF specifications of OSTA.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from douane_guest.budget import Budget
from douane_guest.errors import only_guest_errors
from douane_guest.source import Source

from .recognition import is_udf

if TYPE_CHECKING:
    from .system import Udf


@only_guest_errors
def probe(source: Source) -> bool:
    """See :class:`~douane_guest.filesystems.base.Opener`."""
    return is_udf(source)


@only_guest_errors
def open(source: Source, budget: Budget) -> Udf:
    """See :class:`~douane_guest.filesystems.base.Opener`."""
    from .system import Udf

    return Udf(source, budget)

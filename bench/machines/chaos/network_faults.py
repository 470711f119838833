"""Lines that are cut without a word: to the database, and to the store."""

from __future__ import annotations

from .faults import BEYOND_LEASE, Fault
from .site import DOORS, MACHINES


class CutFromDatabase(Fault):
    """A machine of workers cannot reach the database for longer than its leases last; it reaches the stores."""

    name = "partition of a machine from the database"
    part = "lines"

    def strike(self) -> None:
        """See the class."""
        databases = [self.site.network["database-1"], self.site.network["database-2"]]
        with self.machine() as machine:
            machine.host.cut(*databases)
            self.last(BEYOND_LEASE)
            machine.host.mend(*databases)


class CutFromStore(Fault):
    """A machine or a door cannot reach the object store for a while."""

    name = "partition from the object store"
    part = "objects"

    def strike(self) -> None:
        """See the class."""
        host = self.site.network[self.pick((*MACHINES, *DOORS))]
        host.cut(self.site.objects_host)
        self.last(self.chance.uniform(5, BEYOND_LEASE))
        host.mend(self.site.objects_host)

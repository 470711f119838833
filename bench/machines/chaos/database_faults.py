"""The database crashes, or its replica takes over."""

from __future__ import annotations

from .faults import Fault


class RestartDatabase(Fault):
    """`pg_ctl restart -m immediate` of the primary."""

    name = "immediate restart of the database"
    part = "database"

    def strike(self) -> None:
        """See the class."""
        self.site.database.restart()
        self.last(8.0)


class FailOver(Fault):
    """The primary is killed, the replica promoted, and the old primary becomes its replica."""

    name = "failover of the database"
    part = "database"

    def strike(self) -> None:
        """See the class."""
        self.site.database.fail_over()
        self.last(self.chance.uniform(0, 5))
        self.site.database.restore_replica()
        self.last(5.0)

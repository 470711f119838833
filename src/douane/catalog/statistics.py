"""What metrics count: tasks that ended, and tasks that have not, by step."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import case, func, select

from . import values
from .database import Database
from .open_source import CLIENT
from .records import Task, task_of
from .schema import ENDED, UNFINISHED, stores, tasks


class Statistics:
    """The queries of metrics; a part of :class:`~douane.catalog.Catalog`."""

    _database: Database

    def ended_since(self, time: str, limit: int = 1000) -> list[Task]:
        """The tasks that ended at `time` (as in `updated_at`) or later, the first `limit` of them, without their plans.

        Clocks of several machines differ, and a transaction is seen later than its time: a caller who follows the ends
        looks back some time, and leaves out those that it has seen.
        """
        values.text("the time", time, 32)
        columns = [column for column in tasks.c if column.name != "plan"]
        query = select(*columns).where(ENDED, tasks.c.updated_at >= time)
        with self._database.read() as connection:
            ended = connection.execute(query.order_by(tasks.c.updated_at, tasks.c.id).limit(limit))
            return [task_of({**row._asdict(), "plan": None}) for row in ended]

    def holding_stores(self, ids: Iterable[str]) -> set[str]:
        """Those of the stores `ids` that hold images."""
        with self._database.read() as connection:
            held = (select(stores.c.store).where(stores.c.store == store_id).limit(1) for store_id in ids)
            return {store_id for query in held for store_id in connection.execute(query).scalars()}

    def unfinished_by_step(self) -> dict[str, int]:
        """The number of tasks that have not ended, by their step; "open" are uploads whose clients are away."""
        step = case((tasks.c.worker == CLIENT, "open"), else_=tasks.c.step).label("step")
        query = select(step, func.count()).where(UNFINISHED).group_by(step)
        with self._database.read() as connection:
            return {step: int(count) for step, count in connection.execute(query)}

    def running_reports(self, limit: int = 1000) -> list[Any]:
        """The preliminary reports of the tasks that workers run, the first `limit` of them."""
        query = select(tasks.c.report).where(UNFINISHED, tasks.c.step == "receiving", tasks.c.report.is_not(None))
        with self._database.read() as connection:
            reports = connection.execute(query.order_by(tasks.c.created_at, tasks.c.id).limit(limit)).scalars()
            return [values.from_json(report) for report in reports]

"""The pool of idle plugin processes, as a state machine."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from douane.host.pool import PoolKey, ProcessPool
from douane.plan.model import Plan, PluginSpec
from douane.plan.resolve import ResolvedPlugin, resolve_plugin
from douane.sandbox import Tier

LIMIT = 3
SECONDS = 60.0
MOST = 2


def make_keys() -> list[PoolKey]:
    """Keys that differ in one thing each."""
    spec = PluginSpec(name="model", use="format")
    resolved = resolve_plugin(spec)
    plugin: ResolvedPlugin = msgspec.structs.replace(resolved, spec=msgspec.structs.replace(spec, reuse=MOST))
    plan = Plan(plugins=(plugin.spec,))
    code = msgspec.structs.replace(plugin.code, code_sha256="0" * 64)
    other_table = msgspec.structs.replace(plugin.spec, config={"a": 1})
    return [
        PoolKey(plan, plugin, Tier.STRICT, ()),
        PoolKey(msgspec.structs.replace(plan, deadline=1.0), plugin, Tier.STRICT, ()),
        PoolKey(plan, msgspec.structs.replace(plugin, code=code), Tier.STRICT, ()),
        PoolKey(plan, msgspec.structs.replace(plugin, spec=other_table), Tier.STRICT, ()),
        PoolKey(plan, plugin, Tier.FULL, ()),
        PoolKey(plan, plugin, Tier.STRICT, ((1, 2, 3),)),
    ]


KEYS, OTHER_KEYS = make_keys(), make_keys()
"""Equal, and not the same objects."""


@dataclass(eq=False)
class Process:
    """A process that is in use, waits, or has ended."""

    key: PoolKey
    served: int = 0
    fit: bool = True
    ended: int = field(default=0)

    def is_fit(self) -> bool:
        assert not self.ended
        return self.fit

    def end(self) -> None:
        self.ended += 1


class Pool(RuleBasedStateMachine):
    """Images come and go; processes die and grow old."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.pool: ProcessPool[Process] = ProcessPool(LIMIT, SECONDS, lambda: self.now)
        self.processes: list[Process] = []
        self.in_use: list[Process] = []
        self.parked_at: dict[int, float] = {}
        self.closed = False

    @rule(number=st.integers(0, len(KEYS) - 1))
    def begin_image(self, number: int) -> None:
        process = self.pool.take(OTHER_KEYS[number])
        if process is None:
            process = Process(KEYS[number])
            self.processes.append(process)
        else:
            assert process.key == KEYS[number] and process.fit and not process.ended
            assert process not in self.in_use
            assert self.now - self.parked_at[id(process)] <= SECONDS
        self.in_use.append(process)

    @precondition(lambda self: self.in_use)
    @rule(answered=st.booleans(), data=st.data())
    def end_image(self, answered: bool, data: st.DataObject) -> None:
        process = self.in_use.pop(data.draw(st.integers(0, len(self.in_use) - 1)))
        process.served += 1
        if answered:
            self.parked_at[id(process)] = self.now
            self.pool.park(process)
        else:
            process.end()

    @precondition(lambda self: self.processes)
    @rule(data=st.data())
    def go_wrong(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.processes)).fit = False

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def check(self) -> None:
        self.pool.check()
        idle = [entry[1] for entry in self.pool._idle]
        assert all(process.fit and self.now - self.parked_at[id(process)] <= SECONDS for process in idle)

    @rule()
    def close(self) -> None:
        self.pool.close()
        self.closed = True

    @invariant()
    def each_process_is_in_use_or_waits_or_has_ended_once(self) -> None:
        idle = [entry[1] for entry in self.pool._idle]
        assert len(idle) == len(self.pool) <= LIMIT
        assert not (self.closed and idle)
        for process in self.processes:
            places = [process in idle, process in self.in_use, process.ended > 0]
            assert sum(places) == 1 and process.ended <= 1
            assert process.served <= MOST
            assert process not in idle or process.served < MOST


TestPool = Pool.TestCase
TestPool.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)

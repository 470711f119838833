"""Over all images of a place, page by page: what stands is not judged again, and each verdict is kept at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

import msgspec

from douane.engine import Plan, RunOptions, plan_digest, probe
from douane.errors import DouaneError, PlanError
from douane.report import Verdict
from douane.sandbox import Tier

from .again import AGAIN, Again, judge_again, usable
from .decisions import FINAL, Decision, Todo, decide, findings_of, judge_received, sort_out, with_findings
from .fingerprints import Inspector, fingerprint_of, inspector_of
from .places import Entry, NotDeactivated, Place
from .runs import Failure, Read, ask_of_findings, read_image
from .state import Judged, Record, State
from .summary import Row, Summary


class RescanOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to go over the images."""

    tier: Tier
    run: RunOptions
    jobs: int = 1
    deactivates: bool = False
    trusts_services: bool = False
    """Inspectors that are granted a connection do not judge again only because of that."""

    again: Mapping[str, Again] = AGAIN
    progress: Callable[[Summary], None] = lambda summary: None


class _Judging(msgspec.Struct):
    """One entry of a page, and what is known of it."""

    entry: Entry
    inspectors: list[Inspector]
    todo: Todo
    transformed: bool | None
    verdicts: dict[str, Verdict] = {}
    failure: Failure | None = None
    documents_used: bool = False
    read: bool = False


class Rescan:
    """One rescan. It may be killed at any time: the next one goes on where this one was."""

    def __init__(self, place: Place, plan: Plan, state: State, options: RescanOptions) -> None:
        """Start each plugin once, to know what it is today. Raises PlanError, DouaneError."""
        self._place = place
        self._plan = plan
        self._state = state
        self._options = options
        probed = probe(plan, tier=options.tier, emit=options.run.emit)
        names = {spec.name for spec in plan.plugins}  # without the format inspectors that follow transforms
        inspectors = [plugin for plugin in probed.plugins if not plugin.is_transform and plugin.spec.name in names]
        self._inspectors = [inspector_of(process) for process in inspectors]
        self._transforms = any(plugin.is_transform for plugin in probed.plugins)
        if not self._inspectors:
            raise PlanError("the plan has no inspector, so there is nothing to judge stored images by")
        self._again = usable(self._inspectors, options.again)
        self.summary = Summary(plan_sha256=plan_digest(probed.processes))

    def run(self) -> Summary:
        """Go over all images. Raises DouaneError if the place or the state fails."""
        began = time.monotonic()
        for number, page in enumerate(self._place.pages()):
            if number:  # the caller has the counts of the last page with those of all
                self._options.progress(self.summary)
            self._judge_page(page)
        self.summary.seconds = round(time.monotonic() - began, 3)
        return self.summary

    def _judge_page(self, page: Sequence[Entry]) -> None:
        judging = [self._begin(entry) for entry in page]
        self._judge_by_documents(judging)
        self._state.commit()
        unread = [judged for judged in judging if not judged.todo.bytes]
        for judged in unread:
            self._end(judged)
        self._state.commit()
        for judged, read in self._reads([judged for judged in judging if judged.todo.bytes]):
            self._take(judged, read)
            self._end(judged)
            self._state.commit()

    def _begin(self, entry: Entry) -> _Judging:
        judged = self._state.judged(self._place.name, entry.key)
        if judged is None or judged.content != entry.content:
            judged = self._place.recorded(entry)
        inspectors = self._inspectors_of(entry)
        todo = sort_out(
            inspectors, entry, judged, from_documents=self._again, trusts_services=self._options.trusts_services
        )
        same = judged is not None and judged.content == entry.content
        transformed = judged.transformed if judged is not None and same else None
        judging = _Judging(entry, inspectors, todo, transformed if self._transforms else False)
        # Until they judge again, and for inspectors of findings, the verdicts before are kept.
        if judged is not None and same and judged.declared == entry.declared_digest:
            judging.todo.records = {**judged.records, **todo.records}
        return judging

    def _inspectors_of(self, entry: Entry) -> list[Inspector]:
        """Of a copy for one store, the inspectors of what its transform has made."""
        if entry.variant_of is None:
            return [inspector for inspector in self._inspectors if not inspector.spec.stores]
        names = {spec.name for spec in self._plan.for_variant(entry.variant_of).plugins}
        return [inspector for inspector in self._inspectors if inspector.name in names]

    def _judge_by_documents(self, judging: Sequence[_Judging]) -> None:
        for inspector in self._inspectors:
            pending = {judged.entry.key: judged for judged in judging if inspector in judged.todo.documents}
            if not pending:
                continue
            records = {key: judged.todo.records[inspector.name] for key, judged in pending.items()}
            verdicts = judge_again(self._plan, inspector, self._again[inspector.spec.use], records, self._options.run)
            for key, judged in pending.items():
                if key in verdicts:
                    self._keep(judged, inspector, verdicts[key])
                    judged.documents_used = True
                else:
                    judged.todo.bytes.append(inspector)

    def _reads(self, judging: Sequence[_Judging]) -> Iterator[tuple[_Judging, Read]]:
        if self._options.jobs == 1:  # in this thread, which a signal can interrupt
            yield from ((judged, self._read(judged, self._options.run)) for judged in judging)
            return
        stopped = threading.Event()

        def check(_position: int, _total: int | None) -> None:
            if stopped.is_set():
                raise DouaneError("the rescan was interrupted")

        options = msgspec.structs.replace(self._options.run, progress=check)
        with ThreadPoolExecutor(self._options.jobs) as threads:
            futures = {threads.submit(self._read, judged, options): judged for judged in judging}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            except BaseException:
                stopped.set()
                threads.shutdown(cancel_futures=True)
                raise

    def _read(self, judging: _Judging, options: RunOptions) -> Read:
        try:
            entry = judging.entry
            return read_image(self._plan, judging.todo.bytes, entry, lambda: self._place.open(entry), options)
        except DouaneError as error:
            failure = Failure(code=error.code, message=str(error))
            return Read(verdicts=[], lasting=frozenset(), bytes_read=0, failure=failure)

    def _take(self, judging: _Judging, read: Read) -> None:
        judging.read = True
        judging.failure = read.failure
        self.summary.bytes_read += read.bytes_read
        inspectors = {inspector.name: inspector for inspector in judging.todo.bytes}
        for name in inspectors:
            judging.todo.records.pop(name, None)
        for verdict in read.verdicts:
            inspector = inspectors.get(verdict.plugin)
            if inspector is not None:
                self._keep(judging, inspector, verdict, lasts=verdict.plugin in read.lasting)

    def _keep(self, judging: _Judging, inspector: Inspector, verdict: Verdict, *, lasts: bool = True) -> None:
        verdict = judge_received(inspector, verdict, transformed=judging.transformed)
        judging.verdicts[inspector.name] = verdict
        if lasts and verdict.ran is not None:
            current = inspector.fingerprint
            fingerprint = fingerprint_of(verdict.ran, current.view, current.day)
            judging.todo.records[inspector.name] = Record(fingerprint, self._kept(inspector, verdict))

    def _kept(self, inspector: Inspector, verdict: Verdict) -> Verdict:
        """Only the document that it is judged by again: those of reports may be large."""
        way = self._again.get(inspector.spec.use)
        documents = {name: value for name, value in verdict.documents.items() if way and name == way.document}
        return msgspec.structs.replace(verdict, documents=documents, detail=None)

    def _end(self, judging: _Judging) -> None:
        """All bytes that had to be read are read: inspectors of findings, the decision, and what follows."""
        entry, records = judging.entry, judging.todo.records
        # Among the records are verdicts by earlier rules, which say nothing today.
        standing = {
            inspector.name: records[inspector.name].verdict
            for inspector in judging.inspectors
            if inspector.name in records and records[inspector.name].fingerprint == inspector.fingerprint
        }
        for inspector in judging.inspectors:
            if inspector.reads == "findings" and judging.failure is None:
                self._judge_findings(judging, inspector)
            elif inspector.name not in judging.verdicts and inspector.name in standing:
                judging.verdicts[inspector.name] = standing[inspector.name]
        judged = Judged(
            content=entry.content, declared=entry.declared_digest, transformed=judging.transformed, records=records
        )
        self._state.save(self._place.name, entry.key, judged)
        self._report(judging, decide(judging.inspectors, judging.verdicts))

    def _judge_findings(self, judging: _Judging, inspector: Inspector) -> None:
        records = judging.todo.records
        findings = findings_of(judging.inspectors, inspector, records)
        current = with_findings(inspector, findings)
        record = records.get(inspector.name)
        if record is not None and record.fingerprint == current:
            judging.verdicts[inspector.name] = record.verdict
            return
        try:
            verdict = ask_of_findings(self._plan, inspector, judging.entry, findings, self._options.run)
        except DouaneError as error:
            judging.failure = Failure(code=error.code, message=str(error))
            return
        judging.documents_used = True
        judging.verdicts[inspector.name] = verdict
        records.pop(inspector.name, None)
        if verdict.outcome in FINAL:
            records[inspector.name] = Record(current, self._kept(inspector, verdict))

    def _report(self, judging: _Judging, decision: Decision) -> None:
        summary, entry, verdict = self.summary, judging.entry, decision.verdict
        outcome = decision.outcome
        code, message = (None, None) if verdict is None else (verdict.code, verdict.message)
        if judging.failure is not None and outcome != "refused":
            outcome, verdict = "undecided", None
            code, message = judging.failure.code, judging.failure.message
        if outcome == "undecided" and judging.read and not self._place.has(entry):
            return  # it was deleted meanwhile, which says nothing of it
        summary.images += 1
        setattr(summary, outcome, getattr(summary, outcome) + 1)
        if judging.read:
            summary.read += 1
        elif judging.documents_used:
            summary.from_documents += 1
        else:
            summary.unchanged += 1
        if outcome == "accepted":
            return
        deactivated, problem = False, None
        if outcome == "refused" and self._options.deactivates:
            try:
                deactivated = self._place.deactivate(entry)
            except NotDeactivated as error:
                problem = str(error)
        summary.deactivated += deactivated
        summary.not_deactivated += problem is not None
        summary.rows.append(
            Row(
                image=entry.image,
                name=entry.name,
                outcome=outcome,
                plugin=None if verdict is None else verdict.plugin,
                code=code,
                message=message,
                store=entry.variant_of,
                deactivated=deactivated,
                not_deactivated=problem,
            )
        )

"""The suite: which checks are made of a plugin, in which order, and what comes of them."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence

from douane import sandbox
from douane.engine import PlanError, PluginSpec

from . import dictionary, judge
from .cases import NOTHING_DECLARED, USUAL, Case, Outcome
from .cutting import Cutting, Places, differ
from .driver_process import OFTEN, Died, GaveUp, NotRun, Runner, Unusable
from .findings import Finding, Report, show_image
from .growth import Growth
from .images import filler
from .programs import check_program, through_engine
from .repeat import Repeat
from .search import Search
from .subject import Subject
from .transforming import Transforming

MOST_OF_A_KIND = 3
CONFIRM_SECONDS = 12.0
SECONDS = 70.0
SETTLE_SECONDS = 20.0

Step = Callable[[str], None]


def examine(
    spec: PluginSpec,
    tier: sandbox.Tier,
    *,
    images: Sequence[bytes] = (),
    seed: int = 0,
    effort: float = 1.0,
    step: Step = lambda name: None,
) -> Report:
    """Put the plugin of `spec` through all checks; `step` is told the name of each as it begins.

    `effort` times a minute is about what it may take at most; with less, less is tried.

    Raises PlanError if there is no such plugin or its configuration is wrong, NotRun, SandboxError.
    """
    began = time.monotonic()
    report = Report(spec.name, spec.use, seed, tier.value)
    subject = Subject(spec, tier)
    try:
        if subject.code.argv:
            step("program")
            check_program(spec, tier, images, report)
        else:
            with _home_of_hypothesis():
                _Suite(subject, report, images, seed, step, effort).run()
    finally:
        subject.close()
    report.seconds = time.monotonic() - began
    return report


@contextlib.contextmanager
def _home_of_hypothesis() -> Iterator[None]:
    """Hypothesis keeps what it learns in a folder; the author's own is not the place for that."""
    from hypothesis import configuration

    with tempfile.TemporaryDirectory() as home:
        configuration.set_hypothesis_home_dir(home)
        try:
            yield
        finally:
            configuration.set_hypothesis_home_dir(None)


class _Suite:
    def __init__(
        self, subject: Subject, report: Report, images: Sequence[bytes], seed: int, step: Step, effort: float
    ) -> None:
        self._effort = effort
        self._subject = subject
        self._report = report
        self._images = images
        self._seed = seed
        self._step = step
        self._runner = Runner(subject)
        self._broad = judge.broad_handlers(subject.source())
        self._suspects: dict[judge.Signature, tuple[Case, Outcome, str]] = {}
        self._found: set[str] = set()

    def run(self) -> None:
        try:
            self._runner.deadline = time.monotonic() + SECONDS * max(0.6, self._effort)
            try:
                self._load()
                if self._begin():
                    self._all()
            except GaveUp as reason:
                self._note(str(reason))
                self._look(list(self._runner.recent))
                self._report.cut_short = str(reason) == OFTEN
                self._runner.deadline = time.monotonic() + SETTLE_SECONDS
                self._runner.overflows = self._runner.slow = 0
                self._runner.fresh({})
                self._settle()
        finally:
            self._report.cages = self._runner.cages
            self._runner.close()

    # loading

    def _load(self) -> None:
        spec = self._subject.spec
        what = f"plugin {spec.name!r} ({spec.use})"
        try:
            self._runner.start()
        except Unusable as unusable:
            told = unusable.told
            if told.get("configuration"):
                raise PlanError(f"{what}: {told.get('message')}") from unusable
            error = PlanError(f"{what}: it cannot be imported: {told.get('kind')}: {told.get('message')}")
            error.add_note(str(told.get("trace") or ""))
            raise error from unusable
        except Died as died:
            how = f"it did not load within {spec.start:g} s" if died.hangs else died.how
            raise PlanError(f"{what}: it cannot be imported: {how}") from died

    def _begin(self) -> bool:
        """Whether it can be run at all."""
        spec = self._subject.spec
        what = f"plugin {spec.name!r} ({spec.use})"
        cases = [Case(data, facts=facts) for data in (b"", b"A" * 700) for facts in (USUAL, NOTHING_DECLARED)]
        outcomes = self._runner.run(cases)
        for case, outcome in zip(cases, outcomes, strict=True):
            told = outcome.told
            if outcome.kind == "failed":
                if grant := outcome.has("no-grant"):
                    name = grant.partition(":")[2]
                    raise NotRun(
                        f"{what} needs the grant {name!r}, and cannot be run without; give it one: "
                        f"--grant {name}=file:PATH (or unix:PATH, tcp:HOST:PORT)"
                    )
                if outcome.has("no-scratch"):
                    raise NotRun(
                        f"{what} needs scratch files, and cannot be run without; give it a line such as "
                        "scratch = '1GiB' in a configuration: --config FILE --name NAME"
                    )
                if told.get("program"):
                    raise NotRun(
                        f"{what} starts a program that it was not given ({told.get('message')}); name it under "
                        "'programs' in a configuration: --config FILE --name NAME"
                    )
            if told.get("stage") == "configure" and outcome.kind == "failed":
                if told.get("kind") in ("ValueError", "TypeError", "SettingError") and not told.get("cause"):
                    error = PlanError(f"{what}: its configuration is refused: {told.get('message')}")
                    error.add_note(str(told.get("trace") or ""))
                    raise error
                self._look([(case, outcome)])
                self._settle()
                return False
            if outcome.kind == "accepted" and (grant := outcome.has("no-grant")):
                self._note(f"it asks for the grant {grant.partition(':')[2]!r}, which it was not given")
        return True

    def _note(self, text: str) -> None:
        if text not in self._report.notes:
            self._report.notes.append(text)

    # the checks

    def _all(self) -> None:
        described, runner = self._subject.described, self._runner
        self._step("search")
        search = Search(runner, described, self._words(), self._seed, self._effort)
        try:
            search.run(self._images)
        finally:
            self._count("images tried", search.tried)
            if not any(outcome.kind in ("refused", "incomplete") for _, outcome in search.odd) and self._may_refuse():
                self._note("no image was found that it refuses; give one with --image, so that this is checked, too")
            self._count("images that ran code of their own", len(search.kept))
            for _, outcome in search.odd:
                self._report.verdicts[outcome.kind] += 1
            self._look(search.odd)
        self._step("repeat")
        repeat = Repeat(runner)
        finding = repeat.check(_diverse(search))
        self._count("images tried again, in other processes and at other times", repeat.ran)
        if finding is not None:
            self._add(finding)
            runner.fresh({})
            runner.reload = finding.code == "keeps-state"
            if finding.code == "not-deterministic":
                self._note("what depends on the image alone could not be checked, because the answers vary")
        steady = finding is None or finding.code == "keeps-state"
        if described.reads_bytes:
            if steady:
                self._cuts(search)
            self._step("growth")
            growth = Growth(runner, described, search.words, self._seed, self._look, self._effort)
            for one in growth.check(search.kept):
                self._add(one)
            self._count("measurements of time and memory", growth.ran)
            self._count("largest image, in MiB", growth.largest >> 20)
            self._report.notes += growth.notes
            if described.transforms:
                self._step("transform")
                transforming = Transforming(runner, self._seed)
                facts = [dataclasses.replace(USUAL, disk_format=form) for form in self._formats(search)]
                made = transforming.check(facts)
                if made is not None:
                    self._add(made)
                self._count("images made", transforming.ran)
        self._settle()
        if not self._report.findings:
            self._engine(search)

    def _may_refuse(self) -> bool:
        return any("Reject(" in text for text in self._subject.source().values())

    def _words(self) -> dictionary.Dictionary:
        return dictionary.build(self._runner.found, self._subject.described.reads, self._seed)

    def _formats(self, search: Search) -> list[str]:
        known = ("qcow2", "vmdk", "vhd", "vhdx", "vdi", "iso", "vpc")
        return [form for form in known if form in search.words.words][:4]

    def _cuts(self, search: Search) -> None:
        self._step("cuts")
        cutting = Cutting(self._runner, search.words, self._seed, self._effort)
        mismatch = None
        try:
            # What ran something new may be all but nothing: an image of one byte cannot be cut.
            usual = [Case(data) for data in _usual(search.words.tokens, self._seed)]
            usual_ran = list(zip(usual, self._runner.run(usual), strict=True))
            ran = [*search.kept, *usual_ran]
            sound = [(case, outcome) for case, outcome in ran if outcome.kind not in ("failed", "hangs", "died")]
            rest = [(case, outcome) for case, outcome in search.odd if outcome.kind not in ("failed", "hangs", "died")]
            mismatch = cutting.systematic(sound, rest) or cutting.random(sound)
        finally:
            self._look(cutting.outcomes)
            self._count("cuts of the same image compared", cutting.ran)
            self._count("cuts chosen by hypothesis", cutting.examples)
        if mismatch is not None and not self._is_known(mismatch[3]):
            self._mismatch(cutting, mismatch)
        places = Places(self._runner, search.words, self._seed)
        missed = places.check(self._subject.described.head)
        self._count("places of the same text compared", places.ran)
        if missed is not None:
            _case, outcome, other, missing, width = missed
            what = (
                f"a text that it finds elsewhere in the image is missed where it stands across offset {width}: "
                "pieces of the plugin's own do not overlap as far as they must"
            )
            shown = (f"before it: {outcome.describe()}", f"across it: {missing.describe()}")
            self._add(Finding("depends-on-cuts", what, show_image(other), shown))

    def _is_known(self, outcome: Outcome) -> bool:
        """It is not the cut that fails, but what another finding says already."""
        found = judge.judge(Case(b""), outcome, self._broad)
        return found is not None and found[0][0] not in ("fails", "says-nothing", "bad-properties")

    def _mismatch(self, cutting: Cutting, mismatch: tuple[Case, Outcome, Case, Outcome]) -> None:
        # In processes of their own: what another image left behind is another fault.
        alone = []
        for case in (mismatch[0], mismatch[2]):
            self._runner.fresh({})
            alone.append(self._runner.one(case))
        if not differ(alone[0], alone[1]):
            finding = Repeat(self._runner).check([mismatch[0], mismatch[2]])
            if finding is not None:
                self._add(finding)
            return
        _, one, cut, other = cutting.shrink((mismatch[0], alone[0], mismatch[2], alone[1]))
        outcomes = (f"one chunk: {one.describe()}", f"{show_image(cut)['cuts']}: {other.describe()}")
        if one.kind == other.kind == "accepted":
            what = "what it says of the image depends on where chunks are cut"
        else:
            what = "its verdict depends on where chunks are cut"
        trace = str(other.told.get("trace") or one.told.get("trace") or "")
        self._add(Finding("depends-on-cuts", what, show_image(cut), outcomes, trace[-1500:]))

    def _engine(self, search: Search) -> None:
        """A few cases through the real engine, as it is in production."""
        self._step("engine")
        described, spec = self._subject.described, self._subject.spec
        if self._subject.has_sockets or spec.grants:
            return
        chosen = [b"", b"A"]
        kept = sorted(search.kept, key=lambda pair: -int(pair[1].told.get("arc_count", 0)))
        chosen += [case.data for case, _ in kept if case.facts == USUAL][:3]
        cases = [Case(data, 1 << 20) for data in chosen]
        for case, here in zip(cases, self._runner.run(cases), strict=True):
            verdict, _ = through_engine(spec, self._subject.tier, case.data)
            self._count("images through the real engine", 1)
            if verdict is None or verdict.outcome == "stopped" or described.transforms:
                continue
            there = (verdict.outcome, verdict.code)
            if verdict.outcome in ("failed", "timeout") and here.kind not in ("failed", "hangs", "died"):
                if here.told.get("proposed"):
                    continue  # what it may set is the operator's to say
                what = f"the engine says otherwise: {verdict.outcome}, {verdict.detail or verdict.message}"
                shown = (f"here: {here.describe()}", f"engine: {there}")
                self._add(Finding("engine-differs", what, show_image(case), shown))
                return

    # what is found

    def _count(self, what: str, number: int) -> None:
        self._report.checks[what] = self._report.checks.get(what, 0) + number

    def _add(self, finding: Finding) -> None:
        same = sum(1 for one in self._report.findings if one.code == finding.code)
        if same < MOST_OF_A_KIND:
            self._report.findings.append(finding)

    def _look(self, ran: Sequence[tuple[Case, Outcome]]) -> None:
        """Judge each outcome alone; of each kind of fault the smallest case is kept."""
        for case, outcome in ran:
            found = judge.judge(case, outcome, self._broad)
            if found is None:
                continue
            signature, what = found
            known = self._suspects.get(signature)
            if known is None or len(case.data) < len(known[0].data):
                self._suspects[signature] = (case, outcome, what)

    def _settle(self) -> None:
        """Confirm what was suspected, make it small, and say it."""
        suspects, self._suspects = self._suspects, {}
        order = sorted(suspects.items(), key=lambda item: len(item[1][0].data))
        hangs = [item for item in order if item[0][0] == "hangs"][:1]
        for signature, (case, outcome, what) in [*(item for item in order if item[0][0] != "hangs"), *hangs]:
            code = signature[0]
            if sum(1 for one in self._report.findings if one.code.startswith(code)) >= MOST_OF_A_KIND:
                continue
            try:
                self._confirm(signature, case, outcome, what)
            except GaveUp:
                self._add(judge.show(code if code != "fails" else "fails-on-content", what, case, outcome))

    def _confirm(self, signature: judge.Signature, case: Case, outcome: Outcome, what: str) -> None:
        code = signature[0]
        if code == "hangs":
            again = self._runner.one(dataclasses.replace(case, trace=False), seconds=CONFIRM_SECONDS)
            taken = float(again.told.get("wall", 0.0))
            if again.kind == "hangs":
                self._add(judge.show(code, what, case, again))
            elif taken > judge.SMALL_SECONDS and len(case.data) <= judge.SMALL:
                what = f"it needs {taken:.3g} s for an image of {len(case.data)} bytes"
                self._add(judge.show(code, what, case, again))
            return
        if signature in (("slow-growth", "small"), ("sleeps", "waits")):
            # Tracing makes it slower; and once may be the machine's fault.
            plain = dataclasses.replace(case, trace=False)
            twice = [judge.judge(plain, self._runner.one(plain), self._broad) for _ in range(2)]
            if all(found is not None and found[0] == signature for found in twice):
                self._add(judge.show(code, what, case, outcome))
            return
        if code == "died":
            self._add(judge.show(code, what, case, outcome))
            return

        def is_same(cases: list[Case]) -> list[bool]:
            outcomes = self._runner.run(cases)
            found = [judge.judge(one, each, self._broad) for one, each in zip(cases, outcomes, strict=True)]
            return [one is not None and one[0] == signature for one in found]

        if len(case.data) <= 1 << 18 and is_same([dataclasses.replace(case, trace=True)])[0]:
            case, used = judge.shrink(case, is_same)
            self._count("cases tried to make inputs small", used)
            outcome = self._runner.one(case)
            found = judge.judge(case, outcome, self._broad)
            what = found[1] if found is not None else what
        if code == "fails":
            described = self._subject.described
            names = self._words().names
            code = judge.classify(case, outcome, self._runner.run, names, described.reads_bytes)
        self._add(judge.show(code, what, case, outcome))


def _usual(tokens: Sequence[bytes], seed: int) -> list[bytes]:
    """Images that are worth cutting whatever the plugin does."""
    text = b"root:x:0:0:root:/root:/bin/sh\nkey = value\n\n# comment\n" * 8
    joined = b"\n".join(tokens[:40])
    found = [b"\0\x01\xff", filler(64, seed), filler(700, seed), bytes(700), b"\xff" * 40, text, joined]
    found += [joined * 3, bytes(2000) + joined + filler(3000, seed), filler(6000, seed), filler(200_000, seed)]
    # Long ones with a constant far from the end: whoever keeps only a part of a long chunk misses it.
    return [*found, *(token + b"." * 300_000 for token in tokens[:4]), bytes(90_000) + joined + filler(200_000, seed)]


def _diverse(search: Search) -> list[Case]:
    """Cases with different answers, and some that hold much of what the plugin looks for."""
    joined = [
        Case(b"\n".join(search.words.tokens[:24]) + b"\n"),
        Case(b"\n".join(search.words.tokens[:40][::-1]) + b"\n"),
    ]
    chosen: dict[object, Case] = {}
    for case, outcome in sorted(search.kept, key=lambda pair: len(pair[0].data)):
        if outcome.kind not in ("hangs", "died") and len(case.data) <= 1 << 18:
            chosen.setdefault(outcome.answer, case)
    cases = list(chosen.values())
    refused = [case for case in cases if len(case.data) > 0]
    step = max(1, len(refused) // 12)
    most = [case for case, _ in search.kept[-4:] if len(case.data) <= 1 << 18]
    return [*joined, *refused[::step][:12], *most, Case(b""), Case(b"A" * 5000)]

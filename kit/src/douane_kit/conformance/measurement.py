"""Single measurements on images of a family."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .cases import Case, Facts, Outcome, Trial
from .families import Family
from .findings import show_image
from .runner import Runner
from .subject import Subject

KiB, MiB = 1 << 10, 1 << 20
CHUNK_BYTES = 64 * KiB
CASE_SECONDS = 20.0


class Measurement:
    """Runs the plugin on images of a family; `judge_all` is passed each outcome."""

    def __init__(self, runner: Runner, subject: Subject, judge_all: Callable[[Sequence[Trial]], None]) -> None:
        self.runner = runner
        self.subject = subject
        self._judge_all = judge_all
        self.count = 0
        self.largest = 0
        self.notes: list[str] = []

    def facts(self, family: Family) -> Facts:
        """Return the declared facts of the images of `family`."""
        return family.facts or self.runner.usual

    def fitting(self, *sizes: int) -> list[int]:
        """Return those of `sizes` that the plugin may read to the end."""
        head = self.subject.head
        return [size for size in sizes if head is None or size <= head]

    def run(
        self,
        family: Family,
        size: int,
        *,
        cuts: int = CHUNK_BYTES,
        seconds: float = CASE_SECONDS,
        measure_memory: bool = False,
    ) -> Outcome:
        """Run the plugin on an image of `size` bytes. Raises GaveUp."""
        case = Case(family.make(size), cuts, self.facts(family), measure_memory=measure_memory)
        self.count += 1
        self.largest = max(self.largest, size)
        outcome = self.runner.run_one(case, seconds=seconds)
        if not (measure_memory and outcome.kind == "died"):  # of want of memory, as tracing takes some, too
            self._judge_all([(case, outcome)])
        return outcome

    def cases_of(self, family: Family, size: int, cuts: int = CHUNK_BYTES) -> Callable[[], tuple[Case, ...]]:
        """Return a function that makes the image anew, as it may be large."""
        return lambda: (Case(family.make(size), cuts, self.facts(family)),)

    def image(self, family: Family, size: int) -> dict[str, object]:
        """Return the description of an image for a finding."""
        image = show_image(Case(b"", facts=self.facts(family)))
        del image["hex"]
        return {
            **image,
            "size": size,
            "recipe": f"{size} bytes: {family.name}",
            "cuts": f"chunks of {CHUNK_BYTES} bytes",
        }

"""`douane rescan` of 1,000 images after a feed's update: judged again by documents, and no image read."""

from __future__ import annotations

import time
from collections.abc import Iterator

from douane.declared import DeclaredImage
from douane.engine import RunOptions, choose_tier, load_plan, probe
from douane.report import Verdict
from douane.rescan import Entry, Rescan, RescanOptions, State
from douane.rescan.fingerprints import Inspector, inspector_of
from douane.rescan.state import Judged, Record
from douane.stream.source import Source

from .harness import Row, Settings

IMAGES, SECONDS = 1000, 5.0
PACKAGES = 500
FEED = """
import json
from douane_plugin import Inspector

class Feed(Inspector):
    def __init__(self):
        self.bad = set(self.grant("feed").read().decode().split())

    def inspect(self, image):
        for _ in image:
            pass

class Again(Feed):
    def inspect(self, image):
        answers = {}
        for line in b"".join(bytes(chunk) for chunk in image).splitlines():
            question = json.loads(line)
            bad = [name for name, _ in question["documents"]["packages"] if name in self.bad]
            refusal = {"outcome": "refused", "code": "bad", "message": bad[0]} if bad else {"outcome": "accepted"}
            answers[question["id"]] = refusal
        self.attach("answers", answers)
"""


class _Recorded:
    """1,000 images with 500 packages each, which cannot be opened."""

    name = "recorded"

    def __init__(self, inspector: Inspector, verdict: Verdict) -> None:
        self._record = Record(inspector.fingerprint, verdict)

    def pages(self) -> Iterator[list[Entry]]:
        """In pages of 200."""
        entries = [
            Entry(image=f"i{n}", name=None, size=1, content=f"sha256:{n}", digests={}, declared=DeclaredImage())
            for n in range(IMAGES)
        ]
        yield from (entries[start : start + 200] for start in range(0, IMAGES, 200))

    def recorded(self, entry: Entry) -> Judged:
        """The verdict of the import."""
        return Judged(
            content=entry.content,
            declared=entry.declared_digest,
            transformed=False,
            records={"feed": self._record},
        )

    def open(self, entry: Entry) -> Source:
        """Never."""
        raise AssertionError(f"{entry.image} was read")

    def deactivate(self, entry: Entry) -> bool:
        """Never."""
        raise AssertionError(f"{entry.image} was deactivated")


def measure(settings: Settings) -> list[Row]:
    """A row of seconds, against the bound."""
    folder = settings.directory
    (folder / "feed.py").write_text(FEED)
    feed, config = folder / "feed", folder / "rescan.toml"
    config.write_text(
        f'[[plugin]]\nname = "feed"\nuse = "{folder}/feed.py:Feed"\ngrants = {{ feed = "file:{feed}" }}\n'
    )
    feed.write_text("older\n")
    plan = load_plan(str(config))
    tier = choose_tier(plan, settings.tier)
    [process] = probe(plan, tier=tier).plugins
    packages = [[f"package-{number}", f"1.{number}-1ubuntu2"] for number in range(PACKAGES)]
    documents = {"packages": packages}
    verdict = Verdict(plugin="feed", outcome="accepted", documents=documents, ran=process.provenance())
    place = _Recorded(inspector_of(process), verdict)
    again = {plan.plugins[0].use: f"{folder}/feed.py:Again"}
    samples = []
    for number in range(settings.times(3)):
        feed.write_text(f"package-{PACKAGES + number}\n")
        state = folder / f"rescan-{number}.sqlite3"
        options = RescanOptions(tier=tier, run=RunOptions(tier=tier), again=again)
        began = time.perf_counter()
        with State(state) as verdicts:
            summary = Rescan(place, plan, verdicts, options).run()
        samples.append(time.perf_counter() - began)
        assert (summary.accepted, summary.from_documents, summary.read) == (IMAGES, IMAGES, 0), summary
    middle = sorted(samples)[len(samples) // 2]
    row = Row(
        f"rescan of {IMAGES} images with {PACKAGES} packages after a feed's update, none read",
        middle,
        SECONDS,
        "bound",
        "s",
        max_ratio=1.0,
        samples={"rescan": samples},
    )
    return [row]

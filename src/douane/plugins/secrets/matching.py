"""Match rules in the bytes of a file as they come: hyperscan finds the anchors, and what is around each is verified.

What is seen around an anchor is the same however the bytes are cut into chunks: it is verified when all of it has come.
"""

from __future__ import annotations

from .checks import CHECKS, entropy
from .keys import CONFIRMED

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Iterator
    from typing import Any

    from .rules import Rule, RuleSet

SHORT_HOLE = 1 << 16
"""Bytes. A longer one ends what hyperscan sees as one text; nothing that is sought has zeros in it."""

MAX_ANCHORS, MAX_HITS = 10_000, 1_000
"""Of a file: anchors, and secrets."""


class TooMany(Exception):
    """A file has so many of them that it is not looked through."""


class Hit:
    """A secret: its rule, offset, and bytes; and its state."""

    __slots__ = ("offset", "rule", "secret", "state")

    def __init__(self, rule: Rule, offset: int, secret: bytes, state: str) -> None:
        self.rule = rule
        self.offset = offset
        self.secret = secret
        self.state = state


class Anchors:
    """The compiled anchors of rules."""

    def __init__(self, rules: RuleSet) -> None:
        import hyperscan

        self.rules = [rule for rule in rules.rules.values() if rule.anchor]
        self.longest_before = max((rule.length_before for rule in rules.rules.values()), default=0)
        self.ended_early = hyperscan.ScanTerminated
        self._database = hyperscan.Database(mode=hyperscan.HS_MODE_STREAM)
        expressions = [rule.anchor for rule in self.rules if rule.anchor]
        try:
            self._database.compile(
                expressions=expressions,
                ids=list(range(len(expressions))),
                elements=len(expressions),
                flags=[0] * len(expressions),
            )
        except hyperscan.HyperscanError as error:
            raise ValueError(self._sentence(hyperscan, error)) from None

    def _sentence(self, hyperscan: Any, error: Exception) -> str:
        """Which of the anchors does not compile."""
        for rule in self.rules:
            try:
                hyperscan.Database(mode=hyperscan.HS_MODE_STREAM).compile(expressions=[rule.anchor], flags=[0])
            except hyperscan.HyperscanError as cause:
                return f"the anchor of the rule {rule.id!r} does not compile: {cause}"
        return f"the anchors do not compile: {error}"

    def stream(self, receive: Any) -> Any:
        """A context in which `scan` calls `receive(number, start, end, flags, context)` for each anchor."""
        return self._database.stream(match_event_handler=receive)


class FileMatcher:
    """The rules on the bytes of one file."""

    def __init__(self, anchors: Anchors, at_path: Iterable[Rule], path: str, texts: Iterable[bytes]) -> None:
        """`at_path`: the rules without an anchor that are for this file; `texts` mark what is an example."""
        self._anchors = anchors
        self._at_path = tuple(at_path)
        self._path = path
        self._examples = tuple(texts)
        self._kept = anchors.longest_before
        self._pending: list[tuple[Rule, int]] = []
        self.count = 0
        """Anchors."""

        self._seen: set[tuple[str, int]] = set()
        self._done: set[str] = set()
        self.hits: list[Hit] = []

    def match(self, pieces: Iterable[tuple[int, Any]]) -> None:
        """Fill `hits` from the pieces of the file and their offsets. Raises TooMany; and what `pieces` raises, when
        that which has come is matched."""
        iterator = iter(pieces)
        piece = next(iterator, None)
        while piece is not None:
            piece = self._match_segment(piece, iterator)
        self.hits.sort(key=lambda hit: (hit.offset, hit.rule.id))

    def _match_segment(self, piece: tuple[int, Any], rest: Iterator[tuple[int, Any]]) -> tuple[int, Any] | None:
        """Match what comes before the next long hole; return the first piece after it."""
        self._base = self._end = self._start = piece[0]
        self._buffer = bytearray()
        self._pending = [(rule, self._base) for rule in self._at_path if rule.id not in self._done]
        receive = self._receive  # hyperscan 0.9.1 keeps no reference: a method that nobody holds is freed, and called
        with self._anchors.stream(receive) as stream:
            try:
                following: tuple[int, Any] | None = piece
                while following is not None and following[0] - self._end <= SHORT_HOLE:
                    offset, data = following
                    if offset > self._end:
                        self._scan(stream, bytes(offset - self._end))
                    self._scan(stream, data)
                    following = next(rest, None)
            finally:
                self._verify(is_end=True)
        return following

    def _receive(self, number: int, start: int, end: int, flags: int, context: object) -> bool:
        """Note an anchor; True ends the scan."""
        rule = self._anchors.rules[number]
        is_apart = rule.anchor is not None and rule.anchor.startswith(b"^") and self._base > 0
        if not is_apart and (rule.paths is None or rule.paths.fullmatch(self._path)):
            self._pending.append((rule, self._base + end))
            self.count += 1
        return self.count > MAX_ANCHORS

    def _scan(self, stream: Any, data: Any) -> None:
        try:
            stream.scan(data)
        except self._anchors.ended_early:
            raise TooMany from None
        self._end += len(data)
        if self._pending or len(data) < self._kept:
            self._buffer += data
            self._verify(is_end=False)
        else:
            self._buffer = bytearray(data[len(data) - self._kept :])
            self._start = self._end - self._kept

    def _verify(self, *, is_end: bool) -> None:
        """Verify the anchors around which all has come, and forget the bytes that are no longer needed."""
        waiting, queue = [], self._pending
        for rule, place in queue:  # it grows: by the next window of a rule without an anchor
            end = place + rule.length_after
            if end > self._end and not is_end:
                waiting.append((rule, place))
                continue
            self._look_around(rule, place)
            is_over = rule.anchor or rule.id in self._done or (is_end and end >= self._end)
            if not is_over:
                queue.append((rule, end))
        self._pending = waiting
        needed = min((place - rule.length_before for rule, place in waiting), default=self._end)
        surplus = min(needed, self._end - self._kept) - self._start
        if surplus > 0:
            del self._buffer[:surplus]
            self._start += surplus

    def _look_around(self, rule: Rule, place: int) -> None:
        begin = max(place - rule.length_before, self._start)
        window = bytes(self._buffer[begin - self._start : place + rule.length_after - self._start])
        for match in rule.value.finditer(window):
            if rule.anchor and not rule.near:
                if match.start() >= place - begin:
                    return
                if match.end() < place - begin:
                    continue
            self._add(rule, match, begin)
            if rule.id in self._done:
                return

    def _add(self, rule: Rule, match: re.Match[bytes], begin: int) -> None:
        group = "secret" if "secret" in rule.value.groupindex else 0
        secret, offset = match[group], begin + match.start(group)
        if (rule.id, offset) in self._seen or not secret:
            return
        self._seen.add((rule.id, offset))
        if rule.entropy and (entropy(secret) < rule.entropy or any(text in secret for text in self._examples)):
            return
        state = CHECKS[rule.check](match) if rule.check else CONFIRMED
        if state is None:
            return
        self.hits.append(Hit(rule, offset, secret, state))
        if rule.first:
            self._done.add(rule.id)
        if len(self.hits) >= MAX_HITS:
            raise TooMany

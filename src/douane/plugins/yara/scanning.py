"""Scan a file, window by window."""

from __future__ import annotations

import posixpath

from douane.plugins._judgement import SEVERITIES, Judgement

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .rules import CompiledRules

CODE = "yara-match"
TIMEOUT = "yara-timeout"
FAILED = "yara-failed"
MAX_METADATA = 20


class Scanner:
    """Scans with compiled rules, and records matches; a rule is recorded once for each file."""

    def __init__(
        self, rules: CompiledRules, judgement: Judgement, severity: str, *, timeout: int, max_matches: int
    ) -> None:
        import yara_x

        self._scanner = yara_x.Scanner(rules.rules)
        self._scanner.set_timeout(timeout)
        self._scanner.max_matches_per_pattern(max_matches)
        self._scanner.fast_scan(True)
        self._scan_error, self._timeout_error = yara_x.ScanError, yara_x.TimeoutError
        self._judgement = judgement
        self._severity = severity
        self._place = ""
        self._matching: set[tuple[str, str]] = set()
        self._variables = rules.variables

    def begin_file(self, volume: str, path: str) -> None:
        """What follows is of this file."""
        self._place = f"{volume}:{path}" if volume else path
        self._matching.clear()
        if not self._variables:
            return
        text = path.encode("utf-8", "replace").decode()
        values = {"filename": posixpath.basename(text), "filepath": text, "extension": posixpath.splitext(text)[1]}
        for name in self._variables:
            try:
                self._scanner.set_global(name, values[name])
            except Exception:  # compiled rules without these variables; the library has no class for it
                self._variables = ()
                return

    def scan(self, data: bytes, start: int) -> None:
        """Scan the bytes that begin at the offset `start` of the file."""
        try:
            results = self._scanner.scan(data)
        except self._timeout_error:
            self._judgement.gap(TIMEOUT, self._place, f"the rules took too long at offset {start}")
            return
        except self._scan_error as error:
            self._judgement.gap(FAILED, self._place, f"the scan failed at offset {start}: {error}")
            return
        for rule in results.matching_rules:
            key = (rule.namespace, rule.identifier)
            if key not in self._matching:
                self._matching.add(key)
                self._record(rule)

    def _record(self, rule: Any) -> None:
        metadata = dict(rule.metadata)
        severity = metadata.get("severity", self._severity)
        if severity not in SEVERITIES:
            severity = self._severity
        description = metadata.get("description")
        sentence = f"matches the rule {rule.identifier}" + (f": {description}" if isinstance(description, str) else "")
        facts = {name: _plain(value) for name, value in list(metadata.items())[:MAX_METADATA]}
        self._judgement.match(
            severity,
            CODE,
            self._place,
            sentence[:300],
            rule=rule.identifier,
            namespace=rule.namespace,
            tags=list(rule.tags)[:MAX_METADATA],
            metadata=facts,
        )


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float) else str(value)[:300]

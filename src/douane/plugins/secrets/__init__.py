"""The inspector `secrets`: keys, tokens, password hashes and histories in the files of an image.

`rules` reads what is sought, `matching` matches it in the bytes of a file, `checks`, `keys` and `der` verify it,
`meaning` says how bad it is.
"""

from __future__ import annotations

from douane.plugins._judgement import Judgement, check_unread
from douane.plugins._literal import Literal
from douane_plugin import Incomplete, Inspector

from .matching import Anchors, FileMatcher, TooMany
from .meaning import Head, Meaning, masked, shown
from .paths import any_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from douane_plugin import Image, ImageFile

    from .rules import RuleSet

GRANT = "rules"
DOCUMENT = "secrets"
TOO_MANY = "secrets-too-many"
MAX_ANCHORS = 200_000
"""Anchors in an image: about a minute of verification."""


class Secrets(Inspector):
    """Refuse an image with private keys, credentials, tokens or password hashes in its files.

    ``use = "secrets"``. It reads the files in the image, each once. What it reports never has the secret in it.

    Configuration:

    ``severity`` (table of rules' ids and ``"refuse"``, ``"warn"``, ``"note"``, ``"allow"``; empty)
        What a secret of that kind means, also behind a passphrase, in place of what the rule says.
    ``allow_paths`` (list of patterns such as ``"/opt/site/**"``; empty)
        Files in which no secret matters.
    ``unread`` (``"incomplete"``; or ``"warn"``)
        The answer if a part of the image could not be looked at.

    Grants: ``rules`` (optional), a file of TOML with further rules, places and allowed secrets, or a folder of them.

    Properties: ``rules_sha256``, ``files``, ``warnings``, ``notes``.

    Refuses with ``secret-found``.
    """

    reads = "files"
    _compiled: tuple[str, Anchors] | None = None
    """Of the last image, for a process that serves several."""

    def __init__(
        self,
        severity: dict[str, str] | None = None,
        allow_paths: list[str] | None = None,
        unread: Literal["incomplete", "warn"] = "incomplete",
    ) -> None:
        from .rules import WORDS, add_granted, built_in_rules

        self.unread = check_unread(unread)
        rules = built_in_rules()
        try:
            grant = self.grant(GRANT)
        except LookupError:
            grant = None
        if grant is not None:
            add_granted(rules, grant)
        for name, word in (severity or {}).items():
            if name not in rules.rules:
                names = ", ".join(sorted(rules.rules))
                raise ValueError(f"'severity': there is no rule {name!r:.80}; the rules are {names}")
            if word not in WORDS:
                raise ValueError(f"'severity' is one of {', '.join(WORDS)} for {name}, not {word!r:.80}")
        self.rules = rules
        self.anchors = self._compile(rules)
        self.meaning = Meaning(rules, severity or {}, allow_paths or [])
        self._at_path = [rule for rule in rules.rules.values() if rule.paths and not rule.anchor]
        self._any_path = any_of(rule.paths for rule in self._at_path if rule.paths)

    def _compile(self, rules: RuleSet) -> Anchors:
        try:
            if Secrets._compiled is None or Secrets._compiled[0] != rules.digest:
                Secrets._compiled = rules.digest, Anchors(rules)
        except ImportError:
            message = "secrets need the library hyperscan: run `pip install '.[secrets]'` in a checkout of Douane"
            raise ValueError(message) from None
        return Secrets._compiled[1]

    def inspect(self, image: Image) -> dict[str, str | int]:
        """Return the properties. Raises Reject, Incomplete."""
        judgement = Judgement(self, DOCUMENT, self.unread)
        files = anchors = 0
        for file in image.files():
            if file.kind != "file" or file.same_as is not None:
                continue
            files += 1
            if anchors <= MAX_ANCHORS:
                anchors += self._look_through(file, judgement)
                if anchors > MAX_ANCHORS:
                    judgement.gap(TOO_MANY, shown(file), f"over {MAX_ANCHORS} texts in the image look like secrets")
        judgement.gaps(image.unread)
        return judgement.answer({"rules_sha256": self.rules.digest, "files": files})

    def _look_through(self, file: ImageFile, judgement: Judgement) -> int:
        """Record the secrets in a file; return the number of anchors."""
        if self.meaning.is_allowed(file.path):
            return 0
        at_path = []
        if self._any_path.fullmatch(file.path):
            at_path = [rule for rule in self._at_path if rule.paths and rule.paths.fullmatch(file.path)]
        matcher = FileMatcher(self.anchors, at_path, file.path, self.rules.allowed.texts)
        head = Head(file.data())
        is_too_much = False
        try:
            matcher.match(head)
        except TooMany:
            is_too_much = True
        except Incomplete:
            pass  # it is in `unread`
        place = masked(shown(file), matcher.hits)
        if is_too_much:
            judgement.gap(TOO_MANY, place, "too many texts in it look like secrets; allow the file, or remove it")
        if matcher.hits and not self.meaning.is_allowed_digest(file):
            for hit in matcher.hits:
                self.meaning.record(judgement, file, place, hit, head.bytes)
        return matcher.count

"""Check the documents against the repository.

In every Markdown file: a relative link leads to a file, and its fragment to a heading; an example in Python, TOML or
JSON parses; a `make` target exists. Prints a line for each error, with file and line, and exits with 1 if there is one.
Links to other hosts are not followed: a check must not need the network.
"""

import ast
import json
import re
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
FOLDERS = (".github", "sdk", "guest", "kit", "docs", "bench", "examples", "tests")
DOCUMENTS = ("*.md", *(f"{folder}/**/*.md" for folder in FOLDERS))

FENCE = re.compile(r"^\s*(```+|~~~+)\s*([\w-]*)")
LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
CODE = re.compile(r"`[^`]*`")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$")
MAKE = re.compile(r"(?:^|[`$;&] ?)make (?:[A-Z_]+=\S+ )*([a-z][a-z-]*)", re.MULTILINE)

PARSERS: dict[str, Callable[[str], object]] = {
    "python": ast.parse,
    "py": ast.parse,
    "toml": tomllib.loads,
    "json": json.loads,
}


SHELLS = {"", "bash", "console", "sh", "shell"}


class Document:
    """A Markdown file, taken apart: prose lines and fenced blocks, each with the number of its first line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.prose: list[tuple[int, str]] = []
        self.blocks: list[tuple[int, str, str]] = []
        fence, language, start = "", "", 0
        block: list[str] = []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            opening = FENCE.match(line)
            if fence and line.strip().startswith(fence) and not line.strip(" `~"):
                self.blocks.append((start, language, "\n".join(block)))
                fence = ""
            elif fence:
                block.append(line)
            elif opening:
                fence, language, start, block = opening[1], opening[2].lower(), number, []
            else:
                self.prose.append((number, line))

    def fragments(self) -> set[str]:
        """The fragments of links to the headings of this file, as the usual forges make them."""
        names: set[str] = set()
        for _, line in self.prose:
            if heading := HEADING.match(line):
                text = re.sub(r"[^\w\- ]", "", LINK.sub(lambda m: m[0][1 : m[0].index("]")], heading[1]).lower())
                name = base = text.replace(" ", "-")
                again = 0
                while name in names:
                    again += 1
                    name = f"{base}-{again}"
                names.add(name)
            names.update(re.findall(r'<a (?:id|name)="([^"]+)"', line))
        return names


def bad_links(document: Document) -> Iterator[tuple[int, str]]:
    """Relative links that lead nowhere, and links that leave the repository."""
    for number, line in document.prose:
        for target in LINK.findall(CODE.sub("", line)):
            if re.match(r"[a-z][a-z0-9+.-]*:", target):
                continue
            name, _, fragment = target.partition("#")
            path = (document.path.parent / name).resolve() if name else document.path
            if not path.is_relative_to(TOP):
                yield number, f"the link {target} leaves the repository"
            elif not path.exists():
                yield number, f"the link {target} leads to a file that does not exist"
            elif fragment and path.suffix == ".md" and fragment not in Document(path).fragments():
                yield number, f"the link {target} names a heading that is not there"


def bad_examples(document: Document) -> Iterator[tuple[int, str]]:
    """Fenced examples that do not parse."""
    for number, language, text in document.blocks:
        parse = PARSERS.get(language)
        try:
            if parse:
                parse(textwrap.dedent(text))
        except (SyntaxError, ValueError) as error:  # the parsers of TOML and JSON raise kinds of ValueError
            yield number, f"the {language} example does not parse: {error}"


def bad_targets(document: Document, targets: set[str]) -> Iterator[tuple[int, str]]:
    """Targets of make that the document names in code and the Makefile does not have."""
    code = [(number, span) for number, line in document.prose for span in CODE.findall(line)]
    code += [(number, text) for number, language, text in document.blocks if language in SHELLS]
    for number, text in code:
        for target in MAKE.findall(text):
            if target not in targets:
                yield number, f"there is no target for: make {target}"


def main() -> int:
    """Check every document; return the exit status."""
    targets = set(re.findall(r"^([a-z-]+):", (TOP / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    paths = sorted({path for pattern in DOCUMENTS for path in TOP.glob(pattern)})
    errors = 0
    for path in paths:
        document = Document(path)
        sentences = [*bad_links(document), *bad_examples(document), *bad_targets(document, targets)]
        for number, sentence in sorted(sentences):
            print(f"{path.relative_to(TOP)}:{number}: {sentence}")
        errors += len(sentences)
    print(f"{len(paths)} documents; errors: {errors}.")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())

"""Coverage-guided fuzzing of the examination, with atheris (libFuzzer): `python tests/fuzz/atheris_examination.py`.

`pip install atheris` first: it is not a dependency, as it lacks wheels for some versions of Python. Arguments are those
of libFuzzer: `-max_total_time=300`, `-runs=N`, a folder for inputs that cover new code. The seeds of tests/fuzz/seeds
are added to the folder. The first byte of an input selects the chunks, the rest is the image.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["douane.plugins"]):
    import fuzz_paths  # noqa: F401  # for its effect, before the imports that need it

    from support.fuzzing.checks import Work, check
    from support.fuzzing.seeds import seeds

LONGEST_SEED = 300 << 10
WORK = Work()


def one_input(data: bytes) -> None:
    """Check one input; any exception is a failure."""
    how, image = (data[0], data[1:]) if data else (0, b"")
    length = len(image)
    cuts = {0, length, *range(0, length, 1 << 20)}
    if how & 3:
        cuts.update(range(0, length, 1 + (how >> 2) * length // 64 + length // 50))
    check(image, sorted(cuts), WORK, how & 3)


def main() -> None:
    """Start libFuzzer, which ends the process."""
    arguments = sys.argv[1:]
    folders = [argument for argument in arguments if not argument.startswith("-")]
    folder = Path(folders[0]) if folders else Path(tempfile.mkdtemp(prefix="douane-atheris-"))
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in seeds().items():
        if len(data) <= LONGEST_SEED:
            (folder / f"seed-{name}").write_bytes(b"\x05" + data)
    options = [argument for argument in arguments if argument.startswith("-")]
    if not any(argument.startswith("-max_len") for argument in options):
        options.append(f"-max_len={LONGEST_SEED + 1}")
    atheris.Setup([sys.argv[0], *options, str(folder)], one_input)
    with WORK:
        atheris.Fuzz()


if __name__ == "__main__":
    main()

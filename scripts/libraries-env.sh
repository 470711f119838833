#!/usr/bin/env bash
# Make .libraries, the virtual environment with the libraries that operators' plugins use, for `make test-libraries`.
#
# An environment that was made from the same requirements is left as it is. PYTHON=/path/to/python chooses the
# interpreter; without it, the one that .venv is of.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=.libraries
file=requirements/libraries.txt
python=${PYTHON:-.venv/bin/python}

if cmp --quiet "$file" "$target/made-from.txt" && "$target/bin/python" -c '' 2>/dev/null; then
    exit
fi
echo "libraries-env: making $target from $file."
uv=$(PYTHON=$python scripts/uv.sh)
export UV_PYTHON_DOWNLOADS=never
"$uv" venv --quiet --clear --python "$python" "$target"
# Plugins run where they can write no bytecode, and would compile the libraries at every start.
"$uv" pip install --quiet --python "$target/bin/python" --compile-bytecode --only-binary :all: --require-hashes -r "$file"
# The contract, as `pip install --editable ./sdk` would do, without what that needs to build.
echo "$PWD/sdk/src" > "$("$target/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/douane_plugin.pth"
cp "$file" "$target/made-from.txt"

#!/usr/bin/env bash
# Print the path of uv, as requirements/lock.txt pins it; it is installed first where it is missing, in build/lock.
#
# uv installs many environments from one cache in a fraction of pip's processor time, and needs no pip in them. PYTHON
# names the interpreter that it is installed with.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools=build/lock
python=${PYTHON:-.venv/bin/python}
[ -x "$python" ] || python=$(command -v python3)

if ! [ -x "$tools/bin/uv" ]; then
    echo "Making $tools, with uv as requirements/lock.txt pins it." >&2
    "$python" -m venv "$tools" >&2
    "$tools/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
        --require-hashes -r requirements/lock.txt >&2
fi
echo "$tools/bin/uv"

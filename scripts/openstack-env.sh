#!/usr/bin/env bash
# Make .openstack, a virtual environment with the client `openstack`, for the demonstration of `douane serve`.
# An environment whose requirements file has not changed since is left as it is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=.openstack
requirements=requirements/openstack.txt
if cmp --quiet "$requirements" "$target/made-from.txt"; then
    exit 0
fi
echo "Making $target, with the client openstack as $requirements pins it."
.venv/bin/python -m venv --clear "$target"
"$target/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r "$requirements"
cp "$requirements" "$target/made-from.txt"

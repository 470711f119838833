#!/usr/bin/env bash
# Build the documentation site in build/site: the documents of this repository, and the API reference from the docstrings.
# A broken link fails the build. Arguments go to zensical; `scripts/docs-site.sh serve` shows the site while you write.
#
# The documents link to each other by their paths in the repository, as forges show them, so the site is built from a copy
# with the same paths.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools=build/docs-tools
if ! cmp --quiet requirements/docs.txt "$tools/made-from.txt"; then
    "${PYTHON:-python3}" -m venv --clear "$tools"
    "$tools/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
        --require-hashes --requirement requirements/docs.txt
    cp requirements/docs.txt "$tools/made-from.txt"
fi

rm -rf build/pages build/site
mkdir -p build/pages
git ls-files --cached --others --exclude-standard -- '*.md' LICENSE docs examples tests/contract/wire_c |
    { grep -v '^\.' || true; } | xargs cp --parents --target-directory build/pages
"$tools/bin/zensical" "${1:-build}" --config-file mkdocs.yml "${@:2}"

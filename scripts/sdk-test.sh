#!/usr/bin/env bash
# Run the plugin contract's tests on every Python from 3.9 on that is found: on PATH, or among pyenv's versions.
# The contract supports Pythons that Douane itself does not, so each gets an environment of its own, with the wheel in
# it as an author would install it, and nothing of Douane. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=build/sdk-test
versions=${PYENV_ROOT:-$HOME/.pyenv}/versions

# Prints an interpreter of the given version. One on PATH is asked: a version manager leaves names that run nothing.
find_python() {
    local candidate
    for candidate in "python$1" "$versions/$1".*/bin/python; do
        if "$candidate" -c "import sys, ensurepip, venv; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

rm -rf "$out/dist"
.venv/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir "$out/dist" ./sdk
wheel=$(echo "$out"/dist/*.whl)

tested=() failed=() absent=()
for version in 3.9 3.10 3.11 3.12 3.13 3.14; do
    python=$(find_python "$version")
    if [ -z "$python" ]; then
        absent+=("$version")
        continue
    fi
    environment=$out/$version
    pip=("$environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-input)
    [ -x "$environment/bin/pytest" ] || "$python" -m venv --clear "$environment"
    "${pip[@]}" --only-binary :all: --require-hashes --requirement requirements/sdk-test.txt
    "${pip[@]}" --no-deps --force-reinstall "$wheel"
    tested+=("$version")
    # Nothing above sdk/tests is read: that would be Douane's, which is not there.
    "$environment/bin/python" -m pytest -p no:cacheprovider --confcutdir sdk/tests sdk/tests "$@" || failed+=("$version")
done

[ "${#tested[@]}" -gt 0 ] || { echo "No Python from 3.9 on was found that can make virtual environments." >&2; exit 1; }
echo "The contract's tests ran on Python ${tested[*]}${absent[*]:+; not found on this machine: ${absent[*]}}."
if [ "${#failed[@]}" -gt 0 ]; then
    echo "They failed on Python ${failed[*]}." >&2
    exit 1
fi

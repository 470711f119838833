#!/usr/bin/env bash
# Run the plugin contract's tests on every Python from 3.9 on that is found: on PATH, or among pyenv's versions.
# The contract supports Pythons that Douane itself does not, so each gets an environment of its own, with the wheel in
# it as an author would install it, and nothing of Douane but douane-guest, from Python 3.11 on. The conversations that
# were recorded (tests/contract) are among the tests, as far as they need only the contract. A Python that is not here
# is named, not failed; one that takes longer than SDK_TEST_SECONDS (600) has failed. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=build/sdk-test
versions=${PYENV_ROOT:-$HOME/.pyenv}/versions

# Prints an interpreter of the given version. One on PATH is asked: a version manager leaves names that run nothing.
find_python() {
    local candidate
    for candidate in "python$1" "$versions/$1".*/bin/python; do
        if "$candidate" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

# uv, which takes all from one cache: with pip, five environments took longer than the tests in them.
uv=$(scripts/uv.sh)
export UV_PYTHON_DOWNLOADS=never

rm -rf "$out/dist"
for project in sdk guest; do
    "$uv" build --quiet --wheel --no-build-isolation --python .venv/bin/python --out-dir "$out/dist" "$project"
done
wheel=$(echo "$out"/dist/douane_plugin-*.whl)
guest=$(echo "$out"/dist/douane_guest-*.whl)

tested=() failed=() absent=()
for version in 3.9 3.10 3.11 3.12 3.13 3.14; do
    python=$(find_python "$version")
    if [ -z "$python" ]; then
        absent+=("$version")
        continue
    fi
    environment=$out/$version
    "$uv" venv --quiet --clear --python "$python" "$environment"
    "$uv" pip install --quiet --python "$environment/bin/python" \
        --only-binary :all: --require-hashes --requirement requirements/sdk-test.txt
    case $version in
        3.9 | 3.10) distributions=("$wheel") ;;
        *) distributions=("$wheel" "$guest") ;;
    esac
    "$uv" pip install --quiet --python "$environment/bin/python" --no-deps --reinstall "${distributions[@]}"
    tested+=("$version")
done
[ "${#tested[@]}" -gt 0 ] || { echo "No Python from 3.9 on was found." >&2; exit 1; }

# test_on VERSION ARGS...: its log, and its exit status, beside its environment.
test_on() {
    local version=$1 status=0
    shift
    # Nothing above sdk/tests is read: that would be Douane's, which is not there.
    timeout --foreground --kill-after=10 "${SDK_TEST_SECONDS:-600}" \
        "$out/$version/bin/python" -m pytest -p no:cacheprovider --confcutdir sdk/tests \
        sdk/tests tests/contract/test_level1_runtime.py "$@" >"$out/$version.log" 2>&1 || status=$?
    echo "$status" >"$out/$version.status"
}
export -f test_on
export out
rm -f "$out"/*.status
printf '%s\n' "${tested[@]}" | xargs -P "${SDK_TEST_AT_ONCE:-2}" -I {} bash -c 'test_on "$@"' test_on {} "$@"

for version in "${tested[@]}"; do
    status=$(cat "$out/$version.status" 2>/dev/null || echo none)
    if [ "$status" = 0 ]; then
        echo "Python $version: $(tail -n 1 "$out/$version.log")"
    else
        failed+=("$version")
        cat "$out/$version.log"
        [ "$status" != 124 ] || echo "It took longer than ${SDK_TEST_SECONDS:-600} s."
    fi
done
echo "The contract's tests ran on Python ${tested[*]}${absent[*]:+; not found on this machine: ${absent[*]}}."
if [ "${#failed[@]}" -gt 0 ]; then
    echo "They failed on Python ${failed[*]}." >&2
    exit 1
fi

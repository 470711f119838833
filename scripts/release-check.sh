#!/usr/bin/env bash
# The dry run of a release: build the wheels and source distributions of douane, douane-plugin, douane-guest and
# douane-kit, check what is in them, install them into empty environments, and use them there. Uploads nothing. The
# results are in build/release.
#
#   scripts/release-check.sh            what every change must pass
#   scripts/release-check.sh --final    that, and what only holds for a release: a version, a date, real addresses
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=$PWD/build/release
python=.venv/bin/python
say() { printf 'release: %s\n' "$*"; }
stop() { printf 'release: %s\n' "$*" >&2; exit 1; }

version_in() { sed -n 's/^version = "\(.*\)"$/\1/p' "$1"; }
version=$(version_in pyproject.toml)
for project in sdk guest kit; do
    [ "$(version_in $project/pyproject.toml)" = "$version" ] ||
        stop "$project/pyproject.toml has another version than pyproject.toml ($version)."
done

if [ "${1:-}" = --final ]; then
    grep -q "^## $version, 20[0-9-]*$" CHANGELOG.md || stop "CHANGELOG.md has no section \"## $version, DATE\"."
    ! grep -rn 'douane\.example' pyproject.toml sdk guest kit SECURITY.md ||
        stop "The addresses above are placeholders; write the real ones."
    [ -z "$(git status --porcelain)" ] || stop "There are uncommitted changes."
fi

rm -rf "$out"
mkdir -p "$out"
for project in sdk guest . kit; do
    $python -m build --no-isolation --outdir "$out/dist" "$project" >"$out/build.log" 2>&1 ||
        { cat "$out/build.log" >&2; stop "The build of $project failed."; }
done

# has WHEEL PATH...: each path is in the wheel.
has() {
    local wheel=$1 path names
    shift
    names=$($python -m zipfile --list "$wheel" | awk '{ print $1 }')
    for path in "$@"; do
        grep -qxF -- "$path" <<<"$names" || stop "$wheel lacks $path."
    done
}
dist=$out/dist
has "$dist/douane_plugin-$version-py3-none-any.whl" douane_plugin/__init__.py douane_plugin/py.typed
has "$dist/douane_guest-$version-py3-none-any.whl" douane_guest/__init__.py douane_guest/py.typed
has "$dist/douane-$version-py3-none-any.whl" douane/py.typed douane/sandbox/caged/launch.py douane/catalog/migrations/env.py
has "$dist/douane_kit-$version-py3-none-any.whl" douane_kit/py.typed 'douane_kit/scaffold/templates/head/${module}.py.in' \
    douane_kit/conformance/caged/conformance_driver/main.py
for name in douane douane_guest douane_kit douane_plugin; do
    has "$dist/$name-$version-py3-none-any.whl" "$name-$version.dist-info/licenses/LICENSE"
    ! $python -m zipfile --list "$dist/$name-$version-py3-none-any.whl" | grep -E '__pycache__|/tests?/' ||
        stop "$name's wheel holds files that do not belong there."
done

# make NAME WHEEL...: an empty environment with these wheels, and the pinned versions of what they need.
make_environment() {
    local environment=$out/$1
    shift
    "${PYTHON:-python3}" -m venv "$environment"
    sed '/^ *--hash/d; s/ \\$//' requirements/dev.txt >"$out/versions.txt"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: --find-links "$dist" \
        --constraint "$out/versions.txt" "$@" || stop "pip could not install $*."
    "$environment/bin/python" -m pip check --disable-pip-version-check >/dev/null || stop "pip check fails after installing $*."
}

say "Installing douane alone."
make_environment operator "douane==$version"
truncate --size 1M "$out/blank.raw"
douane=$out/operator/bin/douane
[ "$("$douane" --version)" = "douane $version" ] || stop "douane --version says: $("$douane" --version)"
"$douane" check "$out/blank.raw" >"$out/check.log" || { cat "$out/check.log"; stop "douane check failed."; }
! "$douane" plugin new example --into "$out" >"$out/new.log" 2>&1 || stop "douane plugin new works without douane-kit."
grep -q 'douane\[author\]' "$out/new.log" || stop "douane plugin new does not say what to install."

say "Installing douane[author]."
make_environment author "douane[author]==$version"
PATH=$out/author/bin:$PATH
(cd "$out" && douane plugin new example && douane plugin test example/example.py:Example) >"$out/author.log" 2>&1 ||
    { cat "$out/author.log"; stop "The kit does not work as it was installed."; }

say "Installing douane-plugin alone."
make_environment plugin "douane-plugin==$version"
"$out/plugin/bin/python" -c 'from douane_plugin import Inspector, Transform' || stop "The contract cannot be imported."

say "Installing douane-guest alone."
make_environment guest "douane-guest==$version"
"$out/guest/bin/python" -c 'from douane_guest.containers.registry import open_disk' || stop "The guest view cannot be imported."

(cd "$dist" && sha256sum -- *) | tee "$dist/SHA256SUMS"
say "Ready: $(ls "$dist" | wc -l) files in build/release/dist."

#!/usr/bin/env bash
# Write requirements/*.txt anew from pyproject.toml: exact versions, each with the hashes of all its files.
# Versions stay as they are where they still fit; `make lock UPGRADE=1` takes the newest of everything.
#
# uv and not pip-compile: it resolves for every supported Python and processor at once, where pip-compile
# writes what fits the one interpreter that runs it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${PYTHON:-python3}
uv=$(PYTHON=$python scripts/uv.sh)
export UV_PYTHON_DOWNLOADS=never

# A line is a pin, a hash or a comment. Anything else (an index, a path, a link) would tie the file to one machine.
# The markers of [tool.uv] environments stand on every pin and say nothing here: Douane runs with CPython, on Linux.
check_and_tidy() {
    local file=$1 rest
    local python="platform_python_implementation == 'CPython'" system="sys_platform == 'linux'"
    sed -i -E -e "s/ and $python and $system / /" -e "s/ ; $python and $system / /" "$file"
    rest=$(grep -vE "^[a-z0-9-]+==[^ /]+( ; [^/@]+)? \\\\\$|^    --hash=sha256:[0-9a-f]{64}( \\\\)?\$|^ *#[^/]*\$" "$file") || return 0
    echo "$file holds lines that are neither a pin, a hash nor a comment; it must not be committed like this:" >&2
    echo "$rest" >&2
    return 1
}

# compile NAME PYTHON-VERSION SOURCE...
compile() {
    local file=requirements/$1.txt version=$2
    shift 2
    echo "Writing $file."
    "$uv" pip compile "$@" --quiet --universal --fork-strategy fewest --python-version "$version" \
        --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-package douane-plugin --no-emit-package douane-guest --no-emit-package douane-kit --no-annotate \
        --custom-compile-command "make lock" ${UPGRADE:+--upgrade} --output-file "$file" >/dev/null
    check_and_tidy "$file"
}

service=(--extra serve --extra keystone --extra postgresql --extra mariadb --extra s3 --extra tracing)
inspectors=(--extra signatures --extra yara --extra secrets --extra policy --extra sigstore --extra pkcs11)
compile dev 3.11 pyproject.toml "${service[@]}" "${inspectors[@]}" --group dev
# Parts of dev.txt, and with the same versions: `make demo` installs two of these and later `make test` adds the rest; the
# container image has `service`: all that the built-in plugins can use.
compile runtime 3.11 pyproject.toml --extra serve --extra signatures --extra yara --extra secrets --extra policy --constraints requirements/dev.txt
compile service 3.11 pyproject.toml "${service[@]}" "${inspectors[@]}" --constraints requirements/dev.txt
compile build 3.11 --group build --constraints requirements/dev.txt
compile sdk-test 3.9 --group sdk-test
compile lock 3.11 --group lock
compile docs 3.11 --group docs
# The tests against a real Glance.
for version in 33 31 29; do
    compile "glance-$version" 3.11 pyproject.toml --group "glance-$version"
done
compile clients 3.11 pyproject.toml --group glance-clients
compile keystone 3.11 --group keystone
compile openstack 3.11 --group openstack
compile deploy 3.11 --group deploy
compile libraries 3.11 --group libraries
compile tempest 3.11 --group tempest
compile uwsgi 3.11 --group uwsgi
compile mod-wsgi 3.11 --group mod-wsgi --constraints requirements/uwsgi.txt

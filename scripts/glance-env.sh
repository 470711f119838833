#!/usr/bin/env bash
# Make the virtual environments for the tests against a real Glance, under .glance/ (DOUANE_GLANCE_ENVS names another folder).
#
#   scripts/glance-env.sh 33 31 29      Glance of these versions, each with Douane (editable) in it
#   scripts/glance-env.sh keystone      the identity service
#   scripts/glance-env.sh clients       pytest, openstacksdk, `openstack` and `glance`: what the tests run in
#   scripts/glance-env.sh tempest       OpenStack's own tests of the image service
#   scripts/glance-env.sh mod-wsgi      mod_wsgi, and the system's Apache to put it in
#   scripts/glance-env.sh postgresql    no environment: the system's package, if PostgreSQL's server is not there
#   scripts/glance-env.sh mariadb       the same for MariaDB's server
#   scripts/glance-env.sh galera        what makes a cluster of it
#   scripts/glance-env.sh golang        the same for the compiler of a client that is written in Go
#   scripts/glance-env.sh chromium      the same for a browser
#   scripts/glance-env.sh network       the same for the programs of networks in a box: namespaces and lines that are cut
#   scripts/glance-env.sh ceph          the same for Ceph: monitor, OSD, S3 gateway, and its library for Python
#
# An environment whose requirements file has not changed since is left as it is. All are of one Python: PYTHON, or the
# one that .venv is of. uwsgi and mod_wsgi are built from source, once, with gcc. What the system lacks is installed with apt-get
# by whoever may; else it says what to install.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'glance-env: %s\n' "$*"; }
stop() { printf 'glance-env: %s\n' "$*" >&2; exit 1; }

[ $# -gt 0 ] || stop "usage: $0 33|31|29|keystone|clients|tempest|mod-wsgi|postgresql|mariadb|pgbouncer|galera|golang|chromium|network|ceph..."
folder=${DOUANE_GLANCE_ENVS:-.glance}
python=${PYTHON:-.venv/bin/python}
[ -x "$python" ] || python=$(command -v python3)
export UV_PYTHON_DOWNLOADS=never
mkdir -p "$folder"

missing=()
# need PACKAGE CHECK...: the system's package, if the check fails.
need() {
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}

# All at once: apt-get reads its lists, and settles what belongs together, for each call anew.
install_missing() {
    local as_root=()
    [ "${#missing[@]}" -gt 0 ] || return 0
    [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
    say "Installing with apt-get: ${missing[*]}"
    { "${as_root[@]}" apt-get update -qq
      "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
    } || stop "Needed, and not found: ${missing[*]}. Install them, then run this again: sudo apt-get install ${missing[*]}"
}

compiles() { echo 'int main(void) { return 0; }' | cc -x c -fsyntax-only -; }
has_headers() { "$python" -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")'; }
has_apxs() { command -v apxs apxs2 >/dev/null; }
has_postgresql() { [ -n "$(compgen -G '/usr/lib/postgresql/*/bin/postgres')" ] || command -v postgres >/dev/null; }

has_go() { command -v go >/dev/null; }
has_chromium() { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null
has() { PATH=$PATH:/usr/sbin:/sbin command -v "$1"; } >/dev/null
has_rbd_library() { /usr/bin/python3 -c 'import rados, rbd'; }
has_galera() { [ -n "$(compgen -G '/usr/lib*/galera/libgalera_smm.so')" ]; }
has_pgbouncer() { command -v pgbouncer || [ -x /usr/sbin/pgbouncer ]; } >/dev/null
has_mariadb() { command -v mariadbd || [ -x /usr/sbin/mariadbd ]; } >/dev/null

# ---- the installer ----------------------------------------------------------------------------------------------

uv=$(PYTHON=$python scripts/uv.sh)

# install_into ENVIRONMENT ARGUMENT...: what is built from source is built with the setuptools that is pinned.
install_into() {
    local target=$1
    shift
    "$uv" pip install --quiet --python "$target/bin/python" --build-constraints requirements/uwsgi.txt "$@"
}

# What Glance needs and has no wheel.
sources=(simplegeneric)

# ---- uwsgi and mod_wsgi, once for all ---------------------------------------------------------------------------

is_built() { cmp --quiet "requirements/$1.txt" "$folder/$1/made-from.txt"; }

need_compiler() {
    is_built "$1" && return
    need gcc compiles
    need libc6-dev compiles
    need "libpython$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-dev" has_headers
}

# build_server NAME: uv would build it anew for every environment: half a minute of two cores each time.
build_server() {
    local name=$1 built=$folder/$1
    is_built "$name" && return
    say "Building $name."
    "$uv" venv --quiet --clear --python "$python" "$built"
    install_into "$built" --require-hashes --no-deps -r "requirements/$name.txt"
    cp "requirements/$name.txt" "$built/made-from.txt"
}

# ---- one environment --------------------------------------------------------------------------------------------

is_server() { [[ $1 != clients && $1 != tempest ]]; }
has_douane() { [[ $1 != keystone && $1 != tempest ]]; }
has_kit() { [[ $1 == clients ]]; }  # the tests compare verdicts with the conformance suite

# What an environment was made from stands in it: a copy says more than a time does, after a checkout or a `make lock`.
make_environment() {
    local name=$1 file=requirements/$2 target=$folder/$1
    if ! cmp --quiet "$file" "$target/made-from.txt" || ! "$target/bin/python" -c '' 2>/dev/null; then
        is_server "$name" && build_server uwsgi
        say "Making $target from $file."
        "$uv" venv --quiet --clear --python "$python" "$target"
        install_into "$target" --only-binary :all: "${sources[@]/#/--no-binary=}" --require-hashes -r "$file"
        is_server "$name" && cp "$folder/uwsgi/bin/uwsgi" "$target/bin/"
        cp "$file" "$target/made-from.txt"
    fi
    local projects=(. sdk guest)
    has_kit "$name" && projects+=(kit)
    if has_douane "$name" && ! cat "${projects[@]/%//pyproject.toml}" | cmp --quiet - "$target/douane-from.toml"; then
        install_into "$target" --no-deps --no-build-isolation "${projects[@]/#/--editable=./}"
        cat "${projects[@]/%//pyproject.toml}" > "$target/douane-from.toml"
    fi
}

# ---- what the system has to give, then the environments -----------------------------------------------------------

for name in "$@"; do
    case $name in
        33|31|29|keystone) need_compiler uwsgi ;;
        clients|tempest) ;;
        mod-wsgi)
            # Debian's libapache2-mod-wsgi-py3 is of Debian's own Python alone, and cannot load what was compiled for another.
            need_compiler mod-wsgi
            need apache2-bin test -x /usr/sbin/apache2
            need apache2-dev has_apxs
            ;;
        postgresql) need postgresql has_postgresql ;;
        mariadb) need mariadb-server has_mariadb ;;
        pgbouncer) need pgbouncer has_pgbouncer ;;
        galera) need galera-4 has_galera ;;
        golang) need golang-go has_go ;;
        chromium) need chromium has_chromium ;;
        network)
            need iproute2 has ip
            need iptables has iptables
            ;;
        ceph)
            for program in ceph-mon ceph-osd radosgw; do need "$program" has "$program"; done
            need ceph-common has ceph
            need python3-rbd has_rbd_library
            ;;
        *)
            stop "\"$name\" is none of 33, 31, 29, keystone, clients, tempest, mod-wsgi, postgresql, mariadb, galera," \
                "pgbouncer, golang, chromium, network, ceph."
            ;;
    esac
done
install_missing
for name in "$@"; do
    case $name in
        33|31|29) make_environment "$name" "glance-$name.txt" ;;
        keystone|clients|tempest) make_environment "$name" "$name.txt" ;;
        mod-wsgi) build_server mod-wsgi ;;
    esac
done

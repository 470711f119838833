#!/usr/bin/env bash
# Build the container image of deploy/container from this checkout with buildah, run it as an ordinary user with podman, and try
# it: the tier that `douane doctor` gets, one import, and its end. Not part of continuous integration: it takes some minutes.
#
#   scripts/container-check.sh              the base is made by debootstrap, since no registry of images may be reached
#   BASE=debian:bookworm-slim scripts/container-check.sh
#
# Needs root, and the packages buildah, podman, runc (or RUNTIME=crun) and debootstrap. What it makes is in a folder that is removed at the end;
# KEEP=FOLDER keeps it, and the next run takes the base from there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'container-check: %s\n' "$*"; }
stop() { printf 'container-check: %s\n' "$*" >&2; exit 1; }
for program in buildah podman; do command -v "$program" >/dev/null || stop "Needed, and not found: $program."; done

folder=${KEEP:-$(mktemp -d /var/tmp/douane-container-XXXXXX)}
mkdir -p "$folder"
[ -n "${KEEP:-}" ] || trap 'rm -rf "$folder"' EXIT
# Files are copied, and processes confined by chroot alone: that works in a container and in a machine without overlayfs.
buildah_() { buildah --root "$folder/storage" --runroot "$folder/run" --storage-driver vfs "$@"; }

base=${BASE:-}
if [ -z "$base" ]; then
    base=localhost/debian-base
    if ! buildah_ inspect --type image "$base" >/dev/null 2>&1; then
        command -v debootstrap >/dev/null || stop "Needed, and not found: debootstrap. Or name an image: BASE=debian:bookworm-slim"
        say "Making a base image by debootstrap."
        debootstrap --variant=minbase bookworm "$folder/base" >"$folder/debootstrap.log" || stop "debootstrap failed: $folder/debootstrap.log"
        container=$(buildah_ from scratch)
        buildah_ add --quiet "$container" "$folder/base" / >/dev/null
        buildah_ commit --quiet "$container" "$base" >/dev/null
        buildah_ rm "$container" >/dev/null
        rm -rf "$folder/base"
    fi
fi

options=()
if [ -n "${PIP_CERT:-}" ]; then options=(--volume "$PIP_CERT:/authorities.crt:ro" --build-arg PIP_CERT=/authorities.crt); fi
say "Building the image."
buildah_ build --isolation chroot --quiet --build-arg "BASE=$base" "${options[@]}" --ignorefile deploy/container/Containerfile.dockerignore \
    --file deploy/container/Containerfile --tag douane . >"$folder/build.log" 2>&1 || { tail -20 "$folder/build.log" >&2; stop "The build failed."; }
container=$(buildah_ from douane)
root=$(buildah_ mount "$container")
say "The image has $(du -sm "$root" | cut -f1) MiB."

runtime=${RUNTIME:-runc}
command -v "$runtime" >/dev/null || stop "Needed, and not found: $runtime."
podman_() {
    podman --root "$folder/storage" --runroot "$folder/run" --storage-driver vfs --cgroup-manager cgroupfs --runtime "$runtime" \
        --events-backend none "$@"
}
confined=(--user 10001:10001 --cap-drop all --security-opt no-new-privileges --read-only --tmpfs /tmp
    --ulimit nofile=4096:4096 --ulimit nproc=4096:4096)
closed=("${confined[@]}" --security-opt "seccomp=$PWD/deploy/container/seccomp.json" --security-opt unmask=ALL)

# tier_of OPTION...: the best tier that `douane doctor` gets.
tier_of() { podman_ run --rm --network none "$@" douane doctor 2>&1 | sed -n 's/^best tier: //p'; }
[ "$(tier_of "${confined[@]}")" = strict ] || stop "An ordinary container has not the tier strict: $(podman_ run --rm "${confined[@]}" douane doctor 2>&1)"
say "An ordinary container, without a capability and read-only: strict."
[ "$(tier_of "${closed[@]}")" = full ] || stop "With seccomp.json and unmask=ALL it has not the tier full: $(podman_ run --rm "${closed[@]}" douane doctor 2>&1)"
say "With deploy/container/seccomp.json and unmask=ALL: full."

mkdir -p "$folder/etc"
# The built-in plugins that need a library of an extra, or a program; tests/deploy/test_libraries.py has all, without a container.
cp tests/support/sigstore/production_root.json "$folder/etc/root.json"
printf 'rule planted { strings: $a = "PLANTED" condition: $a }\n' >"$folder/etc/site.yar"
mkdir -p "$folder/etc/signatures"
cat >"$folder/etc/inspectors.toml" <<'PLAN'
[[plugin]]
name = "signature"
use = "signature"
config = { identity = "someone@example.org", issuer = "https://accounts.google.com" }
grants = { sigstore = "file:/etc/douane/root.json", signatures = "dir:/etc/douane/signatures" }

[[plugin]]
name = "gpg"
use = "signature"
grants = { gpg = "file:/usr/share/keyrings/debian-archive-keyring.gpg", signatures = "dir:/etc/douane/signatures" }

[[plugin]]
name = "policy"
use = "policy"
config = { require = "true" }

[[plugin]]
name = "secrets"
use = "secrets"

[[plugin]]
name = "yara"
use = "yara"
grants = { rules = "file:/etc/douane/site.yar" }

[[plugin]]
name = "qemu-info"
use = "qemu-info"
PLAN
chmod 755 "$folder" "$folder/etc"
podman_ run --rm --network none "${closed[@]}" --volume "$folder/etc:/etc/douane:ro" douane plan --config /etc/douane/inspectors.toml >/dev/null ||
    stop "A built-in plugin does not start in the container."
say "The inspectors start, with their libraries and programs."

printf '[[plugin]]\nname = "format"\nuse = "format"\n\n[serve]\nworkers = 1\n' >"$folder/etc/douane.toml"
podman_ run --detach --name douane-check --network none "${closed[@]}" --volume "$folder/etc:/etc/douane:ro" douane >/dev/null
inside() { podman_ exec -i douane-check /opt/douane/bin/python3 - "$@"; }
inside <<'PYTHON' || { podman_ logs douane-check >&2; podman_ rm --force douane-check >/dev/null; stop "The service in the container does not work."; }
import time

import httpx

client = httpx.Client(base_url="http://127.0.0.1:9292", timeout=60)
for _ in range(600):
    try:
        if client.get("/healthcheck").status_code == 200:
            break
    except httpx.TransportError:
        time.sleep(0.1)
image = client.post("/v2/images", json={"disk_format": "raw", "container_format": "bare"}).json()["id"]
octets = {"Content-Type": "application/octet-stream"}
assert client.put(f"/v2/images/{image}/file", content=bytes(1 << 20), headers=octets).status_code == 204
verdicts = client.get(f"/v2/images/{image}/tasks").json()["tasks"][0]["result"]["verdicts"]
assert {verdict["ran"]["sandbox"] for verdict in verdicts} == {"full"}, verdicts
PYTHON
say "An upload went through the plan, in the tier full."
podman_ stop --time 60 douane-check >/dev/null
code=$(podman_ inspect --format '{{.State.ExitCode}}' douane-check)
podman_ rm douane-check >/dev/null
[ "$code" = 0 ] || stop "The service ended with $code after SIGTERM."
say "SIGTERM ended it, with 0. Everything works."

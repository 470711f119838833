#!/usr/bin/env bash
# Douane from end to end, in two minutes: the README's plugin, a good disk and a hostile one, an image that each
# inspector refuses, on the command line and in the image service with the client `openstack`. Prints each command before
# it runs it, and stops at the first that does not end as it should. Everything happens in a temporary folder that is
# removed at the end; --keep leaves it.
# `make demo` prepares what this needs.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PATH=$top/.venv/bin:$top/.openstack/bin:$PATH

keep=
case ${1:-} in
    '') ;;
    --keep) keep=yes ;;
    *) echo "usage: $0 [--keep]" >&2; exit 2 ;;
esac

here=$(mktemp -d "${TMPDIR:-/tmp}/douane-demo.XXXXXX")
service=                                 # the process id of `douane serve`, while it runs
scanner=                                 # and of clamd
clean_up() {
    local status=$?
    if [ -n "$service" ]; then kill "$service" && wait "$service" || true; fi
    if [ -n "$scanner" ]; then kill "$scanner" && wait "$scanner" || true; fi
    if [ -n "$keep" ]; then echo "All of it is in $here"; else rm -rf "$here"; fi
    [ $status -eq 0 ] || echo "The demo stopped at the command above (status $status)." >&2
}
trap clean_up EXIT
cd "$here"
export DOUANE_HOME=$here/home            # the catalog and the store, which by default are in your data directory

title() { printf '\n%s\n' "== $*"; }
note() { printf '   %s\n' "$@"; }

# run STATUS COMMAND...: print the command, run it, and go on only if it ends with that status.
run() {
    local expected=$1 status=0
    shift
    printf '\n$ %s\n' "$*"
    "$@" || status=$?
    if [ "$status" -ne "$expected" ]; then
        echo "That ended with exit status $status; it should be $expected." >&2
        exit 1
    fi
    [ "$expected" -eq 0 ] || note "exit status $status"
}

title "A plugin is a class. This is the one in the README:"
awk '/^```/ { if (block ~ /class BootSector/) exit; block = ""; inside = /^```python/; next }
     inside { block = block $0 "\n" }
     END { if (block ~ /class BootSector/) printf "%s", block }' "$top/README.md" > boot_sector.py
[ -s boot_sector.py ] || { echo "README.md holds no Python example with a class BootSector." >&2; exit 1; }
sed 's/^/    /' boot_sector.py

title "The operator's plan: every image has the format it claims, and a boot sector"
cat > douane.toml <<'TOML'
[[plugin]]
name = "format"
use = "format"

[[plugin]]
name = "boot-sector"
use = "boot_sector.py:BootSector"
TOML
sed 's/^/    /' douane.toml

title "Three images: a disk that boots, one that does not, and a qcow2 that refers to a file of the host"
run 0 truncate --size 64M disk.raw
note "The two bytes at offset 510 make the disk bootable; some data follow in its middle."
printf '\x55\xaa' | dd of=disk.raw bs=1 seek=510 conv=notrunc status=none
dd if=/dev/urandom of=disk.raw bs=1M seek=32 count=4 conv=notrunc status=none
run 0 truncate --size 64M blank.raw
run 0 qemu-img create -q -f raw secret.raw 1M
run 0 qemu-img create -q -f qcow2 -b "$here/secret.raw" -F raw hostile.qcow2
run 0 qemu-img convert -f raw -O qcow2 disk.raw disk.qcow2

title "The sandbox tiers of this host"
run 0 douane doctor

title "The effective plan, defaults included"
run 0 douane plan --config douane.toml

title "Checking stores nothing"
run 0 douane check disk.raw --config douane.toml
run 1 douane check blank.raw --config douane.toml
note "The tenant reads why; a program reads the code: douane check --json"
run 1 douane check hostile.qcow2
note "Without a configuration the plan is the inspector format: it refuses images that refer to other files."

title "Importing: the same checks, and an accepted image is stored"
run 0 douane import disk.raw --config douane.toml --name first --property os_distro=debian | tee imported.txt
run 0 douane import disk.qcow2 --name second
run 1 douane import blank.raw --config douane.toml --name never
run 0 douane images
id=$(grep -Eo '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}' imported.txt | tail -n 1) ||
    { echo "douane import printed no image id." >&2; exit 1; }
run 0 douane show "$id"

title "Saving returns the same bytes"
run 0 douane save "$id" saved.raw
run 0 sha256sum disk.raw saved.raw
run 0 cmp disk.raw saved.raw
run 0 du -h --apparent-size disk.raw saved.raw
run 0 du -h disk.raw saved.raw
note "Holes are preserved."
run 0 douane delete "$id"

title "The inspectors, each with one image that it refuses"
clamd=$(PATH=$PATH:/usr/sbin:/sbin command -v clamd || true)
mkdir inspectors
python "$top/scripts/demo_inspectors.py" inspectors > inspectors.txt
while read -r name fault; do
    if [ "$name" = clamav ]; then
        if [ -z "$clamd" ]; then
            note "clamav: not shown, since there is no clamd here (apt-get install clamav-daemon)"
            continue
        fi
        "$clamd" --config-file inspectors/clamd.conf > clamd.log 2>&1 &
        scanner=$!
        until [ -S inspectors/clamd.ctl ]; do
            kill -0 "$scanner" 2>/dev/null || { scanner=; echo "clamd ended:" >&2; cat clamd.log >&2; exit 1; }
            sleep 0.1
        done
    fi
    printf '\n'
    note "$name: $fault"
    sed '/^\[import\]/,/^digests/d; s/^/    /' "inspectors/$name.toml"
    run 1 douane check "inspectors/$name.img" --config "inspectors/$name.toml"
done < inspectors.txt
if [ -n "$scanner" ]; then kill "$scanner" && wait "$scanner" || true; scanner=; fi

title "The same plan in the image service, with OpenStack's own client"
printf '\n$ douane serve --config douane.toml --listen 127.0.0.1:0 &\n'
douane serve --config douane.toml --listen 127.0.0.1:0 > serve.out 2> serve.log &
service=$!
until [ -s serve.out ]; do
    if ! kill -0 "$service" 2>/dev/null; then
        service=
        echo "douane serve ended before it answered:" >&2
        cat serve.log >&2
        exit 1
    fi
    sleep 0.1
done
cat serve.out
url=$(grep -Eo 'http://[^ ]+' serve.out)
export OS_AUTH_TYPE=none OS_ENDPOINT=$url
printf '\n$ export OS_AUTH_TYPE=none OS_ENDPOINT=%s\n' "$url"

# The client takes a standard input that is no terminal for the image's bytes; /dev/ptmx is a terminal everywhere.
client() { run "$@" < /dev/ptmx; }
# newest PATH KEY: the first of a list that the API answers with, newest first.
newest() { python -c 'import json, sys, urllib.request
print(json.load(urllib.request.urlopen(sys.argv[1]))[sys.argv[2]][0]["id"])' "$url$1" "$2"; }
# ended ID: wait until the import of an image is over, which the client does not wait for.
ended() { python -c 'import json, sys, time, urllib.request
while json.load(urllib.request.urlopen(sys.argv[1]))["status"] in ("uploading", "importing"): time.sleep(0.1)' "$url/v2/images/$1"; }

raw=(--disk-format raw --container-format bare)
columns=(-c id -c name -c status -c size -c checksum)
title "An upload that is refused: the client shows the plugin's sentence"
client 1 openstack image create "${raw[@]}" --file blank.raw blank
title "An upload that is accepted"
client 0 openstack image create "${raw[@]}" --file disk.raw "${columns[@]}" disk

title "Import: the plan runs while the image is staged"
client 0 openstack image create "${raw[@]}" "${columns[@]}" imported
id=$(newest /v2/images images)
client 0 openstack image stage --file disk.raw "$id"
client 0 openstack image import --method glance-direct "${columns[@]}" "$id"
ended "$id"
client 0 openstack image show "${columns[@]}" "$id"

title "An import that is refused: the task has the verdict"
client 0 openstack image create "${raw[@]}" --import --file blank.raw "${columns[@]}" blank
ended "$(newest /v2/images images)"
client 0 openstack image task list
client 0 openstack image task show -c id -c status -c message "$(newest /v2/tasks tasks)"
client 0 openstack image list
note "An image that was refused is queued: it can be uploaded again."

title "The page for people, $url/ui"
python "$top/scripts/page_text.py" "$url/ui"

title "SIGTERM ends the service, after the uploads that run"
printf '\n$ kill %s\n' "$service"
kill "$service"
status=0
wait "$service" || status=$?
service=
[ $status -eq 0 ] || { echo "douane serve ended with exit status $status." >&2; exit 1; }
tail -n 2 serve.log

title "Next: write your own plugin, docs/tutorial.md, or serve images, docs/serve.md"

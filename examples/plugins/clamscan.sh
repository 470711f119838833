#!/bin/sh
# Synopsis, the lines of douane.toml:
#
#     [[plugin]]
#     name = "clamscan"
#     use = "exec:plugins/clamscan.sh {grant:db}"
#     grants = { db = "dir:/var/lib/clamav" }
#     refuse = [10]
#     scratch = "8GiB"
#     memory = "4GiB"
#
# Shows a granted folder, and how a check fails closed around a program that fails open. The argument is the folder with
# the virus database; {grant:db} is its path in the sandbox.
#
# Refuses an image in which clamscan finds a virus. clamscan says OK and exits with 0 for an image that it did not scan:
# if it cannot make a temporary folder, and if the image is longer than 100 MB. So this script believes nothing but the
# lines that it expects. The same run scans a file that every database calls infected: only a clamscan that finds that
# one is believed about the image. An image above 2 GiB, which clamscan cannot scan, is a failure, as is an encrypted one.
set -u
LC_ALL=C
export LC_ALL

fail() {
    echo "$1" >&2
    [ ! -s "$TMPDIR/errors" ] || head -c 2000 "$TMPDIR/errors" >&2
    exit 2
}

# In two parts, so that this file is no virus to a scanner.
printf 'X5O!P%%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-%s!$H+H*' 'ANTIVIRUS-TEST-FILE' >"$TMPDIR/test-file" ||
    fail 'the test file could not be written'
cat >"$TMPDIR/image" || fail 'the image could not be copied for clamscan; see scratch'

clamscan --database="$1" --tempdir="$TMPDIR" --no-summary --max-filesize=2047M --max-scansize=2047M \
    --alert-exceeds-max=yes --alert-encrypted=yes "$TMPDIR/test-file" "$TMPDIR/image" \
    >"$TMPDIR/output" 2>"$TMPDIR/errors"
status=$?

{
    IFS= read -r first
    IFS= read -r second
    IFS= read -r third
} <"$TMPDIR/output"
case $first in
    "$TMPDIR/test-file: "*' FOUND') ;;
    *) fail 'clamscan does not find the virus in its test file' ;;
esac
# 1: a virus was found. It is that of the test file at least.
[ "$status" -eq 1 ] && [ -z "$third" ] || fail "clamscan ended with status $status"
! grep -q -i error "$TMPDIR/errors" || fail 'clamscan could not do all of its work'
case $second in
    "$TMPDIR/image: OK" | "$TMPDIR/image: Empty file") exit 0 ;;
    "$TMPDIR/image: Heuristics.Limits.Exceeded"* | "$TMPDIR/image: Heuristics.Encrypted"*)
        fail 'clamscan cannot look into all of the image'
        ;;
    "$TMPDIR/image: "*' FOUND')
        name=${second#"$TMPDIR/image: "}
        echo "the image holds a virus: ${name% FOUND}; build it again from clean sources" >&2
        exit 10
        ;;
    *) fail 'clamscan says nothing about the image' ;;
esac

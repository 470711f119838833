#!/usr/bin/env bash
# Make .venv, with Douane and what it needs in it.
#
#   scripts/setup.sh runtime     what `douane` needs to run
#   scripts/setup.sh dev         that, and what its tests and checks need
#
# It starts from a Debian or Ubuntu with Python 3.11 or newer. Programs and libraries that are missing are installed
# with apt-get when it may (root, or sudo without a password); else it says which to install, and stops.
# PYTHON=/path/to/python chooses the interpreter. Running it again changes nothing that is right already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

purpose=${1:-}
case $purpose in
    runtime) locks=(runtime build) projects=(./sdk ./guest .) ;;
    dev) locks=(dev) projects=(./sdk ./guest . ./kit) ;;
    *) echo "usage: $0 runtime|dev" >&2; exit 2 ;;
esac

say() { printf 'setup: %s\n' "$*"; }
stop() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# install PACKAGE...: from the system's package archive, or a sentence that says what to do by hand.
install() {
    local as_root=()
    command -v apt-get >/dev/null ||
        stop "Needed, and not found: $*. This machine has no apt-get: install them with its own package manager" \
            "(these are the names that Debian gives them), then run this again."
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null || stop "Needed, and not found: $*. Install them, then run this again: sudo apt-get install $*"
        as_root=(sudo -n)
    fi
    say "Installing with apt-get: $*"
    "${as_root[@]}" apt-get update -qq || say "apt-get update failed; using the existing package lists."
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null ||
        stop "apt-get could not install: $*. What it said stands above; install them by hand, then run this again."
}

# ---- which Python -----------------------------------------------------------------------------------------------

# The names on PATH are asked, not believed: a version manager leaves names there that run nothing.
is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
makes_venvs() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }
version_of() { "$1" -c 'import platform; print(platform.python_version())'; }

# Prints the first interpreter that will do; one that cannot make a virtual environment comes after all that can.
find_python() {
    local candidate second=
    for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
        is_new_enough "$candidate" || continue
        if makes_venvs "$candidate"; then
            echo "$candidate"
            return
        fi
        second=${second:-$candidate}
    done
    echo "$second"
}

python=$(find_python)
if [ -z "$python" ] && [ -n "${PYTHON:-}" ]; then
    stop "PYTHON=$PYTHON does not run, or is older than Python 3.11. Name one that is 3.11 or newer."
fi
if [ -z "$python" ]; then
    say "No Python 3.11 or newer was found."
    install python3 python3-venv
    python=$(find_python)
    [ -n "$python" ] || stop "The system's own Python is older than 3.11. Install a newer one and name it: make PYTHON=/path/to/python3.13"
fi

# ---- what the system has to give --------------------------------------------------------------------------------

missing=()
# need PACKAGE CHECK...: the package that has what the check looks for.
need() {
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}

# Some programs for disks are not on everybody's path.
is_program() { PATH=$PATH:/usr/sbin:/sbin command -v "$1"; }

# The compiler is of no use without the C library's headers, which are in a package of their own.
compiles() { echo '#include <unistd.h>' | cc -x c -fsyntax-only -; }

# Debian keeps ensurepip in a package of its own, one for each version of Python.
need "python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv" makes_venvs "$python"
need bubblewrap command -v bwrap                                                   # the `full` tier of the sandbox
need libseccomp2 "$python" -c 'import ctypes; ctypes.CDLL("libseccomp.so.2")'      # the filter of system calls
need qemu-utils command -v qemu-img                                                # the images of demo and tests
if [ "$purpose" = dev ]; then
    need zstd command -v zstd                                                      # unpacks what test-corpus reads
    need zip command -v zip                                                        # the zip archives of people
    for program in fdisk:sfdisk gdisk:sgdisk dosfstools:mkfs.fat udftools:mkudffs xorriso:xorriso genisoimage:genisoimage e2fsprogs:mkfs.ext4 \
        xfsprogs:mkfs.xfs btrfs-progs:mkfs.btrfs squashfs-tools:mksquashfs erofs-utils:mkfs.erofs ntfs-3g:mkfs.ntfs \
        exfatprogs:mkfs.exfat mtools:mcopy lvm2:lvm mdadm:mdadm thin-provisioning-tools:thin_restore exfat-fuse:mount.exfat-fuse; do
        need "${program%:*}" is_program "${program#*:}"                            # the disks of the tests
    done
    need gcc compiles                                                              # the plugins that are written in C
    need libc6-dev compiles
    need redis-server is_program redis-server                                      # a service that plugins ask
    need clamav-daemon is_program clamd                                            # the example that asks it
    for program in clamav:clamscan gpgv:gpgv gpg:gpg minisign:minisign openssl:openssl softhsm2:softhsm2-util file:file; do
        need "${program%:*}" is_program "${program#*:}"                            # programs with files of their own
    done
fi
if [ "${#missing[@]}" -gt 0 ]; then
    install "${missing[@]}"
    makes_venvs "$python" ||
        stop "$python still cannot make a virtual environment. Install its venv package, or name another: make PYTHON=/path/to/python3.13"
fi

# ---- the virtual environment ------------------------------------------------------------------------------------

# One that was broken off half made, or whose interpreter has gone, has no pip that runs.
if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    say "Making .venv with Python $(version_of "$python")."
    "$python" -m venv --clear .venv
elif ! is_new_enough .venv/bin/python; then
    stop ".venv is of Python $(version_of .venv/bin/python), and Douane needs 3.11 or newer. Remove it (make distclean), then run this again."
elif [ -n "${PYTHON:-}" ] && [ "$(version_of "$PYTHON")" != "$(version_of .venv/bin/python)" ]; then
    stop ".venv is of Python $(version_of .venv/bin/python), not of PYTHON=$PYTHON. Remove it (make distclean), then run this again."
fi

pip=(.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input)
requirements=("${locks[@]/#/--requirement=requirements/}")
say "Installing the versions in requirements/ (${locks[*]}): wheels only, each checked against its hash."
"${pip[@]}" --only-binary :all: --require-hashes "${requirements[@]/%/.txt}"
say "Installing the distributions of this repository in editable mode."
"${pip[@]}" --no-deps --no-build-isolation "${projects[@]/#/--editable=}"

say "Ready: Python $(version_of .venv/bin/python), $(bwrap --version), $(qemu-img --version | sed -n 1p), Linux $(uname -r)."

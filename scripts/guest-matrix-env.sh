#!/usr/bin/env bash
# Install what `make guest-matrix` asks beside the tools that make images: a second kernel, 7z, and package managers.
# What cannot be installed is said, and no error: the command counts what it could not build or ask.
set -uo pipefail

missing=()
need() { PATH=$PATH:/usr/sbin:/sbin command -v "$2" >/dev/null || missing+=("$1"); }

need user-mode-linux linux.uml
need kmod modprobe
need p7zip-full 7z
need debootstrap debootstrap
need rpm rpmbuild
need pacman-package-manager pacman
[ "${#missing[@]}" -eq 0 ] && exit 0

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
echo "guest-matrix: Installing with apt-get: ${missing[*]}"
"${as_root[@]}" apt-get update -qq
for package in "${missing[@]}"; do
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$package" >/dev/null ||
        echo "guest-matrix: there is no $package here: what needs it is not built, or not asked"
done
exit 0

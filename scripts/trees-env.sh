#!/usr/bin/env bash
# Make .trees/debian: the files of a Debian as a cloud image has it, of the packages of this machine's own mirror. They are
# unpacked, and nothing of them is run; what their scripts would leave in such an image is written here. 140 MB to download.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=$PWD/.trees
packages=('?essential' systemd-sysv openssh-server cloud-init linux-image-cloud-amd64 grub-efi-amd64-signed shim-signed grub-common
    python3-cryptography python3-jwt python3-twisted ca-certificates postfix openssl ssl-cert sudo curl gnupg git vim-tiny less netbase
    iproute2 ifupdown rsyslog cron apparmor dbus at fuse3)

say() { printf 'trees-env: %s\n' "$*"; }
stop() { printf 'trees-env: %s\n' "$*" >&2; exit 1; }
cmp --quiet scripts/trees-env.sh "$target/made-by" && exit
command -v apt-get >/dev/null || stop "Needed, and not found: apt-get. The tree is made of Debian's packages."

say "Making $target/debian."
rm -rf "$target"
mkdir -p "$target/archives/partial" "$target/debian"
: >"$target/status"
# With an empty list of what is installed, apt chooses all that a system needs.
as_apt=(apt-get -qq -o "Dir::State::status=$target/status" -o "Dir::Cache::archives=$target/archives" -o Debug::NoLocking=1)
download() { "${as_apt[@]}" install --download-only -y --no-install-recommends "${packages[@]}" >/dev/null 2>"$target/log"; }
download || { { [ "$(id -u)" -eq 0 ] || sudo -n true; } && say "Updating the lists of apt." && $( [ "$(id -u)" -eq 0 ] || echo sudo -n) apt-get update -qq && download; } ||
    stop "apt-get could not download the packages: $(tail -3 "$target/log")"

root=$target/debian
mkdir -p "$root"/usr/{bin,sbin,lib,lib64}
for name in bin sbin lib lib64; do ln -s "usr/$name" "$root/$name"; done
mkdir -p "$root/var/lib/dpkg/info"
for package in "$target"/archives/*.deb; do
    sums=$root/var/lib/dpkg/info/$(dpkg-deb --field "$package" Package).md5sums
    dpkg-deb --ctrl-tarfile "$package" | tar --extract --to-stdout ./md5sums >"$sums" 2>/dev/null || rm "$sums" # it has no files
    dpkg-deb --fsys-tarfile "$package" | tar --extract --preserve-permissions --keep-directory-symlink --directory "$root"
    dpkg-deb --field "$package" | sed '0,/^Package:.*/s//&\nStatus: install ok installed/'
    echo
done >"$root/var/lib/dpkg/status"

# What the scripts of packages leave, as in an image for a cloud: accounts without passwords, cloud-init at the start, no identity.
cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
sed -E 's/^([^:]*):.*/\1:*:20000:0:99999:7:::/' "$root/etc/passwd" >"$root/etc/shadow"
chmod 640 "$root/etc/shadow"
units=$root/etc/systemd/system/cloud-init.target.wants
mkdir -p "$units"
for unit in cloud-init-local cloud-init cloud-config cloud-final; do ln -s "/lib/systemd/system/$unit.service" "$units/$unit.service"; done
mkdir -p "$root/etc/ssl/private" "$root/boot/efi"
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$root/etc/ssl/private/ssl-cert-snakeoil.key" \
    -out "$root/etc/ssl/certs/ssl-cert-snakeoil.pem" 2>/dev/null
: >"$root/etc/machine-id"
printf 'LABEL=root / ext4 defaults 0 1\nLABEL=ESP /boot/efi vfat umask=0077 0 1\n' >"$root/etc/fstab"
rm -rf "$target/archives"
cp scripts/trees-env.sh "$target/made-by"

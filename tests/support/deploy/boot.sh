#!/usr/bin/env bash
# Boot the system's own systemd as process 1 of new namespaces, on a copy of this machine's files that is thrown away, with the
# units of deploy/systemd and a Douane in /opt/douane.
#
#   boot.sh FOLDER CGROUP CHECKOUT SITE_PACKAGES PYTHON_PREFIX PYTHON_NAME
set -euo pipefail
[ "${1:-}" = inside ] || {
    echo $$ >"$2/cgroup.procs"
    exec unshare --mount --pid --ipc --uts --cgroup --fork --kill-child --propagation private "$0" inside "$@"
}
shift
folder=$1 checkout=$3 site=$4 prefix=$5 python=$6
root=$folder/root

# ---- the files: this machine's, and what is written goes to memory
mount -t tmpfs -o size=1g,mode=755 scratch "$folder"
mkdir "$root" "$folder/upper" "$folder/work"
mount -t overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" root "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 dev "$root/dev"
for device in null zero full random urandom tty; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for number in 0:stdin 1:stdout 2:stderr; do ln -s "fd/${number%:*}" "$root/dev/${number#*:}"; done
for place in run tmp var/tmp; do mount -t tmpfs -o mode=1777 "$place" "$root/$place"; done

# ---- Douane, where the units have it: the code of this checkout, and the libraries of its environment
rm -rf "$root/opt/douane" "$root/opt/parts"
mkdir -p "$root/opt/douane/bin" "$root/opt/douane/lib/$python/site-packages" "$root"/opt/parts/{python,site,checkout}
mount --bind "$site" "$root/opt/parts/site"
mount --bind "$checkout" "$root/opt/parts/checkout"
if [ "$prefix" = /usr ]; then home=/usr/bin; else
    mount --bind "$prefix" "$root/opt/parts/python"
    home=/opt/parts/python/bin
fi
ln -s "$home/$python" "$root/opt/douane/bin/python3"
printf 'home = %s\ninclude-system-site-packages = false\n' "$home" >"$root/opt/douane/pyvenv.cfg"
printf '%s\n' /opt/parts/site /opt/parts/checkout/src /opt/parts/checkout/sdk/src /opt/parts/checkout/guest/src \
    >"$root/opt/douane/lib/$python/site-packages/douane.pth"
printf '#!/opt/douane/bin/python3 -B\nfrom douane.cli.main import run\nrun()\n' >"$root/opt/douane/bin/douane"
chmod 755 "$root/opt/douane/bin/douane"

# ---- the units, and no other services of this machine
units=$root/etc/systemd/system
rm -rf "$units" "$root/etc/douane"
mkdir -p "$units" "$root/etc/douane" "$root/usr/lib/sysusers.d" "$root/usr/lib/tmpfiles.d"
cp -r "$checkout"/deploy/systemd/*.service* "$units"
cp "$checkout/deploy/systemd/sysusers.conf" "$root/usr/lib/sysusers.d/douane.conf"
cp "$checkout/deploy/systemd/tmpfiles.conf" "$root/usr/lib/tmpfiles.d/douane.conf"
printf '[Unit]\nRequires=basic.target\nAfter=basic.target\nAllowIsolate=yes\n' >"$units/only-basic.target"
for name in systemd-{udevd,udev-trigger,udev-settle,sysctl,binfmt,modules-load,timesyncd,networkd,resolved,hwdb-update}.service \
    proc-sys-fs-binfmt_misc.automount dev-hugepages.mount sys-kernel-{debug,tracing}.mount sys-fs-fuse-connections.mount \
    apparmor.service; do
    ln -s /dev/null "$units/$name"
done

cd "$root"
pivot_root . mnt
umount --lazy /mnt
mount --make-rshared /  # systemd hands credentials over by a mount
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --log-target=console --log-level=notice --show-status=no systemd.unit=only-basic.target

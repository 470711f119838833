#!/bin/sh
# Make the images of LVM and md in guest/tests/data with the real tools and drivers: as root, on loop devices.
#
#   make_volume_images.sh OUT PATTERN
#
# OUT is an empty folder; PATTERN a file with 64 MiB of `volume_pattern.pattern`. The members of an array are
# OUT/md-NAME.N, those of the volume group OUT/lvm.N; `volume_pattern.store` packs them. Runs in busybox as well, so
# that a machine without these drivers can do it in a virtual machine with an initramfs.
OUT=$1 PATTERN=$2
GROUP=guest-vg

array() { # NAME COUNT ARGUMENTS...
  name=$1 count=$2; shift 2
  devices=; number=0
  while [ $number -lt $count ]; do
    file=$OUT/md-$name.$number
    truncate -s $((3 + (growth * number)))M "$file"
    device=$(losetup -f); losetup "$device" "$file"
    devices="$devices $device"; number=$((number + 1))
  done
  mdadm --create /dev/md77 --run --force --assume-clean --homehost=none --raid-devices=$count "$@" $devices </dev/null || echo "FAILED $name"
  [ -e /sys/block/md77/size ] || { rm "$OUT/md-$name".*; for device in $devices; do losetup -d "$device"; done; return; }
  size=$(($(cat /sys/block/md77/size) * 512))
  dd if="$PATTERN" of=/dev/md77 bs=64k count=$((size / 65536)) conv=notrunc 2>/dev/null
  sync; sleep 1
  cmp -n $((size / 65536 * 65536)) "$PATTERN" /dev/md77 || echo "DIFFERENT $name"
  echo "$size" > "$OUT/md-$name.size"
  mdadm --stop /dev/md77
  for device in $devices; do losetup -d "$device"; done
}

volume() { # NAME ARGUMENTS...
  name=$1; shift
  lvcreate --yes --wipesignatures n --zero n --name "$name" "$@" $GROUP </dev/null || echo "FAILED $name"
  fill "$name"
}

fill() { dd if="$PATTERN" of=/dev/$GROUP/$1 bs=64k conv=notrunc 2>/dev/null; sync; }

make_md() {
  growth=0
  array linear 3 --level=linear
  array linear-0.90 3 --level=linear --metadata=0.90
  array raid0 3 --level=0 --chunk=16
  echo 1 > /sys/module/raid0/parameters/default_layout
  growth=1
  array raid0-zones-1 3 --level=0 --chunk=16 --layout=original
  array raid0-zones-2 3 --level=0 --chunk=16 --layout=alternate
  growth=0
  array raid1-0.90 2 --level=1 --metadata=0.90
  array raid1-1.0 2 --level=1 --metadata=1.0
  array raid1-1.1 2 --level=1 --metadata=1.1
  array raid1-1.2 3 --level=1 --metadata=1.2
  array raid4 3 --level=4 --chunk=16
  for layout in la ra ls rs parity-first parity-last; do
    array raid5-$layout 4 --level=5 --chunk=16 --layout=$layout
  done
  array raid5-0.90 4 --level=5 --chunk=16 --metadata=0.90
  for layout in la ra ls rs parity-first ddf-zero-restart ddf-N-restart ddf-N-continue \
    left-asymmetric-6 left-symmetric-6 right-asymmetric-6 right-symmetric-6 parity-first-6; do
    array raid6-$layout 5 --level=6 --chunk=16 --layout=$layout
  done
  array raid10-n2 4 --level=10 --chunk=16 --layout=n2
  array raid10-n2-odd 3 --level=10 --chunk=16 --layout=n2
  array raid10-f2 4 --level=10 --chunk=16 --layout=f2
  array raid10-o2 4 --level=10 --chunk=16 --layout=o2
}

make_lvm() {
  devices=
  for number in 0 1 2 3 4; do
    truncate -s 24M "$OUT/lvm.$number"
    device=$(losetup -f); losetup "$device" "$OUT/lvm.$number"
    devices="$devices $device"; last=$device
  done
  vgcreate --physicalextentsize 512k --dataalignment 512k $GROUP $devices
  volume linear --size 2m
  volume striped --size 3m --stripes 3 --stripesize 16k
  volume mirror --type mirror --mirrors 1 --size 1m --mirrorlog core --nosync
  volume raid0 --type raid0 --stripes 3 --stripesize 16k --size 3m
  volume raid1 --type raid1 --mirrors 1 --size 1m --nosync
  volume raid4 --type raid4 --stripes 2 --stripesize 16k --size 2m --nosync
  volume raid5 --type raid5 --stripes 3 --stripesize 16k --size 3m --nosync
  volume raid5_ra --type raid5_ra --stripes 3 --stripesize 16k --size 3m --nosync
  volume raid6 --type raid6 --stripes 3 --stripesize 16k --size 3m
  volume raid6_nc --type raid6_nc --stripes 3 --stripesize 16k --size 3m
  volume raid10 --type raid10 --mirrors 1 --stripes 2 --stripesize 16k --size 2m --nosync
  volume origin --size 1m
  lvextend --size +3m $GROUP/linear $last; fill linear
  lvcreate --yes --type thin-pool --size 8m --chunksize 64k --name pool $GROUP </dev/null
  lvcreate --yes --wipesignatures n --thin --virtualsize 63m --name thin $GROUP/pool </dev/null
  for start in 0 3 5 62; do
    dd if="$PATTERN" of=/dev/$GROUP/thin bs=1M count=1 skip=$start seek=$start conv=notrunc
  done
  lvcreate --yes --snapshot --name thin_snapshot $GROUP/thin </dev/null
  lvchange --yes --setactivationskip n $GROUP/thin_snapshot
  dd if="$PATTERN" of=/dev/$GROUP/thin bs=1M count=1 skip=9 seek=9 conv=notrunc
  sync; sleep 3
  lvs -a -o lv_name,segtype,lv_size,devices $GROUP
  for name in $(lvs --noheadings -o lv_name $GROUP); do
    [ -e /dev/$GROUP/$name ] && dd if=/dev/$GROUP/$name bs=64k 2>/dev/null | md5sum | sed "s/-/$name/" >> "$OUT/lvm.md5"
  done
  vgchange --activate n $GROUP
  for device in $devices; do losetup -d "$device"; done
}

make_md
make_lvm

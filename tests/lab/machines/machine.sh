#!/bin/sh
# Turns a fresh set of namespaces into a machine of its own; runs as their process 1.
# Arguments: the host's directory, its name, a directory to hide, what is the lower layer of its root, then every
# file system of the real machine to show, / first.
set -eu
dir=$1 name=$2 hidden=$3 base=$4
shift 4

# The old /proc is still mounted, so this is the process id as the real machine sees it.
read -r pid rest < /proc/self/stat
echo "$pid" > "$dir/pid"
hostname "$name"

# What the machine has installed, or a root of its own, is the lower layer: every host sees it and none can change it
# for another.
layer=0
for point in "$@"; do
    lower=$point
    [ "$point" != / ] || lower=$base
    mkdir -p "$dir/upper$layer" "$dir/work$layer"
    mount -t overlay -o "lowerdir=$lower,upperdir=$dir/upper$layer,workdir=$dir/work$layer" overlay "$dir/root$point" ||
        { echo "$point cannot be shown in this host" >&2; [ "$point" != / ]; }
    layer=$((layer + 1))
done

cd "$dir/root"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mkdir -p run/lock var/lib/docker
mount --bind "$dir/docker" var/lib/docker
mount -t tmpfs -o mode=700 tmpfs ".$hidden"
mkdir .real
pivot_root . .real
umount -l /.real
rmdir /.real

# Of a bare host: what is installed by then starts as at any boot.
if [ "$base" != / ]; then
    touch run/lab-booted
    exec tini -- sh -c '[ ! -x /etc/init.d/docker ] || service docker start; exec sleep infinity'
fi
# Like a service manager, the loop brings an engine that died back.
exec tini -- sh -c 'while :; do dockerd >> /var/log/docker.log 2>&1; sleep 1; done'

#!/bin/sh
# What `make containers` runs: the images, then an operator's day with all services of the compose file.
# The services have mounts, network and processes of their own, which end with this script. Needs root.
set -eu
CONTAINERS_STORE=${CONTAINERS_STORE:-/var/tmp/voip-containers}
export CONTAINERS_STORE
mkdir -p "$CONTAINERS_STORE/run" "$CONTAINERS_STORE/tmp"
chmod 700 "$CONTAINERS_STORE"
exec 9>"$CONTAINERS_STORE/lock"
flock -n 9 || { echo "Another run uses $CONTAINERS_STORE." >&2; exit 2; }
.venv/bin/python -m tests.containers.images
# The first process of the namespace waits for all others; it must not be pytest, which would not.
unshare --mount --net --pid --fork --kill-child --mount-proc sh -eu -c '
    # crun refuses to see both kinds of control groups; none are used.
    mountpoint -q /sys/fs/cgroup/unified && umount /sys/fs/cgroup/unified
    mount -t tmpfs none /run
    mount -t tmpfs none "$CONTAINERS_STORE/run"
    mount -t tmpfs none "$CONTAINERS_STORE/tmp"
    ip link set lo up
    # The address that phones are told, one of each phone, the mail server.
    for host in 10 21 22 30; do ip address add 192.0.2.$host/32 dev lo; done
    sysctl -qw net.ipv4.ip_forward=1
    .venv/bin/pytest -p no:cacheprovider -x -q tests/containers/day.py "$@"
' sh "$@"

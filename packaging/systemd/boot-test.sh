#!/usr/bin/env bash
# Boots a real systemd with the unit, in a container, and holds the stack to what the unit promises:
# the start at boot, reloads, deaths of either process and of both, a reboot, a power cut while rows
# are written, a new version under load, and the stop.
#
#   boot-test.sh BINARIES TREE [PROMISE…]
#
# BINARIES is a directory with mattervisord, ctl and mattermost (the stand-in), such as target/debug.
# TREE is the Debian tree: made unless it is there, and kept for the next run. Without PROMISE all are held.
# Needs root, debootstrap, systemd-nspawn. Exit code 0: all held; 77: this machine cannot run it.
set -euo pipefail

[ $# -ge 2 ] || { printf 'usage: %s BINARIES TREE [PROMISE…]\n' "$0" >&2; exit 2; }
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
repo=${here%/packaging/systemd}
binaries=$1 tree=$2
shift 2
# shellcheck source=packaging/systemd/machine.sh
. "$here/machine.sh"
# shellcheck source=packaging/systemd/promises.sh
. "$here/promises.sh"

need_nspawn
make_tree "$tree"
new_machine m "$tree"
set_up
[ $# -gt 0 ] ||
    set -- boots reloads survives_deaths reboots recovers_from_a_power_cut upgrades stops powers_off
hold "$@"

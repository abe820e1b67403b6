#!/usr/bin/env bash
# Boots a virtual machine with the unit: a kernel whose control groups are the unified hierarchy
# alone, with all controllers, which no container here has. Holds what boot-test.sh holds, but for
# what needs a disk. Emulated: takes several minutes.
#
#   vm-test.sh BINARIES TREE
#
# As boot-test.sh. Needs qemu-system-x86_64 besides.
set -euo pipefail

[ $# -eq 2 ] || { printf 'usage: %s BINARIES TREE\n' "$0" >&2; exit 2; }
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
repo=${here%/packaging/systemd}
binaries=$1 tree=$2
# shellcheck source=packaging/systemd/machine.sh
. "$here/machine.sh"
# shellcheck source=packaging/systemd/promises.sh
. "$here/promises.sh"
# shellcheck source=packaging/systemd/vm.sh
. "$here/vm.sh"

boots_with_all_controllers() {
    local controllers
    boot m
    ready "the boot"
    [ "$(m stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ] || fail "the hierarchy is not unified"
    # shellcheck disable=SC2016 # for the inner shell
    controllers=$(m sh -c 'cat /sys/fs/cgroup$(systemctl show -P ControlGroup mattervisor)/cgroup.controllers')
    say "controllers of the unit: $controllers"
    for controller in cpu memory io pids; do
        [[ " $controllers " = *" $controller "* ]] || fail "the unit has no controller $controller"
    done
}

need_vm
make_tree "$tree"
make_kernel
new_machine m "$tree"
set_up
mkdir -p "$(layer m)/usr/local/sbin"
shell_of_the_vm >"$(layer m)/usr/local/sbin/vm-shell"
chmod 0755 "$(layer m)/usr/local/sbin/vm-shell"
cat >"$(layer m)/etc/systemd/system/vm-shell.service" <<'UNIT'
[Service]
ExecStart=/usr/local/sbin/vm-shell /dev/ttyS1
UNIT
ln -s /etc/systemd/system/vm-shell.service "$(layer m)/etc/systemd/system/multi-user.target.wants/"
hold boots_with_all_controllers reloads survives_deaths stops
m systemctl --no-block poweroff
wait_end m

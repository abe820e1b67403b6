# shellcheck shell=bash
# Debian machines under systemd-nspawn, for tests that boot a real systemd. To be sourced.
#
# All machines share one tree, which is made once; each machine writes to a layer of its own
# (overlayfs), which goes with the test. A machine has no network of the host's, and needs neither
# machined nor a systemd on the host.

# The script that sources this has set the repository and the directory of programs.
: "${repo:?}" "${binaries:?}"
# Directory of the layers, the consoles and all else that goes with the test.
work=$(mktemp -d /var/tmp/mattervisor-boot.XXXXXX)
# The name of a machine to the pid of its systemd-nspawn.
declare -A nspawn_of=()
# The name of a machine to the pid of its init.
declare -A init_pid=()
# Seconds that anything may take.
limit=180

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
cannot() { say "cannot run here: $*"; exit 77; }

# Holds these promises, one after the other.
hold() {
    local promise begun
    for promise in "$@"; do
        begun=${EPOCHREALTIME/[.,]/}
        "$promise"
        say "$promise: held, $(((${EPOCHREALTIME/[.,]/} - begun) / 1000)) ms"
    done
}

# Ends the test, with what the machines have said.
fail() {
    say "FAILED: $*"
    local machine
    for machine in "${!nspawn_of[@]}"; do
        printf -- '--- %s, console\n' "$machine" >&2
        tail -n 30 "$work/$machine/console" >&2
        printf -- '--- %s, journal of the unit and status\n' "$machine" >&2
        inside "$machine" sh -c 'journalctl -u mattervisor -n 60 --no-pager; ctl status' >&2 || true
    done
    exit 1
}

# Ends every machine. For the end of the test, whatever it is.
end_machines() {
    local machine net
    for machine in "${!nspawn_of[@]}"; do power_cut "$machine"; done
    for net in "$work"/*/net; do
        if [ -e "$net" ]; then umount "$net" || true; fi
    done
    rm -rf "$work"
}

trap end_machines EXIT
# By a signal too.
trap 'exit 1' HUP INT TERM

# Ends the test where the machine lacks what a boot needs.
need_nspawn() {
    [ "$(id -u)" -eq 0 ] || cannot "it needs root"
    local tool
    for tool in debootstrap systemd-nspawn unshare nsenter curl; do
        command -v "$tool" >/dev/null || cannot "$tool is not installed"
    done
}

# Makes the shared tree $1 unless it is there, of the suite that this machine has: the programs need
# a C library that is at least as new as the one that they were built with.
make_tree() {
    (
        flock 9
        [ ! -e "$1/usr/lib/systemd/systemd" ] || exit 0
        local suite
        suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
        say "making a Debian tree ($suite)"
        rm -rf "$1" "$1.new"
        debootstrap --variant=minbase \
            --include=systemd,systemd-sysv,dbus,postgresql,nginx-light,procps,iproute2,curl \
            "$suite" "$1.new" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$work/debootstrap" 2>&1 ||
            { tail "$work/debootstrap" >&2; cannot "debootstrap failed"; }
        rm -f "$1.new"/var/cache/apt/archives/*.deb
        mv "$1.new" "$1"
    ) 9>"$1.lock"
}

# The layer of machine $1: what it has that the shared tree $2 has not.
new_machine() {
    mkdir -p "$work/$1"/{layer,overlay,root}
    printf '%s\n' "$2" >"$work/$1/tree"
    own_groups | sed "s,\$,/mattervisor-$1-$$," >"$work/$1/groups"
}
# This process's groups in the hierarchies that systemd groups by.
own_groups() {
    local unified=/sys/fs/cgroup
    if [ -e /sys/fs/cgroup/unified/cgroup.procs ]; then unified=/sys/fs/cgroup/unified; fi
    sed -n "s,^0::,$unified,p" /proc/self/cgroup | sed 's,/$,,'
    sed -n 's,^[0-9]*:name=systemd:,/sys/fs/cgroup/systemd,p' /proc/self/cgroup | sed 's,/$,,'
}
# Removes the groups of a machine that has ended, once its last process is gone.
remove_groups() {
    local group until=$((SECONDS + 10))
    while read -r group; do
        while [ -d "$group" ] && [ $SECONDS -lt $until ]; do
            find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || true
            [ ! -d "$group" ] || sleep 0.05
        done
    done <"$work/$1/groups"
}
layer() { printf '%s\n' "$work/$1/layer"; }

# Boots machine $1; further arguments go to systemd-nspawn. Returns once its systemd answers.
boot() {
    local machine=$1 at=$work/$1
    shift
    # systemd-nspawn needs a /run in memory, which not every machine has: this mount namespace gets
    # one. No machined and no scope: this machine may have no systemd.
    # shellcheck disable=SC2016 # for the inner shell
    unshare --mount --propagation private sh -c '
        at=$1 name=$2
        shift 2
        # A control group of its own, below ours: two systemds in one would be in each other'"'"'s way.
        for group in $(cat "$at/groups"); do mkdir -p "$group" && echo $$ >"$group/cgroup.procs"; done
        mount -t tmpfs -o mode=0755 tmpfs /run && mkdir /run/systemd &&
        mount -t overlay overlay \
            -o "lowerdir=$(cat "$at/tree"),upperdir=$at/layer,workdir=$at/overlay" "$at/root" &&
        if [ -e "$at/net" ]; then set -- "--network-namespace-path=$at/net" "$@"
        else set -- --private-network "$@"; fi &&
        exec systemd-nspawn --quiet --register=no --keep-unit --console=pipe \
            --boot --directory="$at/root" --machine="$name" "$@"' \
        sh "$at" "mattervisor-$machine-$$" "$@" </dev/null >>"$at/console" 2>&1 &
    nspawn_of["$machine"]=$!
    unset "init_pid[$machine]"
    await "machine $machine boots" is_up "$machine" || {
        grep -qiE 'operation not permitted|failed to (mount|create|allocate|clone)|not supported' "$at/console" && {
            tail -n 5 "$at/console" >&2
            cannot "this machine boots no container"
        }
        fail "machine $machine does not boot"
    }
}

# A cable between two machines that are not booted yet: connect NAME ADDRESS/BITS NAME ADDRESS/BITS.
connect() {
    local machine
    for machine in "$1" "$3"; do
        touch "$work/$machine/net"
        unshare --net="$work/$machine/net" ip link set lo up
    done
    nsenter --net="$work/$1/net" \
        ip link add to-peer type veth peer name to-peer netns "$work/$3/net"
    for machine in "$1=$2" "$3=$4"; do
        nsenter --net="$work/${machine%%=*}/net" ip address add "${machine#*=}" dev to-peer
        nsenter --net="$work/${machine%%=*}/net" ip link set to-peer up
    done
}

# The pid of the init of machine $1, as it is on the host.
init_of() { [ -n "${init_pid[$1]-}" ] && printf '%s\n' "${init_pid[$1]}"; }
find_init() {
    local nspawn=${nspawn_of[$1]} child
    # shellcheck disable=SC2013 # pids are words
    for child in $(cat "/proc/$nspawn/task/$nspawn/children" 2>/dev/null); do
        if grep -qE '^NSpid:.*[[:space:]]1$' "/proc/$child/status" 2>/dev/null; then
            init_pid[$1]=$child
            return
        fi
    done
    return 1
}

# Runs a command inside machine $1.
inside() {
    local init
    init=$(init_of "$1") || return 1
    shift
    nsenter --target "$init" --mount --uts --ipc --net --pid --cgroup --root --wd -- \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "$@"
}
# Runs a command of the host's in the network of machine $1.
in_network_of() {
    local init
    init=$(init_of "$1") || return 1
    shift
    nsenter --target "$init" --net -- "$@"
}
# Prints the processes of machine $1 that have one of these names; false if there is none.
runs() {
    local machine=$1 names
    shift
    names=$(printf '%s\n' "$@")
    inside "$machine" ps -eo comm= | grep -xF "$names"
}
is_up() { { [ -n "${init_pid[$1]-}" ] || find_init "$1"; } && inside "$1" systemctl show --property=Version >/dev/null 2>&1; }

# Looks until the command succeeds: await WHAT COMMAND…. False once the time is over.
await() {
    local until=$((SECONDS + limit)) what=$1
    shift
    until "$@"; do
        if [ $SECONDS -ge $until ]; then
            say "not within $limit s: $what"
            return 1
        fi
        sleep 0.05
    done
}

# Waits until machine $1 has ended by itself: by exit code 133 to be booted again, by 0 for good.
wait_end() {
    await "machine $1 ends" is_gone "$1" || fail "machine $1 does not end"
    # shellcheck disable=SC2034 # for the caller
    ended_with=0
    # shellcheck disable=SC2034
    wait "${nspawn_of[$1]}" || ended_with=$?
    remove_groups "$1"
    unset "nspawn_of[$1]"
}
is_gone() { ! kill -0 "${nspawn_of[$1]}" 2>/dev/null; }

# Ends machine $1 as a power cut does: no process of it does anything more.
power_cut() {
    local init nspawn=${nspawn_of[$1]}
    if init=$(init_of "$1"); then kill -KILL "$init" 2>/dev/null || true; fi
    kill -KILL "$nspawn" 2>/dev/null || true
    wait "$nspawn" 2>/dev/null || true
    remove_groups "$1"
    unset "nspawn_of[$1]"
}

# Runs a command in the tree of machine $1, which is not booted.
in_tree() {
    local machine=$1
    shift
    # shellcheck disable=SC2016 # for the inner shell
    unshare --mount --propagation private sh -c '
        at=$1
        shift
        mount -t overlay overlay \
            -o "lowerdir=$(cat "$at/tree"),upperdir=$at/layer,workdir=$at/overlay" "$at/root" &&
        mount -t proc proc "$at/root/proc" &&
        exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
            chroot "$at/root" "$@"' sh "$work/$machine" "$@"
}

# Makes the package, of version $1; prints its path.
package() {
    local packages=$work/packages-$1
    if [ ! -d "$packages" ]; then
        command -v dh >/dev/null || cannot "debhelper is not installed"
        "$repo/packaging/build.sh" --quick --deb --version "$1" "$binaries" "$packages" >/dev/null
    fi
    printf '%s\n' "$packages"/*.deb
}

# Installs the package in machine $1, and turns off what would have its ports, as the package says.
install_mattervisor() {
    local deb root
    deb=$(package 1.0.0)
    root=$(layer "$1")
    install -D -m 0644 "$deb" "$root/root/mattervisor.deb"
    in_tree "$1" dpkg --install /root/mattervisor.deb >"$work/$1/dpkg" 2>&1 ||
        { cat "$work/$1/dpkg" >&2; fail "the package cannot be installed"; }
    in_tree "$1" systemctl disable postgresql.service nginx.service >/dev/null 2>&1
}

# Puts the stand-in for Mattermost into the layer of machine $1.
install_mattermost() {
    local root
    root=$(layer "$1")
    install -D -m 0755 "$binaries/mattermost" "$root/opt/mattermost/bin/mattermost"
    install -m 0755 "$binaries/mmctl" "$root/opt/mattermost/bin/mmctl"
    mkdir "$root/opt/mattermost/i18n" "$root/opt/mattermost/templates"
}

# Writes the site file of machine $1 from standard input.
site_file() {
    local root
    root=$(layer "$1")
    cat >"$root/etc/mattervisor/mattervisor.toml"
}

# Upgrades machine $1 to another version of the package while it runs.
upgrade_mattervisor() {
    inside "$1" sh -c 'cat >/root/mattervisor.deb' <"$(package 2.0.0)"
    inside "$1" dpkg --install /root/mattervisor.deb
}

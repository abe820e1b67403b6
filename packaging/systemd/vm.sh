# shellcheck shell=bash
# A Debian machine under QEMU, in place of one under systemd-nspawn: a kernel of its own, whose
# control groups are the unified hierarchy alone, with all controllers. To be sourced after
# machine.sh, whose functions `boot`, `inside`, `wait_end` and `power_cut` it replaces.
#
# The machine's tree and layer are its initramfs, so nothing outlives the machine. Its first serial
# port is the console; commands and their results go through the second, one line each, in base64.
: "${work:?}" "${limit:?}" "${tree:?}"

# Emulation makes all slow.
limit=900

need_vm() {
    [ "$(id -u)" -eq 0 ] || cannot "it needs root"
    local tool
    for tool in debootstrap qemu-system-x86_64 cpio dpkg-deb strip; do
        command -v "$tool" >/dev/null || cannot "$tool is not installed"
    done
}

# The kernel of Debian's cloud images, beside the tree; kept for the next run.
make_kernel() {
    [ ! -e "$tree.vmlinuz" ] || return 0
    local package
    package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p' | head -n 1)
    mkdir "$work/kernel"
    (cd "$work/kernel" && apt-get download "$package" >/dev/null 2>&1 && dpkg-deb -x ./*.deb .) ||
        cannot "the kernel's package cannot be had"
    cp "$work"/kernel/boot/vmlinuz-* "$tree.vmlinuz"
}

# Runs what comes from the second serial port.
shell_of_the_vm() {
    cat <<'SHELL'
#!/bin/bash
stty raw -echo <"$1"
exec 3<>"$1"
printf 'here\n' >&3
while read -r line <&3; do
    code=0
    bash -c "$(base64 -d <<<"$line")" >/run/vm-out 2>/run/vm-err </dev/null || code=$?
    printf '%s.%s.%s\n' "$(base64 -w 0 /run/vm-out)" "$(base64 -w 0 /run/vm-err)" "$code" >&3
done
SHELL
}

boot() {
    local machine=$1 at=$work/$1
    make_initramfs "$machine"
    mkfifo "$at/shell.in" "$at/shell.out"
    # On a busy host an emulated timer is late: the kernel must not take that for a fault.
    qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 3072 -nodefaults -display none \
        -no-reboot -kernel "$tree.vmlinuz" -initrd "$at/initramfs" \
        -append 'console=ttyS0 quiet panic=-1 no_timer_check rdinit=/usr/lib/systemd/systemd systemd.unified_cgroup_hierarchy=1' \
        -serial "file:$at/console" -serial "pipe:$at/shell" </dev/null >"$at/qemu" 2>&1 &
    nspawn_of["$machine"]=$!
    # Both ends stay open, so that neither side waits for the other to open.
    exec 7<>"$at/shell.in" 8<>"$at/shell.out"
    local line='' until=$((SECONDS + limit))
    until [ "${line%$'\r'}" = here ]; do
        read -r -t 1 line <&8 || true
        if is_gone "$machine" || [ $SECONDS -ge $until ]; then
            tail -n 30 "$at/console" "$at/qemu" >&2
            fail "machine $machine does not boot"
        fi
    done
}

make_initramfs() {
    local at=$work/$1
    # shellcheck disable=SC2016 # for the inner shell
    unshare --mount --propagation private sh -c '
        mount -t overlay overlay \
            -o "lowerdir=$(cat "$1/tree"),upperdir=$1/layer,workdir=$1/overlay" "$1/root" &&
        cd "$1/root" &&
        strip usr/lib/mattervisor/* usr/bin/mattervisorctl opt/mattermost/bin/* &&
        find . -xdev \( -path ./usr/share/doc -o -path ./usr/share/man -o -path ./usr/share/locale \
            -o -path ./var/cache -o -path ./var/lib/apt/lists \) -prune -o -print0 |
        cpio --quiet --null --create --format=newc' sh "$at" | gzip -1 >"$at/initramfs"
}

# As the one of machine.sh, but for standard input: the command has none.
inside() {
    local line out err code
    shift
    printf '%s\n' "$(printf '%q ' "$@" | base64 -w 0)" >&7
    read -r -t "$limit" line <&8 || return 124
    line=${line%$'\r'}
    IFS=. read -r out err code <<<"$line"
    base64 -d <<<"$out"
    base64 -d <<<"$err" >&2
    return "$code"
}

wait_end() {
    await "machine $1 ends" is_gone "$1" || fail "machine $1 does not end"
    wait "${nspawn_of[$1]}" || true
    unset "nspawn_of[$1]"
}

power_cut() {
    kill -KILL "${nspawn_of[$1]}" 2>/dev/null || true
    wait "${nspawn_of[$1]}" 2>/dev/null || true
    unset "nspawn_of[$1]"
}

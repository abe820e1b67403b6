#!/usr/bin/env bash
# Boots a real systemd with the unit, in a container, and holds the stack to what the unit
# promises: started at boot, READY, every service running; stopped in order at poweroff.
#
#   boot-test.sh BINARIES [TREE]
#
# BINARIES is a directory with mattervisord, ctl and mattermost (the stand-in), such as target/debug.
# TREE keeps the Debian tree for the next run; without TREE the script makes a tree and removes it.
# Needs root, debootstrap, systemd-nspawn. Exit code 0: all held; 77: this machine cannot run it.
set -euo pipefail

[ $# -ge 1 ] || { printf 'usage: %s BINARIES [TREE]\n' "$0" >&2; exit 2; }
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
repo=${here%/packaging/systemd}
binaries=$1
tree=${2:-}
name=mattervisor-boot-$$
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
# The binaries need a C library at least as new as this machine's.
suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)

say() { printf 'boot-test: %s\n' "$*" >&2; }
fail() {
    say "FAILED: $*"
    if [ -e "$log" ]; then tail -n 60 "$log" >&2; fi
    exit 1
}
cannot() { say "cannot run here: $*"; exit 77; }

[ "$(id -u)" -eq 0 ] || cannot "it needs root"
for tool in debootstrap systemd-nspawn unshare; do command -v "$tool" >/dev/null || cannot "$tool is not installed"; done

work=$(mktemp -d /var/tmp/mattervisor-boot.XXXXXX)
log=$work/console
container=
cleanup() {
    if [ -n "$container" ]; then
        kill -KILL "$container" 2>/dev/null || true
        wait "$container" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap cleanup EXIT

tree=${tree:-$work/tree}
if [ ! -e "$tree/usr/lib/systemd/systemd" ]; then
    say "making a Debian tree ($suite)"
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,postgresql,nginx-light,procps \
        "$suite" "$tree" "$mirror" >"$work/debootstrap" 2>&1 || { tail "$work/debootstrap" >&2; cannot "debootstrap failed"; }
fi
# The distribution would start these units itself.
systemctl --root="$tree" disable postgresql.service nginx.service >/dev/null 2>&1 || true

say "installing"
rm -rf "$tree"/{usr/lib,usr/share,etc,var/lib,var/log}/mattervisor "$tree/opt/mattermost"
install -D -m 0755 "$binaries/mattervisord" "$tree/usr/lib/mattervisor/mattervisord"
install -D -m 0755 "$binaries/ctl" "$tree/usr/bin/ctl"
for program in acme backup gitlab import top; do
    install -D -m 0755 "$binaries/mattervisor-$program" "$tree/usr/lib/mattervisor/mattervisor-$program"
done
install -D -m 0755 "$binaries/mattermost" "$tree/opt/mattermost/bin/mattermost"
install -m 0755 "$binaries/mmctl" "$tree/opt/mattermost/bin/mmctl"
mkdir "$tree/opt/mattermost/i18n" "$tree/opt/mattermost/templates"
mkdir -p "$tree/usr/share/mattervisor" "$tree/etc/mattervisor"
cp -r "$repo/services.d" "$tree/usr/share/mattervisor/"
chmod -R u=rwX,go=rX "$tree/usr/share/mattervisor"
printf 'mattermost_external_url = "http://mattermost.example.com"\n' >"$tree/etc/mattervisor/mattervisor.toml"
chmod 0600 "$tree/etc/mattervisor/mattervisor.toml"
install -D -m 0644 "$here/mattervisor.service" "$tree/etc/systemd/system/mattervisor.service"
systemctl --root="$tree" enable mattervisor.service >/dev/null 2>&1

# Runs inside the container after the boot, writes what it sees to a file, and powers off.
cat >"$tree/usr/local/sbin/boot-test-inside" <<'INSIDE'
#!/bin/bash
exec >/boot-test-result 2>&1
echo "unit $(systemctl is-active mattervisor.service)"
ctl status
echo "status $?"
exec 3<>/dev/tcp/127.0.0.1/80
printf 'GET /api/v4/system/ping?get_server_status=true HTTP/1.0\r\nHost: mattermost.example.com\r\n\r\n' >&3
read -r answer <&3
echo "answer $answer"
echo done
systemctl --no-block poweroff
INSIDE
chmod 0755 "$tree/usr/local/sbin/boot-test-inside"
cat >"$tree/etc/systemd/system/boot-test.service" <<'UNIT'
[Unit]
Description=Looks at mattervisor, then powers off
# Ordered after READY=1, or after the start failed.
After=mattervisor.service

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/boot-test-inside
TimeoutStartSec=120s

[Install]
WantedBy=multi-user.target
UNIT
systemctl --root="$tree" enable boot-test.service >/dev/null 2>&1
rm -f "$tree/boot-test-result"

say "booting"
started=$EPOCHREALTIME
# The container has no network of the host's, so port 80 is its own.
# systemd-nspawn needs a /run in memory, which not every machine has: this mount namespace gets one.
# systemd-nspawn uses neither machined nor a scope: this machine may have no systemd.
# shellcheck disable=SC2016 # for the inner shell
unshare --mount --propagation private sh -c '
    mount -t tmpfs -o mode=0755 tmpfs /run && mkdir /run/systemd &&
    exec timeout --kill-after=10 240 systemd-nspawn --quiet --register=no --keep-unit --private-network \
        --console=pipe --boot --directory="$0" --machine="$1"' "$tree" "$name" </dev/null >"$log" 2>&1 &
container=$!
wait "$container" || true
container=
say "up and down again after $(((${EPOCHREALTIME/[.,]/} - ${started/[.,]/}) / 1000)) ms"

result=$tree/boot-test-result
if [ ! -e "$result" ]; then
    grep -qiE 'operation not permitted|failed to (mount|create|allocate|clone)|not supported' "$log" && {
        tail -n 5 "$log" >&2
        cannot "this machine boots no container"
    }
    fail "it did not boot as far as the unit"
fi
cat "$result" >&2
grep -qx 'unit active' "$result" || fail "the unit is not active"
grep -qx 'status 0' "$result" || fail "ctl status does not say that all is running"
grep -q '^answer HTTP/1.[01] 200' "$result" || fail "no answer through nginx"

# The order of the stop, from the last lines that the services logged.
last() { tail -n 1 "$tree/var/log/mattervisor/$1/current" | cut -d ' ' -f 1; }
database=$(last postgresql)
server=$(last mattermost)
if [ -z "$database" ] || [ -z "$server" ]; then fail "a service has left no log"; fi
[[ ! $database < $server ]] || fail "PostgreSQL ($database) had ended before Mattermost ($server)"
tail -n 3 "$tree/var/log/mattervisor/postgresql/current" | grep -q 'database system is shut down' ||
    fail "PostgreSQL was not shut down properly"
say "all held"

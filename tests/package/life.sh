#!/bin/bash
# What an administrator does with the package, from its installation to its purge, in a booted tree of
# Debian. tests/tests/package.rs puts it there, with the packages first.deb and second.deb in /root,
# and reads what it prints: a heading for each step, then the step's output.

step() { printf '\n== %s\n' "$*"; }
run() { "$@" 2>&1; printf 'exit code %s\n' $?; }
install() { run apt-get install -y -q -o Dpkg::Use-Pty=0 "$@"; }
active() { printf '%s is %s, %s\n' "$1" "$(systemctl is-active "$1")" "$(systemctl is-enabled "$1" 2>/dev/null)"; }
pids() { ctl --format json status 2>/dev/null | tr ',' '\n' | grep -E '"(name|pid)"' | grep -B1 pid | grep -v '^--' | tr -d '\n '; echo; }
ping() {
    exec 3<>/dev/tcp/127.0.0.1/80 || return
    printf 'GET /api/v4/system/ping HTTP/1.0\r\nHost: mattermost.example.com\r\n\r\n' >&3
    read -r answer <&3
    printf 'answer %s\n' "${answer%$'\r'}"
    exec 3>&-
}
# Requests one after the other until the file is gone; prints what was not answered.
requests() {
    : >/run/requests
    while [ -e /run/requests ]; do
        [[ $(ping 2>&1) == 'answer HTTP/1.1 200 OK' ]] || echo "a request failed"
        echo . >>/run/requests.made
    done
}
left() { find /etc/mattervisor /var/lib/mattervisor /var/log/mattervisor /run/mattervisor -maxdepth 1 2>/dev/null | sort; }

export DEBIAN_FRONTEND=noninteractive

step install
install /root/first.deb
active mattervisor.service
active nginx.service
active postgresql.service
pg_lsclusters -h
stat -c '%a %U %G %n' /etc/mattervisor/mattervisor.toml
getent group mattervisor | cut -d : -f 1
run ctl status

step configure
systemctl disable --now nginx
sed -i 's/^#mattermost_external_url/mattermost_external_url/' /etc/mattervisor/mattervisor.toml
run ctl reconfigure
ping

step names
readlink -f /usr/bin/ctl /usr/sbin/mattervisord
run ctl version
cd / && bash --norc -c '
    source /usr/share/bash-completion/completions/ctl && complete -p ctl
    source /usr/share/bash-completion/completions/mattervisorctl && complete -p mattervisorctl'
ls /usr/share/man/man1/ctl.1.gz
ls /usr/share/mattervisor/services.d/gone.toml

step upgrade
pids
requests & loop=$!
install /root/second.deb
rm /run/requests && wait "$loop"
[ "$(wc -l </run/requests.made)" -gt 0 ] && echo "requests were made"
pids
run ctl version
active mattervisor.service
ls /usr/share/mattervisor/services.d/gone.toml

step upgrade-stopped
systemctl stop mattervisor
install --reinstall /root/second.deb
active mattervisor.service
systemctl start mattervisor

step remove
echo notmine >/etc/mattervisor/services.d/README
run apt-get remove -y -q mattervisor
ps -eo comm= | grep -E 'matter|postgres|nginx'
ls -d /usr/bin/ctl /usr/lib/mattervisor /usr/share/mattervisor /etc/postgresql-common/createcluster.d/mattervisor.conf
left

step again
install /root/second.deb
run ctl wait --timeout 2m
ping

step purge
run apt-get purge -y -q mattervisor
left

step purge-data
install /root/second.deb
MATTERVISOR_PURGE_DATA=yes run apt-get purge -y -q mattervisor
left
find / -xdev -name '*mattervisor*' -not -path '/proc/*' -not -path '/sys/*'
step end

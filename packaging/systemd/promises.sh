# shellcheck shell=bash
# What the unit promises, one function for each promise, held against machine m. To be sourced after
# machine.sh.
: "${work:?}" "${limit:?}"

# Prepares machine m.
set_up() {
    install_mattervisor m
    install_mattermost m
    site_file m <<'SITE'
mattermost_external_url = "http://mattermost.example.com"
mattermost.env = { STANDIN_MIGRATE_MS = "2000", STANDIN_STOP_MS = "300" }
SITE
    for service in always:always unless:unless-stopped; do
        cat >"$(layer m)/etc/mattervisor/services.d/${service%:*}.toml" <<SERVICE
command = ["sleep", "infinity"]
[restart]
policy = "${service#*:}"
SERVICE
    done
}

m() { inside m "$@"; }
# One value of the unit, such as ActiveState.
unit() { m systemctl show --property="$1" --value mattervisor; }
is_active() { [ "$(unit ActiveState)" = active ]; }
# Without names `ctl status` also counts what somebody has stopped.
is_ready() { is_active && m ctl status postgresql mattermost nginx >/dev/null; }
ready() { await "$1" is_ready || fail "$1: not ready"; }
# The pid of each service that runs, in one line.
pids() { m ctl status | awk '$4 ~ /^[0-9]+$/ { printf "%s=%s ", $1, $4 }'; }
state_of() { m ctl status "$1" | awk -v name="$1" '$1 == name { print $2 }'; }
sql() { m ctl psql -qAt -v ON_ERROR_STOP=1 -c "$1"; }
# The HTTP status of Mattermost through nginx: 000 while nobody listens.
answer() {
    m curl -s -o "${1-/dev/null}" -w '%{http_code}' --max-time 5 -H 'Host: mattermost.example.com' \
        "http://127.0.0.1/api/v4/system/ping?get_server_status=true" || true
}
# The last line of a service's log that fits pattern $2: its time and text.
logged() { m sh -c "cat /var/log/mattervisor/$1/current | grep -- '$2' | tail -n 1"; }
# How the last start of PostgreSQL found its data.
found_by_postgresql() { logged postgresql 'database system was' | sed 's/.*database system was/was/'; }

boots() {
    local status=000 seen='' nginx until
    boot m
    until=$((SECONDS + limit))
    # Looks every few ms from before nginx runs until Mattermost answers.
    until [ "$status" = 200 ]; do
        status=$(answer /tmp/page)
        if [ "$status" = 503 ] && [ -z "$seen" ]; then
            seen=$(date -u +%s%3N)
            m grep -qi mattermost /tmp/page || fail "the maintenance page is another: $(m cat /tmp/page)"
        fi
        [ $SECONDS -lt "$until" ] || fail "no answer through nginx ($status)"
    done
    ready "the first boot"
    [ -n "$seen" ] || fail "no maintenance page while Mattermost came up"
    m ctl events --format json >"$work/events"
    nginx=$(first_running nginx)
    say "maintenance page $((seen - $(date -u -d "$nginx" +%s%3N))) ms after nginx ran"
    [ "$seen" -lt $(($(date -u -d "$nginx" +%s%3N) + 1000)) ] || fail "the maintenance page came late"
    [[ $(first_running postgresql) < $(first_running mattermost) ]] ||
        fail "Mattermost ran before PostgreSQL"
    [ "$(unit StatusText)" = 'all services are up' ] || fail "STATUS: $(unit StatusText)"
}
# When a service first ran, by its events.
first_running() {
    sed -n "s/.*\"at\":\"\([^\"]*\)\".*/\1 &/p" "$work/events" | grep "\"service\":\"$1\"" |
        grep '"state":"running"' | head -n 1 | cut -d ' ' -f 1
}

reloads() {
    local before rc=0
    before=$(pids)
    m systemctl reload mattervisor || fail "a reload without a change fails"
    m sh -c 'echo nonsense = 1 >>/etc/mattervisor/mattervisor.toml'
    m systemctl reload mattervisor 2>/dev/null || rc=$?
    [ "$rc" -ne 0 ] || fail "a reload of a bad configuration ends with 0"
    is_active || fail "a bad configuration ended the unit"
    [ "$(pids)" = "$before" ] || fail "reloads changed processes: $before, $(pids)"
    m journalctl -u mattervisor -p err -o cat --no-pager | grep -q nonsense ||
        fail "journalctl -p err does not name the mistake"
    m sed -i '/^nonsense/d' /etc/mattervisor/mattervisor.toml
    m systemctl reload mattervisor || fail "a reload of the mended configuration fails"
    ! m journalctl -u mattervisor _COMM=mattervisord -o cat --no-pager | grep -E '^(<|20[0-9]{2}-)' ||
        fail "lines in the journal have a time or a priority in their text"
}

survives_deaths() {
    local before keeper control
    before=$(pids) keeper=$(unit MainPID)
    m pkill -KILL -P "$keeper" -f 'control --root'
    ready "control killed"
    [ "$(pids)" = "$before" ] || fail "the death of control changed services: $before, $(pids)"
    m kill -KILL "$keeper"
    await 'a new keeper' main_is_not "$keeper" || fail "no new keeper"
    ready "keeper killed"
    is_alone
    [[ $(found_by_postgresql) = 'was shut down at'* ]] ||
        fail "PostgreSQL was not stopped in order: $(found_by_postgresql)"
    keeper=$(unit MainPID) control=$(m pgrep -P "$keeper" -f 'control --root')
    # Neither may see the other's death.
    m kill -STOP "$keeper" "$control"
    m kill -KILL "$keeper" "$control"
    await 'a new keeper' main_is_not "$keeper" || fail "no new keeper after both were killed"
    ready "both killed"
    is_alone
    say "after the death of both PostgreSQL $(found_by_postgresql)"
    [ "$(unit NRestarts)" = 2 ] || fail "systemd counts $(unit NRestarts) restarts, not 2"
}
main_is_not() { ! [[ $(unit MainPID) =~ ^(0|$1)$ ]]; }
# One of each server, and none that is left of an earlier supervisor.
is_alone() {
    local name
    for name in postgres nginx mattermost; do
        [ "$(m pgrep -c -x -P "$(unit MainPID)" "$name")" = 1 ] || fail "not one $name"
        ! m pgrep -x -P 1 "$name" || fail "a $name is left of an earlier supervisor"
    done
}

reboots() {
    m ctl stop unless >/dev/null
    m ctl stop always >/dev/null
    m systemctl restart mattervisor
    ready "the unit's restart"
    [ "$(state_of always) $(state_of unless)" = 'stopped stopped' ] ||
        fail "a stop does not outlive a restart of the unit: $(state_of always) $(state_of unless)"
    m systemctl --no-block reboot
    wait_end m
    [ "${ended_with:?}" = 133 ] || fail "it does not reboot: $ended_with"
    boot m
    ready "the reboot"
    [ "$(state_of always) $(state_of unless)" = 'running stopped' ] ||
        fail "after a reboot: always $(state_of always), unless-stopped $(state_of unless)"
    m ctl start unless >/dev/null
}

recovers_from_a_power_cut() {
    local acknowledged
    sql 'CREATE TABLE written (number int PRIMARY KEY, text text)' >/dev/null
    # Each number is printed once its row is committed.
    # shellcheck disable=SC2016 # for the inner shell
    m sh -c 'number=0; while :; do number=$((number + 1)); echo "INSERT INTO written VALUES ($number, repeat('\''x'\'', 2000)) RETURNING number;"; done | ctl psql -qAt' \
        >"$work/acknowledged" 2>/dev/null &
    await "rows are written" has_lines "$work/acknowledged" 500 || fail "no rows are written"
    power_cut m
    wait $! || true
    acknowledged=$(grep -cE '^[0-9]+$' "$work/acknowledged")
    boot m
    ready "the boot after a power cut"
    [[ $(found_by_postgresql) = 'was not properly shut down'* ]] || fail "PostgreSQL $(found_by_postgresql)"
    [ "$(sql 'SELECT count(*) >= '"$acknowledged"' AND count(*) = max(number) FROM written')" = t ] ||
        fail "of $acknowledged rows $(sql 'SELECT count(*) FROM written') are there"
    sql 'CREATE EXTENSION IF NOT EXISTS amcheck; SELECT bt_index_check(c.oid, true) FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE c.relkind = '\''i'\'' AND a.amname = '\''btree'\'' AND c.relpersistence = '\''p'\''' >/dev/null ||
        fail "an index is broken"
    say "$acknowledged rows were acknowledged before the power cut, and all are there"
}
has_lines() { [ "$(wc -l <"$1")" -ge "$2" ]; }

upgrades() {
    local before control load failed
    before=$(pids)
    control=$(m pgrep -f 'control --root')
    : >"$work/answers"
    while [ ! -e "$work/enough" ]; do answer >>"$work/answers"; echo >>"$work/answers"; done &
    load=$!
    await "requests" has_lines "$work/answers" 20 || fail "no requests"
    package 2.0.0 >/dev/null
    upgrade_mattervisor m || fail "the upgrade fails"
    await "requests" has_lines "$work/answers" $(($(wc -l <"$work/answers") + 20)) || fail "no requests"
    touch "$work/enough"
    wait "$load"
    failed=$(grep -vc '^200$' "$work/answers" || true)
    say "upgrade under $(wc -l <"$work/answers") requests: $failed failed"
    [ "$failed" = 0 ] || fail "answers during the upgrade: $(sort "$work/answers" | uniq -c)"
    ready "the upgrade"
    [ "$(pids)" = "$before" ] || fail "the upgrade changed services: $before, $(pids)"
    [ "$(m pgrep -f 'control --root')" != "$control" ] || fail "the new version has not taken over"
}

stops() {
    local database server
    m systemctl stop mattervisor || fail "the stop fails"
    [ "$(unit Result) $(unit ActiveState)" = 'success inactive' ] || fail "stopped: $(unit Result), $(unit ActiveState)"
    ! runs m mattervisord mattervisor-acme mattervisor-backup postgres nginx mattermost sleep ||
        fail "something is left after the stop"
    ! m sh -c 'find /sys/fs/cgroup -path "*mattervisor*" -type d | grep .' >&2 || fail "groups are left"
    m sh -c 'ls /run/mattervisor/runs 2>/dev/null | grep .' >&2 && fail "records of runs are left"
    database=$(logged postgresql 'database system is shut down' | cut -d ' ' -f 1)
    server=$(logged mattermost . | cut -d ' ' -f 1)
    if [ -z "$database" ] || [ -z "$server" ]; then fail "a service has left no log"; fi
    [[ $server < $database ]] || fail "PostgreSQL ($database) had ended before Mattermost ($server)"
    m systemctl start mattervisor || fail "the start after a stop fails"
    ready "the start after a stop"
}

powers_off() {
    m systemctl --no-block poweroff
    wait_end m
    tail -n 3 "$(layer m)/var/log/mattervisor/postgresql/current" | grep -q 'database system is shut down' ||
        fail "PostgreSQL was not shut down at poweroff"
}

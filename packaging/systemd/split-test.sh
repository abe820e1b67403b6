#!/usr/bin/env bash
# Boots two machines with a network between them and makes them a split server by
# docs/split-server.md: GitLab (a stand-in) and the database on one, Mattermost and nginx on the
# other. Then a user signs on with GitLab, and the database goes away and comes back.
#
#   split-test.sh BINARIES TREE
#
# As boot-test.sh; BINARIES has gitlab (the stand-in) too.
set -euo pipefail

[ $# -eq 2 ] || { printf 'usage: %s BINARIES TREE\n' "$0" >&2; exit 2; }
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
repo=${here%/packaging/systemd}
binaries=$1 tree=$2
# shellcheck source=packaging/systemd/machine.sh
. "$here/machine.sh"

readonly gitlab=http://gitlab.example.com mattermost=http://mattermost.example.com
readonly token=glpat-of-the-administrator

is_ready() { [ "$(inside "$1" systemctl is-active mattervisor)" = active ]; }
ready() { await "$2" is_ready "$1" || fail "$2: not ready"; }
state_of() { inside "$1" ctl status "$2" | awk -v name="$2" '$1 == name { print $2 }'; }
has_state() { [ "$(state_of "$1" "$2")" = "$3" ]; }

# A browser on GitLab's machine, which reaches both. Prints where an answer leads, or its page.
browse() {
    in_network_of gitlab curl -s --max-time 20 --cookie-jar "$work/cookies" --cookie "$work/cookies" \
        --resolve gitlab.example.com:80:192.0.2.10 --resolve mattermost.example.com:80:192.0.2.20 \
        -H "Origin: $gitlab" "$@"
}
leads_to() { browse -o /dev/null -w '%{redirect_url}' "$@"; }
# All hidden fields of the form with button $1, as arguments of curl, one on a line.
fields() {
    tr -d '\n' | sed 's/<form /\n&/g' | grep ">$1</button>" | grep -o '<input type="hidden"[^>]*>' |
        sed -n 's/.*name="\([^"]*\)".*value="\([^"]*\)".*/\1=\2/p' | sed 's/&amp;/\&/g'
}
# Sends the form with button $3 of page $2 to address $1, with further fields; prints where it leads.
post() {
    local url=$1 page=$2 button=$3 line arguments=()
    shift 3
    while read -r line; do arguments+=(--data-urlencode "$line"); done < <(fields "$button" <<<"$page")
    for line in "$@"; do arguments+=(--data-urlencode "$line"); done
    leads_to "${arguments[@]}" "$url"
}

sets_up_the_database() {
    boot gitlab
    ready gitlab 'the database machine'
    inside gitlab ctl psql -q -d postgres -c "CREATE ROLE mattermost LOGIN PASSWORD 'PASSWORD'" \
        -c 'CREATE DATABASE mattermost_production OWNER mattermost' || fail "no database"
    ! runs gitlab nginx mattermost || fail "the database machine runs more than its own"
}

serves_mattermost() {
    boot chat
    ready chat "Mattermost's machine"
    [ "$(state_of chat mattermost)" = running ] || fail "mattermost: $(state_of chat mattermost)"
    ! runs chat postgres redis-server || fail "Mattermost's machine runs more than its own"
    [ "$(browse -o /dev/null -w '%{http_code}' "$mattermost/api/v4/system/ping?get_server_status=true")" = 200 ] ||
        fail "no answer over the network"
}

signs_on() {
    local page to
    inside chat sh -c "umask 077; echo $token >/root/token"
    inside chat ctl gitlab authorize --url "$gitlab" --token-file /root/token || fail "authorize fails"
    inside chat ctl reconfigure >/dev/null || fail "reconfigure fails"
    to=$(leads_to "$mattermost/oauth/gitlab/login")
    [[ $to = $gitlab/oauth/authorize?* ]] || fail "the button leads to $to"
    to=$(leads_to "$to")
    [ "$to" = "$gitlab/users/sign_in" ] || fail "GitLab sends the browser to $to"
    page=$(browse "$to")
    to=$(post "$to" "$page" 'Sign in' 'user[login]=alice' 'user[password]=stand-in-password')
    page=$(browse "$to")
    to=$(post "$gitlab/oauth/authorize" "$page" Authorize)
    [[ $to = $mattermost/signup/gitlab/complete?* ]] || fail "GitLab sends the browser back to $to"
    browse "$to" >/dev/null
    browse "$mattermost/api/v4/users/me" | grep -q '"username":"alice"' || fail "nobody is signed on"
}

loses_the_database_and_recovers() {
    local pid
    pid=$(inside chat pgrep -x mattermost)
    inside gitlab systemctl stop mattervisor
    await 'degraded' has_state chat mattermost degraded || fail "mattermost: $(state_of chat mattermost)"
    await 'the status line' status_names_mattermost ||
        fail "systemd's status does not say so"
    inside gitlab systemctl start mattervisor
    await 'recovered' has_state chat mattermost running || fail "mattermost: $(state_of chat mattermost)"
    [ "$(inside chat pgrep -x mattermost)" = "$pid" ] || fail "Mattermost was restarted"
}

status_names_mattermost() {
    inside chat systemctl show --property=StatusText --value mattervisor | grep -q 'degraded: mattermost'
}

need_nspawn
make_tree "$tree"
for machine in gitlab chat; do
    new_machine $machine "$tree"
    install_mattervisor $machine
    mkdir -p "$(layer $machine)/etc"
    printf '%s\n' '127.0.0.1 localhost' '192.0.2.10 gitlab.example.com db.example.com' \
        '192.0.2.20 mattermost.example.com' >"$(layer $machine)/etc/hosts"
done
connect gitlab 192.0.2.10/24 chat 192.0.2.20/24
# GitLab, by what stands in for its own package.
install -D -m 0755 "$binaries/gitlab" "$(layer gitlab)/opt/gitlab/bin/gitlab"
cat >"$(layer gitlab)/etc/systemd/system/gitlab.service" <<UNIT
[Service]
ExecStart=/opt/gitlab/bin/gitlab --listen 0.0.0.0:80
Environment=GITLAB_STANDIN_ROOT_TOKEN=$token
UNIT
ln -s /etc/systemd/system/gitlab.service "$(layer gitlab)/etc/systemd/system/multi-user.target.wants/"
site_file gitlab <<'SITE'
postgresql.enable = true
postgresql.listen_address = "0.0.0.0"
postgresql.md5_auth_cidr_addresses = ["192.0.2.20/32"]
SITE
install_mattermost chat
# The stand-in speaks no TLS to a database, so sslmode is not the document's.
site_file chat <<'SITE'
mattermost_external_url = "http://mattermost.example.com"
# Shut down GitLab services on the Mattermost server
gitlab_rails.enable = false
redis.enable = false
postgres_exporter.enable = false
grafana.enable = false
postgresql.enable = false
SITE
install -m 0600 /dev/null "$(layer chat)/etc/mattervisor/secrets.toml"
cat >"$(layer chat)/etc/mattervisor/secrets.toml" <<'SECRETS'
mattermost.sql_data_source = "postgres://mattermost:PASSWORD@db.example.com/mattermost_production?sslmode=disable"
SECRETS

hold sets_up_the_database serves_mattermost signs_on loses_the_database_and_recovers

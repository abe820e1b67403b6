#!/bin/sh
# Lays out what a package holds, below a directory: for the .deb, for the .rpm, and for a machine that
# has neither (DESTDIR is / then).
#
#   stage.sh BINARIES DESTDIR
#
# BINARIES is a directory that has mattervisord, ctl and the programs beside it, such as
# target/release. Conffiles are laid down only where there are none yet.
set -eu
umask 022
[ $# -eq 2 ] || { echo "usage: $0 BINARIES DESTDIR" >&2; exit 2; }
binaries=$1
root=${2%/}
packaging=$(cd "$(dirname "$0")" && pwd -P)
repo=$(dirname "$packaging")

program() { install -D -m 0755 "$1" "$root$2"; }
file() { install -D -m 0644 "$1" "$root$2"; }
# Each of them is named for its man page or shell, and goes to one directory.
files() {
    into=$1
    shift
    for each in "$@"; do
        if [ -e "$each" ]; then file "$each" "$into/${each##*/}"; fi
    done
}

program "$binaries/mattervisord" /usr/lib/mattervisor/mattervisord
program "$binaries/ctl" /usr/bin/mattervisorctl
for name in acme backup gitlab import top; do
    program "$binaries/mattervisor-$name" "/usr/lib/mattervisor/mattervisor-$name"
done
mkdir -p "$root/usr/sbin"
ln -sfn ../lib/mattervisor/mattervisord "$root/usr/sbin/mattervisord"

rm -rf "$root/usr/share/mattervisor/services.d"
mkdir -p "$root/usr/share/mattervisor"
cp -r "$repo/services.d" "$root/usr/share/mattervisor/services.d"
chmod -R u=rwX,go=rX "$root/usr/share/mattervisor/services.d"

mkdir -p "$root/etc/mattervisor/services.d"
if [ ! -e "$root/etc/mattervisor/mattervisor.toml" ]; then
    install -m 0640 "$packaging/mattervisor.toml" "$root/etc/mattervisor/mattervisor.toml"
fi

file "$packaging/systemd/mattervisor.service" /usr/lib/systemd/system/mattervisor.service
file "$packaging/sysusers.d/mattervisor.conf" /usr/lib/sysusers.d/mattervisor.conf
file "$packaging/tmpfiles.d/mattervisor.conf" /usr/lib/tmpfiles.d/mattervisor.conf

files /usr/share/man/man1 "$packaging"/man/*.1
files /usr/share/man/man5 "$packaging"/man/*.5
files /usr/share/man/man8 "$packaging"/man/*.8
# Those of the name `ctl` are put in place by the alternative of that name.
completions=$packaging/completions
file "$completions/mattervisorctl.bash" /usr/share/bash-completion/completions/mattervisorctl
file "$completions/_mattervisorctl" /usr/share/zsh/vendor-completions/_mattervisorctl
file "$completions/mattervisorctl.fish" /usr/share/fish/vendor_completions.d/mattervisorctl.fish
files /usr/share/mattervisor/completions "$completions/ctl.bash" "$completions/_ctl" "$completions/ctl.fish"

doc=/usr/share/doc/mattervisor
files "$doc" "$repo/README.md"
files "$doc/docs" "$repo"/docs/*.md
files "$doc/docs/reference" "$repo"/docs/reference/*.md

#!/usr/bin/env bash
# Makes packages of programs that are built already. ./dev package builds them first.
#
#   build.sh [--version VERSION] [--quick] [--deb] [--rpm] BINARIES OUTPUT
#
# BINARIES is a directory that has mattervisord, ctl and the programs beside it; OUTPUT gets the
# packages. Without --deb and --rpm it makes both. VERSION is that of Cargo.toml unless given;
# --quick compresses little. Prints the paths of what it has made.
set -euo pipefail
umask 022

usage() { sed -n 's/^#   //p' "$0" >&2; exit 2; }

packaging=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
repo=$(dirname "$packaging")
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$repo/Cargo.toml" | head -n 1)
quick='' kinds=()
while [ $# -gt 0 ]; do
    case $1 in
        --version) version=${2:?}; shift ;;
        --quick) quick=yes ;;
        --deb | --rpm) kinds+=("${1#--}") ;;
        -*) usage ;;
        *) break ;;
    esac
    shift
done
[ $# -eq 2 ] || usage
mkdir -p "$2"
binaries=$(cd -- "$1" && pwd -P)
output=$(cd -- "$2" && pwd -P)
[ ${#kinds[@]} -gt 0 ] || kinds=(deb rpm)
# The same files give the same package, whenever it is made.
SOURCE_DATE_EPOCH=$(git -C "$repo" log -1 --format=%ct 2>/dev/null || stat -c %Y "$repo/Cargo.toml")
export SOURCE_DATE_EPOCH

work=$(mktemp -d "$output/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Runs a tool that says much; shows it only if the tool fails.
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; }

deb() {
    mkdir "$work/deb"
    cp -r "$packaging/debian" "$work/deb/"
    # The LSB script is also that of sysvinit's users elsewhere.
    if [ -e "$packaging/sysvinit/mattervisor" ]; then
        cp "$packaging/sysvinit/mattervisor" "$work/deb/debian/mattervisor.init"
    fi
    cat >"$work/deb/debian/changelog" <<TEXT
mattervisor ($version-1) unstable; urgency=medium

  * Version $version; changelog.gz has what changed.

 -- Mattervisor maintainers <maintainers@mattervisor.invalid>  $(date -R -u -d "@$SOURCE_DATE_EPOCH")
TEXT
    export MATTERVISOR_SOURCE=$repo MATTERVISOR_BINARIES=$binaries
    export MATTERVISOR_DPKG_DEB=${quick:+-Zgzip -z1}
    (cd "$work/deb" && quietly dpkg-buildpackage -b -us -uc)
    mv "$work"/mattervisor_*.deb "$output/"
    printf '%s\n' "$output/mattervisor_${version}-1_$(dpkg --print-architecture).deb"
}

rpm() {
    mkdir "$work/rpm"
    local compression=w6.xzdio
    [ -z "$quick" ] || compression=w1.gzdio
    # Not the real root's: this machine's own database of packages is dpkg's.
    quietly rpmbuild -bb --define "_topdir $work/rpm" --define "_binary_payload $compression" \
        --define "mattervisor_version $version" --define "mattervisor_source $repo" \
        --define "mattervisor_binaries $binaries" --define 'use_source_date_epoch_as_buildtime 1' \
        --define 'clamp_mtime_to_source_date_epoch 1' "$packaging/rpm/mattervisor.spec"
    mv "$work"/rpm/RPMS/*/*.rpm "$output/"
    printf '%s\n' "$output/mattervisor-$version-1.$(command rpm --eval '%{_target_cpu}').rpm"
}

for kind in "${kinds[@]}"; do "$kind"; done

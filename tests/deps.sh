#!/bin/sh
# Installs the Debian packages that are missing, through apt, once, and names them. Silent where nothing is missing.
#   tests/deps.sh build [check]
set -eu

packages_of() {
    case $1 in
    build) echo gcc libc6-dev make pkg-config libhdf5-dev zlib1g-dev libyaml-dev libjansson-dev libxxhash-dev libexpat1-dev \
        libprotobuf-c-dev protobuf-c-compiler libsimgrid-dev ;;
    check) echo libcunit1-dev python3 python3-h5py python3-tables python3-h5netcdf python3-numpy python3-pandas \
        python3-xarray python3-matplotlib jupyter-nbconvert python3-ipykernel ;;
    *) echo "tests/deps.sh: unknown set $1" >&2; exit 1 ;;
    esac
}

wanted=$(for set in "$@"; do packages_of "$set"; done)
if ! command -v dpkg-query >/dev/null; then
    command -v pkg-config >/dev/null && command -v "${CC:-cc}" >/dev/null && exit 0
    echo "This is no Debian system. What is needed, under Debian's names:" $wanted >&2
    exit 1
fi
present=" $(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $wanted 2>/dev/null |
    sed -n 's/ installed$//p' | tr '\n' ' ')"
missing=
for package in $wanted; do
    case $present in *" $package "*) ;; *) missing="$missing $package" ;; esac
done
[ -n "$missing" ] || exit 0

sudo=
if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        sudo=sudo
    else
        echo "Packages are missing, and installing them needs root. Please run:" >&2
        echo "    apt-get update && apt-get install -y --no-install-recommends$missing" >&2
        exit 1
    fi
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
    echo "  $sudo apt-get $*"
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" </dev/null >"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        echo "apt-get failed; what is missing:$missing" >&2
        exit 1
    }
}
echo "Installing what is missing:"
apt update
apt install -y --no-install-recommends $missing

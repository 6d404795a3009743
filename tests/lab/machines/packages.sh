#!/bin/sh
# Install the programs that the lab's hosts are made of, through apt where one is missing (root).
set -eu
export DEBIAN_FRONTEND=noninteractive

# debian-archive-keyring: for engines of another Debian suite; python3-venv: for ministack;
# gpg: signs the packages of bare hosts; socat, curl: for tests.
packages="docker.io iptables iproute2 docker-registry busybox-static tini util-linux mount
    debian-archive-keyring python3-venv gpg gpg-agent socat curl"

# Debian 12 and Ubuntu 24.04 have the docker command line in docker.io. In Debian 13 it is a package of its own,
# which docker.io only recommends.
choose() {
    if apt-cache show docker-cli 2>/dev/null | grep -q '^Package:'; then
        echo $packages docker-cli
    else
        echo $packages
    fi
}

all_installed() {
    states=$(dpkg-query -W -f '${db:Status-Status}\n' $(choose) 2>/dev/null) || return 1
    ! echo "$states" | grep -qvx installed
}

call_apt() {
    apt-get -qq -o Acquire::Retries=5 -o DPkg::Lock::Timeout=120 "$@"
}

# A machine whose package lists were deleted does not know docker-cli, so the program itself is looked for too.
if ! all_installed || ! command -v docker >/dev/null; then
    call_apt update
    call_apt install -y --no-install-recommends $(choose) >/dev/null
fi

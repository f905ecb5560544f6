#!/bin/sh
# Gives a fresh Debian or Ubuntu what ./dev and the cluster need: in Codespaces, and on GitHub's runners.
# It is what `throwaway setup` names; a test compares the lists.
set -eu

packages="
    bind9-dnsutils
    busybox-static
    curl
    ipset
    iproute2
    iptables
    mount
    netcat-openbsd
    nftables
    python3-venv
    runc
    tcpdump
    uidmap
    util-linux
"
as_root=sudo
if [ "$(id -u)" = 0 ]; then
    as_root=
fi

$as_root apt-get update -qq
# shellcheck disable=SC2086 # one argument for each package
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null

# Ubuntu lets nobody but root have capabilities in a user namespace. In a container the host decides.
restriction=/proc/sys/kernel/apparmor_restrict_unprivileged_userns
if [ -e $restriction ] && [ "$(cat $restriction)" != 0 ]; then
    echo 0 | $as_root tee $restriction >/dev/null
fi

user=$(id -un)
if [ "$user" != root ] && ! grep -q "^$user:" /etc/subuid; then
    $as_root usermod --add-subuids 100000-165534 --add-subgids 100000-165534 "$user"
fi

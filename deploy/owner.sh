#!/bin/sh
# Prints the user and group of Docker Compose's services: 10001:10001, unless .env or the environment
# names others. `make api-key` makes them the owner of the keys file, which only its owner may read.
set -eu

named() {
    sed -n "s/^$1=\([0-9][0-9]*\)[[:space:]]*\$/\1/p" .env 2>/dev/null | tail -n 1
}

uid=${VITRINE_UID:-$(named VITRINE_UID)}
gid=${VITRINE_GID:-$(named VITRINE_GID)}
echo "${uid:-10001}:${gid:-10001}"

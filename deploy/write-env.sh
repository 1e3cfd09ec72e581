#!/bin/sh
# Writes the lines into .env that Docker Compose needs: `make env`. Existing lines stay.
set -eu
umask 077

if [ -e .env ]; then
    if grep -q '^QDRANT_API_KEY=.' .env; then
        echo ".env is there and has a QDRANT_API_KEY; nothing to do."
        exit 0
    fi
    echo "Adding to .env."
fi

key=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
uid=$(id -u)
gid=$(id -g)
# Never root, because the services need none of root's rights.
[ "$uid" -ne 0 ] || { uid=10001; gid=10001; }

cat >> .env <<END
# Written by "make env". All settings stand in .env.example.
QDRANT_API_KEY=$key
VITRINE_UID=$uid
VITRINE_GID=$gid
END
echo "Wrote QDRANT_API_KEY, VITRINE_UID and VITRINE_GID to .env."

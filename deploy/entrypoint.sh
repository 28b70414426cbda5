#!/bin/sh
# Numba reads compiled code only from a folder that it can also write to; on a read-only file
# system that is a temporary one, which begins with what the image brings.
set -eu
if [ -d "${SORAFEED_COMPILED:-}" ] && [ -n "${NUMBA_CACHE_DIR:-}" ]; then
    mkdir -p "$NUMBA_CACHE_DIR" || {
        echo "mount a tmpfs of 256 MiB at /tmp, or name another folder by NUMBA_CACHE_DIR" >&2
        exit 1
    }
    cp -R "$SORAFEED_COMPILED/." "$NUMBA_CACHE_DIR/"
fi
exec "$@"

#!/bin/sh
# Sets up .venv with the pinned requirements: `sh deploy/venv.sh [PYTHON]`. make's targets run it first.
# If the requirements' content, the folder and the Python are the same as last time, it does nothing. If
# .venv was cut short, was moved or lost its Python, it is made anew.
set -eu

# For these versions there are wheels of every pin. The tests run on 3.11.
oldest=11
newest=14

wanted=${1:-}
stamp=.venv/.installed

fits() {
    "$1" -c "import sys; sys.exit(not (3, $oldest) <= sys.version_info[:2] <= (3, $newest))" 2>/dev/null
}

version() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'
}

has_venv() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null
}

folder() {
    (cd .venv && pwd -P)
}

stamped() {
    { cat requirements*.txt constraints.txt client/pyproject.toml; folder; } | sha256sum | cut -d ' ' -f 1
}

fail() {
    echo "vitrine: $1" >&2
    exit 1
}

same_python() {
    [ -z "$wanted" ] || [ "$(version "$wanted")" = "$(version .venv/bin/python)" ]
}

if [ -n "$wanted" ]; then
    fits "$wanted" || fail "PYTHON=$wanted is no Python from 3.$oldest to 3.$newest"
fi

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(stamped)" ] \
    && .venv/bin/python -c '' 2>/dev/null && same_python; then
    exit 0
fi
rm -f "$stamp" "$stamp.new"

whole() {
    # In a moved environment pip's first line still names the old place.
    [ -d .venv ] && .venv/bin/python -m pip --version >/dev/null 2>&1 && fits .venv/bin/python \
        && grep -qF "$(folder)/bin/python" .venv/bin/pip && same_python
}

if whole; then
    echo "Bringing .venv up to the requirements."
else
    python=
    unready=
    for candidate in ${wanted:-python3.14 python3.13 python3.12 python3.11 python3}; do
        fits "$candidate" || continue
        if has_venv "$candidate"; then
            python=$candidate
            break
        fi
        unready=${unready:-$candidate}
    done
    if [ -z "$python" ] && [ -n "$unready" ]; then
        fail "$unready can make no virtual environments: sudo apt install python$(version "$unready")-venv"
    fi
    [ -n "$python" ] || fail "no Python from 3.$oldest to 3.$newest was found. On Debian 12 and 13 and \
Ubuntu 24.04: sudo apt install python3 python3-venv; on Ubuntu 22.04: sudo apt install python3.11 \
python3.11-venv. Or name one: make PYTHON=/path/to/python"
    echo "Setting up .venv with Python $(version "$python"): about 3.3 GB to download (most of it" \
        "PyTorch with CUDA), 6 GB on disk."
    "$python" -m venv --clear .venv
    echo "  asking what the packages need, for a minute or two"
fi
# Of pip's 500 lines, these are the steps that take time. Its errors and warnings go to stderr.
{
    .venv/bin/python -m pip install --progress-bar off --disable-pip-version-check \
        -r requirements-dev.txt && stamped > "$stamp.new"
} | while read -r line; do  # mawk, Debian's awk, would show them late
    case $line in
        *.metadata*) ;;
        "Downloading "*" "[MG]"B)") echo "  downloading ${line#Downloading }" ;;
        "Installing collected packages"*) echo "  installing them, for a minute or two" ;;
    esac
done
[ -f "$stamp.new" ] || exit 1
mv "$stamp.new" "$stamp"

#!/bin/sh
# venv.sh check            is there a Python that we can use?
# venv.sh REQUIREMENTS…    make .venv if it is missing, and install what the files list
set -eu
python=${PYTHON:-python3}
packages="apt-get install -y git make python3 python3-venv"

refuse() {
    echo "$1" >&2
    exit 2
}

if ! [ -x .venv/bin/python ] || [ "$1" = check ]; then
    command -v "$python" >/dev/null ||
        refuse "Python is missing ($python). As root: $packages"
    "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' ||
        refuse "$("$python" --version) does not do: 3.11, 3.12 or 3.13 is needed. Name one: make PYTHON=python3.11 …"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        refuse "Python's venv module is missing. As root: $packages"
fi
[ "$1" = check ] && exit 0

if ! [ -x .venv/bin/python ]; then
    echo "Making .venv …"
    "$python" -m venv .venv || refuse "$PWD/.venv cannot be made: the reason stands above."
fi
for file in "$@"; do
    echo "Installing what $file lists …"
    .venv/bin/python -m pip install -qq --disable-pip-version-check \
        --require-hashes --only-binary=:all: -r "$file" ||
        refuse "The packages of $file could not be installed: the reason stands above."
done

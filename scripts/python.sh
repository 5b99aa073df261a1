#!/bin/sh
# Prints the Python to use. That of the distribution comes first: it is built with profile-guided
# optimization, where one compiled by hand is often slower by a third (docs/benchmarks.md).
for python in /usr/bin/python3 python3; do
    if "$python" -c '
import sys, ensurepip, venv
sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
        echo "$python"
        exit 0
    fi
done
echo python3

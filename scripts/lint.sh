#!/bin/sh
# Style, import contracts, Django's own checks.
set -eu
bin=.venv/bin
$bin/ruff check .
$bin/lint-imports --no-logo
sh scripts/with_var.sh $bin/python manage.py makemigrations --check --dry-run
sh scripts/with_var.sh $bin/python manage.py check
$bin/hadolint --ignore DL3066 docker/Dockerfile

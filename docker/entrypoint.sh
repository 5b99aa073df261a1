#!/bin/sh
# The processes of the service by name. Each is one process that the container runtime supervises.
set -eu
cd /srv/voip
name="${1:-web}"
[ $# -eq 0 ] || shift
case "$name" in
prepare) # Once before the others, and after every update.
    exec python3 scripts/prepare.py "$@" ;;
web)
    exec python3 -m gunicorn voip_portal.wsgi:application -c python:voip_portal.supervisor.gunicorn_conf \
        --bind "0.0.0.0:${VOIP_WEB_PORT:-8000}" --workers "${VOIP_WEB_WORKERS:-2}" --threads 8 --worker-tmp-dir /dev/shm "$@" ;;
sipd) exec python3 manage.py sipd "$@" ;;
shipper) exec python3 manage.py shipper "$@" ;;
worker) exec python3 -m celery -A voip_portal.celery worker --loglevel INFO --without-gossip --without-mingle \
        --concurrency "${VOIP_WORKER_PROCESSES:-2}" "$@" ;;
beat) exec python3 -m celery -A voip_portal.celery beat --loglevel INFO --pidfile= "$@" ;;
*) exec "$name" "$@" ;;
esac

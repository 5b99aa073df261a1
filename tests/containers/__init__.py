"""The image and the compose file as an operator has them, without a daemon of containers: `make containers`.

buildah builds `docker/Dockerfile` as it is. podman starts the services of `docker/compose.yaml` in its
order and with its settings, in a network namespace of their own. `day.py` is an operator's day with them.
"""

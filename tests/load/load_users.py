"""Put the bench's users into a fresh portal database: `load_users.py USERS_DIR DOMAIN`."""

import csv
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voip_portal.settings")

import django

django.setup()

from voip_portal.lines.models import Device, DeviceSecret, Line  # noqa: E402
from voip_portal.nodes.services import ensure_deployment  # noqa: E402
from voip_portal.numbers.models import Address, Domain  # noqa: E402


def main(users_dir: str, domain_name: str) -> None:
    """SIPp speaks MD5 only, so that is what the domain offers."""
    ensure_deployment(realm=domain_name)
    domain = Domain.objects.create(name=domain_name, is_default=True, algorithms="MD5")
    with open(pathlib.Path(users_dir) / "users_load.csv", newline="") as file:
        rows = [r for r in csv.reader(file) if len(r) == 5 and r[0] != "username"]
    lines = Line.objects.bulk_create([Line(username=r[0]) for r in rows], batch_size=500)
    devices = Device.objects.bulk_create(
        [Device(line=line, label="bench") for line in lines], batch_size=500
    )
    DeviceSecret.objects.bulk_create(
        [
            DeviceSecret(device=device, ha1_md5=r[3], ha1_sha256=r[4])
            for device, r in zip(devices, rows, strict=True)
        ],
        batch_size=500,
    )
    Address.objects.bulk_create(
        [Address(domain=domain, kind="name", value=line.username, line=line) for line in lines],
        batch_size=500,
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

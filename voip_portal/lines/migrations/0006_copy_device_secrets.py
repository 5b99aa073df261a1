"""The secrets of all devices, revoked ones too, go to their own table; taken back, they return."""

from django.db import migrations

COPY = (
    "INSERT INTO lines_devicesecret (id, ha1_md5, ha1_sha256)"
    " SELECT id, ha1_md5, ha1_sha256 FROM lines_device"
)
COPY_BACK = (
    "UPDATE lines_device SET"
    " ha1_md5 = COALESCE("
    "(SELECT s.ha1_md5 FROM lines_devicesecret s WHERE s.id = lines_device.id), ''),"
    " ha1_sha256 = COALESCE("
    "(SELECT s.ha1_sha256 FROM lines_devicesecret s WHERE s.id = lines_device.id), '')"
)


class Migration(migrations.Migration):
    dependencies = [
        ("lines", "0005_device_secrets"),
    ]

    operations = [
        migrations.RunSQL(COPY, [COPY_BACK, "DELETE FROM lines_devicesecret"]),
    ]

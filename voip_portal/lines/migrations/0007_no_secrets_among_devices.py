"""The secrets are in their own table since 0006: whoever reads a device reads none."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("lines", "0006_copy_device_secrets"),
    ]

    operations = [
        migrations.RemoveField(model_name="device", name="ha1_md5"),
        migrations.RemoveField(model_name="device", name="ha1_sha256"),
    ]

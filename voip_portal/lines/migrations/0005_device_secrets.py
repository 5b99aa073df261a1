"""What verifies a device's secret gets a table of its own; 0006 fills it, 0007 drops the old columns."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("lines", "0004_suspended_with_owner"),
    ]

    operations = [
        migrations.CreateModel(
            name="DeviceSecret",
            fields=[
                (
                    "device",
                    models.OneToOneField(
                        db_column="id",
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="lines.device",
                    ),
                ),
                ("ha1_md5", models.CharField(editable=False, max_length=32)),
                ("ha1_sha256", models.CharField(editable=False, max_length=64)),
            ],
            options={
                "default_permissions": (),
            },
        ),
        # Nothing changes in the database: it is what the columns begin with if 0007 is taken back.
        migrations.AlterField(
            model_name="device",
            name="ha1_md5",
            field=models.CharField(default="", editable=False, max_length=32),
        ),
        migrations.AlterField(
            model_name="device",
            name="ha1_sha256",
            field=models.CharField(default="", editable=False, max_length=64),
        ),
    ]

from typing import Any

from django.db import migrations, models


def mark_those_of_suspended_owners(apps: Any, schema_editor: Any) -> None:
    """Until now resuming a person resumed every line of hers: it does for who is suspended today."""
    lines = apps.get_model("lines", "Line").objects.using(schema_editor.connection.alias)
    lines.filter(state="suspended", owner__is_active=False).update(suspended_with_owner=True)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_visible_names"),
        ("lines", "0003_names_that_read_differently"),
    ]

    operations = [
        migrations.AddField(
            model_name="line",
            name="suspended_with_owner",
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
        migrations.RunPython(
            mark_those_of_suspended_owners, migrations.RunPython.noop, elidable=True
        ),
    ]

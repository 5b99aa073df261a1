from typing import Any

from django.db import migrations

from voip_portal.accounts.text import folded

BATCH = 500


def fold_names(apps: Any, schema_editor: Any) -> None:
    """Write anew how names are searched: without accents."""
    people = apps.get_model("accounts", "User").objects.using(schema_editor.connection.alias)
    changed = []
    for user in people.exclude(name="").only("name").iterator(BATCH):
        user.name_folded = folded(user.name)
        changed.append(user)
    people.bulk_update(changed, ["name_folded"], BATCH)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_folded_names"),
    ]

    operations = [
        migrations.RunPython(fold_names, migrations.RunPython.noop, elidable=True),
    ]

from typing import Any

from django.db import migrations, models

from voip_portal.accounts.text import composed, folded

LONGEST = 100
BATCH = 500


def fold_names(apps: Any, schema_editor: Any) -> None:
    """Compose the names there are, and write how they are searched."""
    people = apps.get_model("accounts", "User").objects.using(schema_editor.connection.alias)
    changed = []
    for user in people.exclude(name="").only("name").iterator(BATCH):
        kept = composed(user.name)
        if len(kept) <= LONGEST:
            user.name = kept
        user.name_folded = folded(kept)
        changed.append(user)
    people.bulk_update(changed, ["name", "name_folded"], BATCH)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_visible_names"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="name_folded",
            field=models.TextField(blank=True, db_default="", default="", editable=False),
        ),
        migrations.RunPython(fold_names, migrations.RunPython.noop, elidable=True),
    ]

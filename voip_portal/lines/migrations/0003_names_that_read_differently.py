"""No two lines have names that read the same, also when both are chosen at once."""

from typing import Any

from django.db import migrations, models


def keep_one_of_each(apps: Any, schema_editor: Any) -> None:
    """Where two were given, both keep their names, and the older one guards what they look like."""
    lines = apps.get_model("lines", "Line").objects.using(schema_editor.connection.alias)
    older = lines.filter(skeleton=models.OuterRef("skeleton"), pk__lt=models.OuterRef("pk"))
    younger = lines.exclude(skeleton="").filter(models.Exists(older))
    lines.filter(pk__in=list(younger.values_list("pk", flat=True))).update(skeleton="")


class Migration(migrations.Migration):
    dependencies = [
        ("lines", "0002_visible_names"),
    ]

    operations = [
        migrations.RunPython(keep_one_of_each, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="line",
            constraint=models.UniqueConstraint(
                condition=models.Q(("skeleton", ""), _negated=True),
                fields=("skeleton",),
                name="line_reads_like_no_other",
            ),
        ),
    ]

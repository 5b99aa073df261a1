"""The names of all services that come with us are reserved, in every domain.

Whoever has one keeps it: that service is not loaded then, and `manage.py check`, the log and the admin
say whose name it is.
"""

from typing import Any

from django.db import migrations

NAMES = ("echo", "callback", "after-hours")


def reserve(apps: Any, schema_editor: Any) -> None:
    """Reserve what nobody has."""
    alias = schema_editor.connection.alias
    addresses = apps.get_model("numbers", "Address").objects.using(alias)
    for domain in apps.get_model("numbers", "Domain").objects.using(alias):
        for value in NAMES:
            addresses.get_or_create(
                domain=domain, value=value, defaults={"kind": "name", "state": "reserved"}
            )


class Migration(migrations.Migration):
    dependencies = [("numbers", "0002_addresses_in_lower_case")]

    operations = [migrations.RunPython(reserve, migrations.RunPython.noop)]

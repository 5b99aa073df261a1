"""Addresses are kept in lower case, as they are called: `Anna` beside `anna` was one address twice."""

from typing import Any

from django.core.management import CommandError
from django.db import migrations, models
from django.db.models.functions import Lower


def lower(apps: Any, schema_editor: Any) -> None:
    """Make the values that are there lower case, without taking an address from its holder."""
    addresses = apps.get_model("numbers", "Address").objects.using(schema_editor.connection.alias)
    lowered = addresses.annotate(low=Lower("value"))
    for address in lowered.exclude(value=models.F("low")).order_by("pk"):
        settle(addresses, address)


def settle(addresses: Any, address: Any) -> None:
    """Lower one value. Of two addresses that become one, that with a holder stays."""
    other = addresses.filter(domain=address.domain_id, value=address.low).first()
    if other is not None and address.line_id in (None, other.line_id):
        address.delete()
        return
    if other is not None and other.line_id is not None:
        raise CommandError(
            f"The addresses {address.value!r} and {other.value!r} have different holders and are one"
            " to callers: delete one of these rows of numbers_address, then migrate again."
        )
    if other is not None:
        other.delete()
    addresses.filter(pk=address.pk).update(value=address.low)


class Migration(migrations.Migration):
    dependencies = [
        ("lines", "0002_visible_names"),
        ("numbers", "0001_initial"),
    ]

    operations = [
        migrations.RunPython(lower, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="address",
            constraint=models.CheckConstraint(
                condition=models.Q(value=Lower(models.F("value"))),
                name="address_in_lower_case",
                violation_error_message="Enter the address in lower case.",
            ),
        ),
    ]

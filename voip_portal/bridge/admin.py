"""The admin's first page tells how the service is. It is here because it asks all the apps."""

from django.contrib import admin

admin.site.index_template = "bridge/admin_home.html"

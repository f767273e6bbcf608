"""Django's admin as an app, with a site of ours in the place of its own."""

from __future__ import annotations

from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig


class AdminConfig(DjangoAdminConfig):
    """What `@admin.register` registers with is ours as well."""

    # By name, for it stands further up the road.
    default_site = "accounts.admin_site.Site"

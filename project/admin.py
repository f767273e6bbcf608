"""Django's admin as an app, with our own site in place of its default."""

from __future__ import annotations

from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig


class AdminConfig(DjangoAdminConfig):
    """Makes our site the default one, with which `@admin.register` registers."""

    # By name: project/ may not import accounts/.
    default_site = "accounts.admin_site.Site"

"""Users in the admin, with their mobile number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.utils.translation import gettext_lazy as _

from accounts.models import User

if TYPE_CHECKING:
    Base = DjangoUserAdmin[User]
else:
    Base = DjangoUserAdmin


@admin.register(User)
class UserAdmin(Base):
    """Django's, with the mobile number."""

    fieldsets = (
        (None, {"fields": ("username", "mobile", "password")}),
        (_("Personal info"), {"fields": ("first_name", "last_name", "email")}),
        (_("Permissions"), {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        (_("Important dates"), {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("username", "mobile", "usable_password", "password1", "password2")}),
    )
    list_display = ("username", "mobile", "is_active", "is_staff", "last_login")
    search_fields = ("username", "mobile")

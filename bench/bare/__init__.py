"""The least that a page can cost: Django's template view behind Latchkey's own middleware and server."""

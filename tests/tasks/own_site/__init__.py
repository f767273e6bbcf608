"""An app as docs/own-site.md has it: tasks of its own, and a handler for what Huey reports."""

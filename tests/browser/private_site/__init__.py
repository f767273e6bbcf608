"""A site with pages that only their visitor may read, marked as docs/own-site.md has it."""

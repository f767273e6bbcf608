"""A site with views of its own, which say what they like."""

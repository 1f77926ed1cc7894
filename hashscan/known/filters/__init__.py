"""Filter files: builds, opens, checks, queries and patches them."""

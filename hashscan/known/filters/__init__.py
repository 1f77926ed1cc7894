"""Filter files: made, checked, asked."""

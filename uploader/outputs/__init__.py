"""Show and keep what became of the rows."""

"""Find the rows of the same person, and merge them into one request."""

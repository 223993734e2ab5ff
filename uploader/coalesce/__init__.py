"""Find rows that are one person's, and make one request of them."""

"""Write what became of the rows: the progress, the retry file, the summary."""

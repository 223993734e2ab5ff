"""Join the parts of one run: the one room that knows them all."""

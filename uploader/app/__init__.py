"""Do what each command asks: one module for each use case."""

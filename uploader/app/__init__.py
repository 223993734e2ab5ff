"""Run the commands: one module for each."""

"""Make a run of the parts: its plan, its journal, its connection, its results."""

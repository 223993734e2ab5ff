"""Summarize what a source holds before anything is sent."""

"""Draft a configuration from what a whole file holds: guesses, each with its reason."""

from uploader.inference.column_profile import looks_personal
from uploader.inference.file_profile import Look
from uploader.inference.mapping_guess import Draft, make_draft
from uploader.inference.yaml_text import Written, quoted, spell

__all__ = ["Draft", "Look", "Written", "looks_personal", "make_draft", "quoted", "spell"]

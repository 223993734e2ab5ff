"""Draft a configuration from what a whole file holds: guesses, each with its reason."""

from uploader.drafts.column import looks_personal
from uploader.drafts.draft import Draft, make_draft
from uploader.drafts.look import Look
from uploader.drafts.spelling import Written, quoted, spell

__all__ = ["Draft", "Look", "Written", "looks_personal", "make_draft", "quoted", "spell"]

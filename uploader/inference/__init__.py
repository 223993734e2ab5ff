"""Guess a configuration from all rows of a file, with a reason for each guess."""

from uploader.inference.column_profile import looks_personal
from uploader.inference.file_profile import FileProfile
from uploader.inference.mapping_guess import MappingGuess, guess_identities, guess_mapping
from uploader.inference.shared_values import SharedValues
from uploader.inference.yaml_text import SCHEMA_FILE, SourceText, property_line, quoted, spell

__all__ = [
    "SCHEMA_FILE",
    "FileProfile",
    "MappingGuess",
    "SharedValues",
    "SourceText",
    "guess_identities",
    "guess_mapping",
    "looks_personal",
    "property_line",
    "quoted",
    "spell",
]

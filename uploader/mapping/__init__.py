"""Turn a row into its request, or name the column that prevents it."""

from uploader.mapping.cleaning import Repairs
from uploader.mapping.compiled_plan import CleanedValue, Plan, compile_plan
from uploader.mapping.datetimes import Now
from uploader.mapping.field_paths import resolves

__all__ = ["CleanedValue", "Now", "Plan", "Repairs", "compile_plan", "resolves"]

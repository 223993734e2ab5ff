"""Turn a row into the request that says the same, or say which column prevents it."""

from uploader.mapping.cleaning import Repairs
from uploader.mapping.compiled_plan import Plan, compile_plan
from uploader.mapping.datetimes import Now
from uploader.mapping.field_paths import resolves

__all__ = ["Now", "Plan", "Repairs", "compile_plan", "resolves"]

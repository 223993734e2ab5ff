"""Turn a row into the request that says the same, or say which column prevents it."""

from uploader.mapper.moments import Now
from uploader.mapper.paths import resolves
from uploader.mapper.plan import Plan, compile_plan
from uploader.mapper.repairs import Repairs

__all__ = ["Now", "Plan", "Repairs", "compile_plan", "resolves"]

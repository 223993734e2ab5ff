"""Turn a row into the request that says the same, or say which column prevents it."""

from uploader.mapper.plan import Plan, compile_plan

__all__ = ["Plan", "compile_plan"]

"""Compile plans of profiles, which most tests are about."""

from functools import partial

from uploader.endpoints import USER_PROFILE
from uploader.mapping import compile_plan as plan_of_any_endpoint

compile_plan = partial(plan_of_any_endpoint, endpoint=USER_PROFILE)

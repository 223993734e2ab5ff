"""Upload files of customer profiles to Dfinery, at the pace its request limit allows."""

__version__ = "0.1.0"

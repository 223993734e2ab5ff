"""Rehearse against the API without the API: a server on loopback that answers as the documentation says, and judges."""

from uploader.sandbox.background import Running, running
from uploader.sandbox.box import Sandbox
from uploader.sandbox.clock import Clock
from uploader.sandbox.fault import FAULT_KINDS, Fault
from uploader.sandbox.profiles import Profile
from uploader.sandbox.report import Report, WindowCount
from uploader.sandbox.rules import Rules
from uploader.sandbox.server import serve
from uploader.sandbox.store import RequestRecord, Stray

__all__ = [
    "FAULT_KINDS",
    "Clock",
    "Fault",
    "Profile",
    "Report",
    "RequestRecord",
    "Rules",
    "Running",
    "Sandbox",
    "Stray",
    "WindowCount",
    "running",
    "serve",
]

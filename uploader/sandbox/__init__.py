"""A mock of the API: a server on loopback that replies as the documentation says, and checks every request."""

from uploader.sandbox.background_thread import RunningSandbox, running
from uploader.sandbox.customer_profiles import Profile
from uploader.sandbox.faults import FAULT_KINDS, Fault
from uploader.sandbox.http_server import serve
from uploader.sandbox.report import Report, WindowCount
from uploader.sandbox.service import Sandbox
from uploader.sandbox.settings import ReplyStyle, SandboxRules
from uploader.sandbox.sqlite_store import RequestRecord, RequestWindow, Stray

__all__ = [
    "FAULT_KINDS",
    "Fault",
    "Profile",
    "ReplyStyle",
    "Report",
    "RequestRecord",
    "RequestWindow",
    "RunningSandbox",
    "Sandbox",
    "SandboxRules",
    "Stray",
    "WindowCount",
    "running",
    "serve",
]

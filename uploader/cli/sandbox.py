"""Read the command line of `uploader sandbox`."""

import asyncio
import math
import os
import re
import ssl
import textwrap
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import click

from uploader.cli.signals import call_on_signal
from uploader.cli.standard_streams import say
from uploader.errors import ConfigError
from uploader.sandbox import FAULT_KINDS, Fault, ReplyStyle, Sandbox, SandboxRules, serve
from uploader.sandbox.faults import GRAMMAR
from uploader.sandbox.property_types import KINDS
from uploader.units import seconds_of

_CENTURY = 100 * 365 * 24 * 3600

_FAULTS_HELP = f"\b\nFaults, each written\n{textwrap.fill(GRAMMAR, 76)}:\n" + "\n".join(
    textwrap.fill(kind.does, 78, initial_indent=f"  {kind.usage:24} ", subsequent_indent=" " * 27)
    for kind in FAULT_KINDS.values()
)


def _seconds(_: click.Context, __: click.Parameter, text: str) -> float:
    seconds = seconds_of(text)
    if seconds is None:
        raise click.BadParameter(f"'{text}' is not a duration; write 20ms, 2s or 1m.")
    return seconds


def _limit(context: click.Context, parameter: click.Parameter, text: str) -> tuple[int, float]:
    requests, slash, per = text.partition("/")
    if not slash or not re.fullmatch("[0-9]{1,9}", requests):
        raise click.BadParameter(f"'{text}' is not a limit; write 10000/1m or 1000/10s.")
    seconds = _seconds(context, parameter, per)
    if seconds == 0:
        raise click.BadParameter(f"'{text}' has a window of no length; write 10000/1m or 1000/10s.")
    return int(requests), seconds


def _anchor(_: click.Context, __: click.Parameter, text: str) -> float | None:
    seconds = None if text == "first" else _number(text)
    if seconds == math.inf:
        raise click.BadParameter(f"'{text}' is neither 'first' nor seconds.")
    return seconds


def _skew(_: click.Context, __: click.Parameter, text: str) -> float:
    seconds = _number(text)
    # The Date header has a year of four digits.
    if abs(seconds) > _CENTURY:
        raise click.BadParameter(f"'{text}' is not a number of seconds, a century at most.")
    return seconds


def _number(text: str) -> float:
    """Return *text* as a number; infinity if it is none."""
    try:
        number = float(text)
    except ValueError:
        return math.inf
    return number if math.isfinite(number) else math.inf


def _faults(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> tuple[Fault, ...]:
    try:
        return tuple(Fault.parse(text) for text in texts)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _registered(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> dict[str, str | None] | None:
    names = {name: kind or None for name, _, kind in (text.partition(":") for text in texts)}
    for name, kind in names.items():
        if not name:
            raise click.BadParameter("a property without a name; write NAME or NAME:TYPE.")
        if kind is not None and kind not in KINDS:
            raise click.BadParameter(f"'{kind}' is not a type; choose from {', '.join(KINDS)}.")
    return names or None


@click.command("sandbox", epilog=_FAULTS_HELP)
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any free one.")
@click.option(
    "--limit",
    callback=_limit,
    default="10000/1m",
    show_default=True,
    metavar="N/DURATION",
    help="Requests in each window; one more locks the client out until the window resets.",
)
@click.option(
    "--anchor",
    callback=_anchor,
    default="0",
    show_default=True,
    metavar="SECONDS|first",
    help="When windows begin: at multiples of the window plus SECONDS, or with the first request.",
)
@click.option(
    "--limit-reply",
    type=click.Choice(["429", "40401"]),
    default="429",
    show_default=True,
    help="The limit's reply: HTTP 429, or code 40401.",
)
@click.option(
    "--latency",
    callback=_seconds,
    default="0ms",
    show_default=True,
    metavar="DURATION",
    help="Wait up to this long before each reply.",
)
@click.option(
    "--fault",
    "faults",
    callback=_faults,
    multiple=True,
    metavar="FAULT",
    help="A fault, see below; may be repeated.",
)
@click.option("--token", metavar="TOKEN", help="The only access token that is accepted.  [default: any]")
@click.option("--service-id", metavar="ID", help="The only service ID that is accepted.  [default: any]")
@click.option(
    "--register",
    "registered",
    callback=_registered,
    multiple=True,
    metavar="NAME[:TYPE]",
    help="A registered property; may be repeated.  [default: all are]",
)
@click.option(
    "--spelling",
    type=click.Choice(["both", "documented", "lower", "none"]),
    default="both",
    show_default=True,
    help="How the window's headers are spelled.",
)
@click.option(
    "--unit", type=click.Choice(["s", "ms"]), default="s", show_default=True, help="The unit of the reset header."
)
@click.option(
    "--clock-skew",
    callback=_skew,
    default="0",
    show_default=True,
    metavar="SECONDS",
    help="How far ahead the server's clock is.",
)
@click.option(
    "--certificate",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Serve https with this key and certificate (PEM).",
)
@click.option(
    "--store",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Store requests and profiles in this SQLite file.  [default: in memory]",
)
@click.option("--seed", type=int, default=0, show_default=True, help="The random seed of latency and faults.")
def sandbox(*, port: int, latency: float, limit: tuple[int, float], store: Path | None, **words: Any) -> int:  # noqa: ANN401 — click's own words
    """Serve the API of Dfinery on loopback until interrupted, then report what arrived.

    It follows the documentation of the API: it counts windows, checks tokens, types and names, and stores profiles
    and every request.
    """
    replies = ReplyStyle(**{each.name: words.pop(each.name) for each in fields(ReplyStyle)})
    rules = SandboxRules(limit=limit[0], per=limit[1], latency=(0.0, latency), replies=replies, **words)
    with Sandbox(rules, store) as service:
        asyncio.run(_serve(service, port))
        for line in service.report().lines():
            say(line)
    return 0


async def _serve(service: Sandbox, port: int) -> None:
    stop = asyncio.Event()
    call_on_signal(partial(asyncio.get_running_loop().call_soon_threadsafe, stop.set))
    try:
        async with serve(service, port=port) as url:
            say(f"The sandbox serves {url} until interrupted (Ctrl-C).")
            await stop.wait()
    except ssl.SSLError:
        raise ConfigError("The --certificate of the sandbox holds no key with its certificate, both as PEM.") from None
    except OSError as error:
        # asyncio's own message holds the address; its number gives the reason.
        why = os.strerror(error.errno) if error.errno else error.strerror
        raise ConfigError(f"The sandbox can't serve port {port}: {why}. Name another --port.") from None

"""Report the start and the end of a run to those who are not there: notifications, and metrics for Prometheus."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from uploader.config import Settings
from uploader.config.report_settings import EndpointAddress, ReportSettings
from uploader.errors import SignalledError
from uploader.outputs.endpoint_post import EndpointMessage, EndpointPost, EndpointReply, EndpointRoute, NotifyEndpoint
from uploader.outputs.metrics_file import write_metrics
from uploader.outputs.notification import ping_message, webhook_message
from uploader.run.environment import Environment
from uploader.run.events import Remark
from uploader.run.options import Options
from uploader.run.recorded_start import RecordedStart
from uploader.run.results import status_of
from uploader.run_record import RunRecord

LONGEST_SECONDS: Final = 9.5
"""How long the end of a run waits for all endpoints together: with what is around it, less than 10 s."""

_MOMENT_SECONDS: Final = 0.2
"""How long the threads of connections that were closed get to end."""


class RunReports:
    """Reports one run, by threads and files that change neither its status nor what it does.

    States: without settings, where the configuration is wrong; and started, once `begin` has the settings.
    """

    def __init__(self, start: RecordedStart, options: Options, environment: Environment) -> None:
        """Report nothing yet of *start*; what fails is said as a warning."""
        self.start = start
        self._options = options
        self._environment = environment
        self._settings: ReportSettings | None = None
        self._posts: list[EndpointPost] = []
        self._latest: dict[str, EndpointPost] = {}

    def begin(self, settings: Settings) -> None:
        """Report the start of the run, and which starts before it were killed, without waiting for an answer."""
        if self._options.sandbox:
            return
        self._settings = ReportSettings.of(settings)
        with self._warning():
            killed, running = self.start.newly_killed(), self.start.running
            self._post(self._settings, [*reversed(killed), running])
            self._write_metrics(self._settings.textfile, running)

    def end(self, record: RunRecord) -> None:
        """Report how the run ended, and wait for the answers: at most 10 s, and no longer than a signal leaves."""
        if self._options.sandbox:
            return
        try:
            self._end(record)
        except SignalledError:
            # The run is over, and has its end; who sends a signal does not want to wait.
            self._say("Warning: stopped before all notifications were answered. The run had ended.")

    def _end(self, record: RunRecord) -> None:
        with self._warning():
            try:
                settings = self._settings or self._readable_settings()
            except FileNotFoundError:
                # The working directory is gone, and with it what says where to report that.
                return
            self._write_metrics(settings.textfile, record)
            self._post(settings, [record])
            seconds = min(LONGEST_SECONDS, self._environment.seconds_left())
            failures = {reply.endpoint.key: reply for reply in replies_of(self._posts, seconds) if not reply.is_success}
            for reply in failures.values():
                self._say(f"Warning: {reply.endpoint.name} {reply.words}: a notification of this run is missing there.")

    def _post(self, settings: ReportSettings, records: Sequence[RunRecord]) -> None:
        environ = self._environment.environ
        webhook, ping = (
            endpoint_at(one, settings.ca_file) for one in (settings.webhook(environ), settings.ping(environ))
        )
        if webhook is not None:
            wanted = [webhook_message(webhook, record, settings.notify.on) for record in records]
            self._start([message for message in wanted if message is not None])
        if ping is not None:
            self._start([ping_message(ping, record) for record in records])

    def _start(self, messages: Sequence[EndpointMessage]) -> None:
        """Post *messages*, all for one endpoint, after those that it gets already."""
        if messages:
            key = messages[0].endpoint.key
            self._latest[key] = start_post(messages, after=self._latest.get(key))
            self._posts.append(self._latest[key])

    def _write_metrics(self, path: Path | None, record: RunRecord) -> None:
        if path is not None:
            try:
                write_metrics(path, record, is_limited=self._options.limit is not None)
            except OSError as error:
                self._say(f"Warning: metrics.textfile: {path} can't be written ({error.strerror}).")

    def _readable_settings(self) -> ReportSettings:
        options, environment = self._options, self._environment
        if environment.settings is not None:
            return ReportSettings.of(environment.settings)
        return ReportSettings.readable(options.config, overrides=options.overrides, environ=environment.environ)

    def _say(self, line: str) -> None:
        self._environment.events.remark(Remark(line, "warning"))

    @contextmanager
    def _warning(self) -> Iterator[None]:
        """Say in one line that a report failed, whatever the reason, and let the run be as it is."""
        try:
            yield
        except SignalledError:
            raise
        except Exception as error:  # noqa: BLE001 — a report that fails changes no run
            self._say(f"Warning: this run could not be reported ({type(error).__name__}).")


@contextmanager
def reported(start: RecordedStart, options: Options, environment: Environment) -> Iterator[RunReports]:
    """Enter *start*, and report its end once it has ended, however that was."""
    reports = RunReports(start, options, environment)
    try:
        with start:
            yield reports
    except BaseException as error:
        _report(reports, error)
        raise
    _report(reports, None)


def _report(reports: RunReports, error: BaseException | None) -> None:
    record = reports.start.ended
    if record is None:
        return
    status = record.exit_status if error is None else status_of(error)
    # What could not be written at the very end is the status of the process all the same.
    reports.end(record if record.exit_status == status else replace(record, exit_status=status))


def endpoint_at(address: EndpointAddress | None, ca_file: Path | None) -> NotifyEndpoint | None:
    """Return the endpoint at *address*; the authorities in *ca_file* are trusted as well."""
    if address is None:
        return None
    proxy = address.proxy
    way = EndpointRoute(ca_file=ca_file) if proxy is None else EndpointRoute(proxy.url, proxy.authorization, ca_file)
    return NotifyEndpoint(address.key, address.url, way)


def start_post(messages: Sequence[EndpointMessage], *, after: EndpointPost | None = None) -> EndpointPost:
    """Return a started post of *messages*, all for one endpoint; raises RuntimeError where there is no thread left."""
    post = EndpointPost(messages, seconds=LONGEST_SECONDS, after=after)
    post.start()
    return post


def replies_of(posts: Sequence[EndpointPost], seconds: float) -> list[EndpointReply]:
    """Return the replies to *posts*, for which it waits at most *seconds* in all."""
    until = time.monotonic() + seconds
    try:
        return [reply for post in posts for reply in post.replies(until)]
    finally:
        for post in posts:
            post.give_up()
        until = time.monotonic() + _MOMENT_SECONDS
        for post in posts:
            post.join(until - time.monotonic())

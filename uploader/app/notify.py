"""Send a test to each endpoint for notifications."""

from collections.abc import Mapping, Sequence

from uploader.config import Settings
from uploader.config.report_settings import ReportSettings
from uploader.errors import ConfigError
from uploader.outputs.endpoint_post import EndpointReply
from uploader.outputs.notification import trial_messages
from uploader.run.reports import LONGEST_SECONDS, endpoint_at, replies_of, start_post


def send_trials(settings: Settings, environ: Mapping[str, str]) -> Sequence[EndpointReply]:
    """Send a test to each endpoint of *settings*, and return how it answered within 10 s.

    Raises:
        ConfigError: there is no endpoint.
    """
    where = ReportSettings.of(settings)
    messages = trial_messages(
        endpoint_at(where.webhook(environ), where.ca_file), endpoint_at(where.ping(environ), where.ca_file)
    )
    if not messages:
        raise ConfigError(
            f"{settings.file} has no endpoint for notifications: write notify.url or notify.ping. "
            "A variable in them has to be set."
        )
    return replies_of([start_post([message]) for message in messages], LONGEST_SECONDS)

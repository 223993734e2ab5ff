"""A rehearsal is judged by a sandbox that knows the same limit, the same credentials and the same properties."""

import stat
from collections.abc import Callable

import pytest

from uploader.config import Settings
from uploader.run.sandbox_dry_run import sandbox_for, state_in, throwaway_folder
from uploader.sandbox import SandboxRules

Load = Callable[..., Settings]


def test_the_sandbox_enforces_what_the_configuration_says(settings: Load) -> None:
    with sandbox_for(settings("rate.requests=500", "rate.per=2s"), typed=False) as box:
        rules = box.rules

    assert rules == SandboxRules(
        limit=500, per=2.0, token="canary", service_id="svc", registered={"df_name": "string", "age": "long"}
    )


@pytest.mark.parametrize(("typed", "kind"), [(False, "string"), (True, None)])
def test_the_short_form_is_text_unless_the_source_brings_types(
    settings: Load, kind: str | None, *, typed: bool
) -> None:
    with sandbox_for(settings("mapping.properties.score=score"), typed=typed) as box:
        registered = box.rules.registered

    assert registered == {"df_name": kind, "age": "long", "score": kind}


def test_a_constant_is_text_whatever_the_source(settings: Load) -> None:
    with sandbox_for(settings("mapping.properties.channel={value: nightly}"), typed=True) as box:
        registered = box.rules.registered

    assert registered == {"df_name": None, "age": "long", "channel": "string"}


def test_what_is_registered_is_what_the_configuration_says_if_it_says_so(settings: Load) -> None:
    for overrides in ([], ["mapping.other_columns=send"]):
        with sandbox_for(settings("registered={df_name: string, age: Double}", *overrides), typed=False) as box:
            rules = box.rules

        assert (rules.registered, rules.refuses_misfits) == ({"df_name": "string", "age": "double"}, True)


def test_every_property_is_registered_where_all_columns_are_sent(settings: Load) -> None:
    with sandbox_for(settings("mapping.other_columns=send"), typed=False) as box:
        registered = box.rules.registered

    assert registered is None


def test_the_folder_of_a_rehearsal_is_new_empty_and_private() -> None:
    with throwaway_folder() as one, throwaway_folder() as other:
        found = [(stat.S_IMODE(folder.stat().st_mode), list(folder.iterdir())) for folder in (one, other)]

    assert (found, one != other) == ([(0o700, [])] * 2, True)


def test_a_rehearsal_leaves_its_retry_file_and_nothing_else() -> None:
    with throwaway_folder() as bare, throwaway_folder() as used:
        for folder in (bare, used):
            state_in(folder).mkdir()
        (used / "people.retry.csv").touch()

    left = list(used.iterdir())
    (used / "people.retry.csv").unlink()
    used.rmdir()
    assert (bare.exists(), left) == (False, [used / "people.retry.csv"])

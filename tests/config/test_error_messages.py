from collections.abc import Callable
from pathlib import Path

import pytest

from uploader.api import IDENTITY_FIELDS
from uploader.config import load
from uploader.config.property_rules import KINDS
from uploader.config.settings import Settings, keys_of, names_of
from uploader.errors import ConfigError

HINT = "indent with spaces, and quote a value that holds one of : # [ {"
URL = "write https://openapi.dfinery.ai"
DURATION = "is not a duration; write a number and its unit, as 500ms, 30s, 1m or 2h"
KEYS = (
    "the keys here are: api, source, registered, mapping, rate, retry, limits, guard, output, notify, metrics, "
    "log_format, when_changed, changed_only, full_every, coalesce, retry_last_failures, journal_days, state_dir"
)
PLAINTEXT = "would send the token unencrypted; only loopback hosts may have http://"
PLACEHOLDER = "has a placeholder other than {dir}, {stem} and {suffix}"
ANEW = "move it away and run `uploader init SOURCE` to write one, or name another with --config"
PATTERN = 'write for example "{dir}/{stem}.retry{suffix}"'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "config.yaml is empty: " + ANEW),
        ("# nothing\n", "config.yaml is empty: " + ANEW),
        (
            "- linnet\n",
            "config.yaml is not a mapping of keys to values: " + ANEW,
        ),
        (
            "linnet-token",
            "config.yaml is not a mapping of keys to values: " + ANEW,
        ),
        (
            "rate:\n  requests: 1: 2\n",
            f"config.yaml line 2, column 14: not YAML: mapping values are not allowed here; {HINT}",
        ),
        (
            "rate:\n\trequests: 1\n",
            f"config.yaml line 2, column 1: not YAML: found character '\\t' that cannot start any token; {HINT}",
        ),
        (
            "rate: {requests: 1\n",
            f"config.yaml line 2, column 1: not YAML: expected ',' or '}}', but got '<stream end>'; {HINT}",
        ),
        (
            "api:\n  access_token: *linnet\n",
            f"config.yaml line 2, column 17: not YAML: found undefined alias '…'; {HINT}",
        ),
        (
            "rate: {}\n---\nrate: {}\n",
            f"config.yaml line 2, column 1: not YAML: but found another document; {HINT}",
        ),
        ("rate:\n  per: 1\x07\n", "config.yaml line 2: not YAML: a control character; delete it"),
        (
            "rate: {}\nretry: {}\nrate: {}\n",
            "config.yaml line 3, column 1: this key was given before, on line 1; delete one",
        ),
        (
            "rate:\n  per: 1m\n  burst: 1\n  'per': 1m\n",
            "config.yaml line 4, column 3: this key was given before, on line 2; delete one",
        ),
        ("? [a]\n: b\n", "config.yaml line 1, column 3: a key must be one word, not a list or a section"),
        (
            "rate:\n  per: !!int 5\n",
            "config.yaml line 2, column 8: a tag (!) is not read here; delete it, or quote the value",
        ),
        (
            "rate: &a {per: 1m}\nretry:\n  <<: *a\n",
            "config.yaml line 3, column 3: the merge key << is not read; write the keys out",
        ),
        (
            "rate: &a\n  per: *a\n",
            "config.yaml line 1, column 7: an alias (*) repeats what it is a part of, or too much; write it out",
        ),
        (f"a: {'[' * 1000}", "config.yaml: not a configuration: its values are nested too deeply"),
    ],
)
def test_text_that_is_no_configuration_is_told_by_its_place(
    complaint: Callable[..., str], text: str, line: str
) -> None:
    assert complaint(text) == line


@pytest.mark.slow
def test_aliases_that_grow_without_end_are_refused(complaint: Callable[..., str]) -> None:
    doubling = "".join(f"k{n}: &k{n} [*k{n - 1}, *k{n - 1}]\n" for n in range(1, 40))

    assert "an alias (*) repeats what it is a part of, or too much" in complaint(f"k0: &k0 [a]\n{doubling}")


def test_a_missing_configuration_is_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    advice = "run `uploader init SOURCE` to write one, or name one with --config"

    for path, words in [
        (Path("config.yaml"), "no config.yaml here"),
        (tmp_path / "c.yaml", f"{tmp_path}/c.yaml does not exist"),
    ]:
        with pytest.raises(ConfigError) as caught:
            load(path, environ={})
        assert str(caught.value) == f"{words}: {advice}"


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, environ={})

    assert str(caught.value) == f"{tmp_path} can't be read (Is a directory): {ANEW}"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (b"rate:\n  per: \xff\n", "line 2: this is not UTF-8; save the file as UTF-8"),
        ("rate: {}".encode("utf-16"), "line 1: this is not UTF-8; save the file as UTF-8"),
        (
            b"#" * (1 << 20) + b"\n",
            "is larger than 1 MiB, which no configuration is: " + ANEW,
        ),
    ],
)
def test_bytes_that_are_no_text_are_refused(tmp_path: Path, written: bytes, words: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(written)

    with pytest.raises(ConfigError) as caught:
        load(file, environ={})

    assert str(caught.value) == f"{file} {words}"


@pytest.mark.parametrize(
    ("added", "line"),
    [
        ("rate: {request: 1}", "config.yaml line 7: rate.request is not a key; did you mean rate.requests?"),
        ("rate:\n  per: 1m\n  shar: 1", "config.yaml line 9: rate.shar is not a key; did you mean rate.share?"),
        ("Retry: {}", "config.yaml line 7: Retry is not a key; did you mean retry?"),
        ("timeout: 30s", "config.yaml line 7: timeout is not a key; did you mean api.timeout?"),
        ("column: a", "config.yaml line 7: column is not a key; did you mean mapping.request_datetime.column?"),
        (
            "format: a",
            "config.yaml line 7: format is not a key; did you mean source.format or mapping.request_datetime.format?",
        ),
        (
            "limits: {zzz: 1}",
            (
                "config.yaml line 7: limits.zzz is not a key; the keys of limits are: max_rejected, max_unpacked, "
                "canary, max_joined, tolerate, odd_identities"
            ),
        ),
        (
            "zzz: 1",
            f"config.yaml line 7: zzz is not a key; {KEYS}",
        ),
        (
            "folder: /",
            f"config.yaml line 7: folder is not a key; {KEYS}",
        ),
        ("rat:", "config.yaml line 7: rat is not a key; did you mean rate?"),
        ("rat: {a: '${UNSET}', b: }", "config.yaml line 7: rat is not a key; did you mean rate?"),
        ('"rate\\nx": 1', "config.yaml line 7: rate… is not a key; did you mean rate?"),
        (
            '"": 1',
            f"config.yaml line 7: … is not a key; {KEYS}",
        ),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_one(
    complaint: Callable[..., str], least: str, added: str, line: str
) -> None:
    assert complaint(f"{least}{added}\n") == line


@pytest.mark.parametrize(
    "place", [(), ("api",), ("rate",), ("retry",), ("source",), ("mapping",), ("mapping", "identity")]
)
def test_every_key_is_suggested_for_its_misspelling(
    complaint: Callable[..., str], least: str, place: tuple[str, ...]
) -> None:
    for key in keys_of(place):
        path = ".".join((*place, key))

        assert complaint(least, [f"{path}x=1"]) == f"--set {path}x is not a key; did you mean {path}?"


def test_every_section_knows_its_keys() -> None:
    plain = {
        "registered",
        "log_format",
        "when_changed",
        "changed_only",
        "full_every",
        "coalesce",
        "retry_last_failures",
        "journal_days",
        "state_dir",
    }
    sections = [name for name in names_of(Settings) if name not in plain]

    assert [section for section in sections if not keys_of((section,))] == []
    assert sorted(keys_of(("mapping", "identity"))) == sorted(IDENTITY_FIELDS)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("rate.requests=10k", "rate.requests: '10k' is not a whole number; write 10000"),
        ("rate.requests=1.5", "rate.requests: '1.5' is not a whole number; write 10000"),
        ("rate.requests=-1", "rate.requests: '-1' is not between 1 and 1000000000; write 10000"),
        ("rate.requests=[1]", "rate.requests: a list is not a whole number; write 10000"),
        ("rate.requests={a: 1}", "rate.requests: a section is not a whole number; write 10000"),
        ("rate.requests=", "rate.requests has no value; write one, or delete the key"),
        ("rate.burst=0", "rate.burst: '0' is not between 1 and 1000000000; write 16"),
        ("rate.concurrency=1001", "rate.concurrency: '1001' is not between 1 and 1000; write 32"),
        ("retry.attempts=none", "retry.attempts: 'none' is not a whole number; write 5"),
        ("journal_days=0", "journal_days: '0' is not between 1 and 36500; write 30"),
        ("rate.per=30", f"rate.per: '30' {DURATION}"),
        ("rate.per=1 m", f"rate.per: '1 m' {DURATION}"),
        ("rate.per=1M", f"rate.per: '1M' {DURATION}"),
        ("retry.cap=0s", "retry.cap: '0s' is not between 1ms and 8784h; write for example 30s"),
        ("retry.cap=9999h", "retry.cap: '9999h' is not between 1ms and 8784h; write for example 30s"),
        ("rate.share=0%", "rate.share: '0%' leaves nothing to use; write 95% or 0.95"),
        ("rate.share=101%", "rate.share: '101%' is more than the whole; write 10% or 0.1"),
        ("limits.max_rejected=10", "limits.max_rejected: '10' is more than the whole; write 10% or 0.1"),
        ("limits.canary=-1", "limits.canary: '-1' is not between 0 and 1000; write 20"),
        (
            "source.skip_lines=-1",
            "source.skip_lines: '-1' is not between 0 and 1000; write how many lines are above the header",
        ),
        ("limits.canary=few", "limits.canary: 'few' is not a whole number; write 20"),
        (
            "limits.max_joined=0",
            (
                "limits.max_joined: '0' is not a whole number from 1 on, or off; "
                "write 5, off, or for one field {phone_no: 50}"
            ),
        ),
        (
            "limits.max_joined={phone_no: many}",
            "limits.max_joined: a section is not a whole number from 1 on, or off; write 50 or off for each field",
        ),
        (
            "limits.max_joined={phone: 5}",
            (
                "limits.max_joined: a section names what is no identity field; "
                "write external_id, phone_no, email, kakao_user_id, line_user_id"
            ),
        ),
        ("limits.odd_identities=sent", "limits.odd_identities: 'sent' is not one of reject, send; did you mean send?"),
        ("limits.max_rejected=few", "limits.max_rejected: 'few' is not a share; write 10% or 0.1"),
        *(
            (
                f"limits.max_unpacked={found}",
                (
                    f"limits.max_unpacked: '{found}' is neither a multiple nor a size; "
                    "write 200x, or a size such as 500MB or 10GiB"
                ),
            )
            for found in ("0x", "200", "2.5x", "10XB", "0MB", "-1MB", "500 MB", "500mb", "much")
        ),
        ("rate={requests: 1}", "rate: requests times share is less than one request in a window; raise one of them"),
        ("source.format=csvv", "source.format: 'csvv' is not one of auto, csv, jsonl, parquet; did you mean csv?"),
        ("source.format=[]", "source.format: a list is not one of auto, csv, jsonl, parquet"),
        ("when_changed=stop", "when_changed: 'stop' is not one of fresh, refuse"),
        ("source.encoding=cp94", "source.encoding: 'cp94' is not a text encoding; did you mean cp949?"),
        ("source.encoding=base64", "source.encoding: 'base64' is not a text encoding; write auto, utf-8 or cp949"),
        ("source.encoding=idna", "source.encoding: 'idna' is not a text encoding; write auto, utf-8 or cp949"),
        ("source.encoding=[]", "source.encoding: a list is not a text encoding; write auto, utf-8 or cp949"),
        (
            "source.delimiter=||",
            'source.delimiter: \'||\' is not one ASCII character that can separate; write ",", ";", "|" or tab',
        ),
        (
            "source.delimiter=§",
            'source.delimiter: \'§\' is not one ASCII character that can separate; write ",", ";", "|" or tab',
        ),
        (
            "source.null_values=NULL",
            "source.null_values: 'NULL' is not a list; write it in brackets, for example [a, b]",
        ),
        (
            "source.null_values=[[]]",
            "source.null_values[0]: a list is not a text; write one value, an empty one as two quotes",
        ),
        ("source=csv", "source is not a section; write its keys below it, indented"),
        (
            "output.retry_file='{dir}/{name}'",
            f"output.retry_file: '{{dir}}/{{name}}' {PLACEHOLDER}; {PATTERN}",
        ),
        (
            "output.retry_file=x{stem!r}",
            f"output.retry_file: 'x{{stem!r}}' {PLACEHOLDER}; {PATTERN}",
        ),
        ("output.retry_file=a{dir", f"output.retry_file: 'a{{dir' has a brace without its other one; {PATTERN}"),
        ("output.retry_file=' '", f"output.retry_file: ' ' is not a path; {PATTERN}"),
        ("state_dir=~/state", "state_dir: '~/state' starts with ~, which only a shell knows; write ${HOME} for it"),
        (
            "state_dir=[]",
            "state_dir: a list is not a path; write one that is absolute or starts at the folder of this file",
        ),
        ("state_dir=${unset}/x", "state_dir: the variable unset is not set; run `export unset=…`"),
        (
            "state_dir=${a-b}",
            "state_dir: after ${ stands no NAME}; write ${NAME} for a variable, or $${ for a plain ${",
        ),
        ("api.service_id.x=1", "api.service_id.x is not a key: what stands above it is one value; set that instead"),
        ("api.base_url=linnet", f"api.base_url: its value is not a URL that starts with https:// and a host; {URL}"),
        (
            "api.base_url=ftp://linnet",
            f"api.base_url: its value is not a URL that starts with https:// and a host; {URL}",
        ),
        ("api.base_url=https://a b", f"api.base_url: its value is not a URL; {URL}"),
        ("api.base_url=https://[::1", f"api.base_url: its value is not a URL; {URL}"),
        ("api.base_url=https://a:99999", f"api.base_url: its value is not a URL; {URL}"),
        (
            "api.base_url=https://a:linnet@b",
            f"api.base_url: its value holds more than scheme, host and path (a user name, a ? or a #); {URL}",
        ),
        (
            "api.base_url=https://a?token=linnet",
            f"api.base_url: its value holds more than scheme, host and path (a user name, a ? or a #); {URL}",
        ),
        (
            "api.base_url=https://a#",
            f"api.base_url: its value holds more than scheme, host and path (a user name, a ? or a #); {URL}",
        ),
        *(
            (
                f"api.base_url={url}",
                f"api.base_url: its value {PLAINTEXT}; {URL}",
            )
            for url in ("http://linnet.example", "http://128.0.0.1", "http://localhost.evil.example", "http://[::2]")
        ),
        ("api.acces_token=linnet", "api.acces_token is not a key; did you mean api.access_token?"),
        (
            "api.access_token=linnet",
            (
                "api.access_token would show the token to anyone who lists processes; "
                "use api.access_token_file, or a variable: --set 'api.access_token=${NAME}'"
            ),
        ),
        ("api=linnet", "api is not a section; write its keys below it, indented"),
    ],
)
def test_a_bad_value_is_told_with_what_is_accepted(
    complaint: Callable[..., str], least: str, override: str, line: str
) -> None:
    assert complaint(least, [override]) == f"--set {line}"


@pytest.mark.parametrize(
    "override",
    ["linnet", "api.access_token:linnet==", "=linnet", "api..access_token=linnet", "a b=linnet", "a\x1b=linnet"],
)
def test_an_override_of_another_form_is_refused_without_an_echo(
    complaint: Callable[..., str], least: str, override: str
) -> None:
    assert complaint(least, [override]) == (
        "--set is not of the form key.path=value; write for example --set rate.requests=5000"
    )


def test_every_problem_is_told_on_a_line_of_its_own_in_the_order_of_the_file(
    complaint: Callable[..., str], least: str
) -> None:
    text = f"{least}retry: {{attempts: x}}\nrate:\n  burst: y\n  request: 1\n".replace("  identity:", "  identiti:")

    assert complaint(text).split("\n") == [
        "config.yaml line 5: mapping.identiti is not a key; did you mean mapping.identity?",
        "config.yaml line 7: retry.attempts: 'x' is not a whole number; write 5",
        "config.yaml line 9: rate.burst: 'y' is not a whole number; write 16",
        "config.yaml line 10: rate.request is not a key; did you mean rate.requests?",
    ]


def test_properties_whose_keys_do_not_fit_are_all_told_beside_values_that_do_not(
    complaint: Callable[..., str], least: str
) -> None:
    text = (
        f"{least}    df_birth: {{column: birth, format: '%Y-%m-%d'}}\n"
        "    df_push_optin: {column: push, type: string}\n"
        "    age: {column: age, type: lnog}\n"
        "    both: {column: a, value: b}\n"
        "    fine: {column: a, type: long}\n"
    ).replace("properties: {df_name: name}", "properties:\n    df_name: name")

    place = "mapping.properties"
    assert [line.removeprefix("config.yaml line ") for line in complaint(text).split("\n")] == [
        f"8: {place}.df_birth.format needs type: date or datetime; write it, or delete format",
        f"9: {place}.df_push_optin.type: a consent is a boolean; write boolean, or delete type",
        f"10: {place}.age.type: 'lnog' is not one of {', '.join(KINDS)}; did you mean long?",
        f"11: {place}.both has both column and value; give the one that it is made from",
    ]


def test_what_comes_from_a_variable_is_never_shown(complaint: Callable[..., str], least: str) -> None:
    environ = {"DFINERY_SERVICE_ID": "svc", "DFINERY_ACCESS_TOKEN": "linnet", "RATE": "linnet"}

    assert complaint(least + 'rate: {requests: "${RATE}0"}\n', environ=environ) == (
        "config.yaml line 7: rate.requests: what ${RATE}0 holds is not a whole number; write 10000"
    )


def test_a_doubled_dollar_says_a_plain_one(complaint: Callable[..., str], least: str) -> None:
    assert complaint(least + "when_changed: a$${RATE}\n") == (
        "config.yaml line 7: when_changed: 'a${RATE}' is not one of fresh, refuse"
    )


def test_a_value_as_long_as_a_token_is_not_repeated_and_a_short_one_stays_on_one_line(
    complaint: Callable[..., str], least: str
) -> None:
    for value, told in (("b" * 13, "its value"), ("a\\n\\e", r"'a\n\x1b'")):
        assert complaint(least + f'when_changed: "{value}"\n') == (
            f"config.yaml line 7: when_changed: {told} is not one of fresh, refuse"
        )

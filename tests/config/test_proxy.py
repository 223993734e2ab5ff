from collections.abc import Callable, Mapping

import pytest

from tests.make import ENVIRON, Load
from uploader.config import Proxy, proxy_to
from uploader.errors import ConfigError

SERVICE = "https://openapi.dfinery.ai"
URL = "http://proxy.example:3128"
FIRST = Proxy(URL, "api.proxy")


def found(environ: Mapping[str, str], service: str = SERVICE) -> str | None:
    """Return the URL of the proxy that *environ* names for *service*."""
    proxy = proxy_to(service, None, environ)
    return None if proxy is None else proxy.url


@pytest.mark.parametrize(
    ("written", "url", "authorization"),
    [
        (URL, URL, None),
        ("http://proxy.example:3128/", URL, None),
        ("https://proxy.example", "https://proxy.example", None),
        ("HTTP://Proxy.Example:3128", URL, None),
        ("http://[::1]:3128", "http://[::1]:3128", None),
        ("http://ann:linnet@proxy.example:3128", URL, "Basic YW5uOmxpbm5ldA=="),
        ("http://ann@proxy.example:3128", URL, "Basic YW5uOg=="),
        ("http://ann:lin%3Anet%40%EC%98%88@proxy.example:3128", URL, "Basic YW5uOmxpbjpuZXRA7JiI"),
        ("http://ann:lin@net@proxy.example:3128", URL, "Basic YW5uOmxpbkBuZXQ="),
    ],
)
def test_user_and_password_are_no_part_of_a_proxys_url(written: str, url: str, authorization: str | None) -> None:
    proxy = proxy_to(SERVICE, written, {})

    assert proxy == Proxy(url, "api.proxy", authorization)
    assert "Basic" not in repr(proxy)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("socks5://ann:linnet@host:1080", "is a SOCKS proxy, which is not supported; name an HTTP proxy"),
        ("SOCKS5h://host:1080", "is a SOCKS proxy"),
        ("host:3128", "is not a URL that starts with http:// or https:// and a host; write http://host:3128"),
        ("ftp://linnet@host", "is not a URL that starts with http:// or https:// and a host"),
        ("http://", "is not a URL that starts with http:// or https:// and a host"),
        ("http://ann:linnet@", "is not a URL that starts with http:// or https:// and a host"),
        ("http://host:0", "is not a URL that starts with http:// or https:// and a host"),
        ("http://ann:lin/net@host:3128", "is not a proxy's URL; write http://host:3128, or http://user:password@"),
        ("http://host:linnet", "is not a proxy's URL"),
        ("http://host:99999", "is not a proxy's URL"),
        ("http://[::1", "is not a proxy's URL"),
        ("http://ann:lin net@host", "is not a proxy's URL"),
        ("http://host/linnet", "has more than scheme, user, password, host and port"),
        ("http://host:3128?linnet", "has more than scheme, user, password, host and port"),
        ("http://host:3128/#linnet", "has more than scheme, user, password, host and port"),
    ],
)
def test_what_is_no_proxys_url_is_refused_without_being_shown(
    complaint: Callable[..., str], least: str, written: str, words: str
) -> None:
    line = complaint(least, ["api.proxy=${WAY}"], {**ENVIRON, "WAY": written})

    assert line.startswith("--set api.proxy: what ${WAY} holds ")
    assert words in line

    with pytest.raises(ConfigError) as caught:
        proxy_to(SERVICE, None, {"HTTPS_PROXY": written if "://" in written else f"ftp://{written}"})
    assert str(caught.value).startswith("the variable HTTPS_PROXY ")
    assert str(caught.value).endswith("; or name a proxy in api.proxy, or the service's host in NO_PROXY")
    assert "linnet" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_list_is_no_proxy(complaint: Callable[..., str], least: str) -> None:
    assert "api.proxy: its value is not a proxy's URL" in complaint(least.replace("api:\n", "api:\n  proxy: [a, b]\n"))


@pytest.mark.parametrize(
    "value", ["http://ann:linnet@host:3128", "http://linnet@host", "http://${USER}:linnet@host", "ann:linnet@host"]
)
def test_no_flag_takes_a_proxys_password(complaint: Callable[..., str], least: str, value: str) -> None:
    assert complaint(least, [f"api.proxy={value}"]) == (
        "--set api.proxy would show a password to anyone who lists processes; use a variable: --set 'api.proxy=${NAME}'"
    )


def test_a_flag_takes_a_proxy_whose_password_is_in_the_environment(loaded: Load, least: str) -> None:
    environ = {**ENVIRON, "WAY": URL, "PASSWORD": "linnet", "USER": "ann"}

    for value in ("${WAY}", URL, "http://${USER}:${PASSWORD}@proxy.example:3128", "http://${USER}@proxy.example:3128"):
        settings = loaded(least, f"api.proxy={value}", environ=environ)

        proxy = proxy_to(SERVICE, settings.api.proxy, {})
        assert proxy is not None
        assert proxy.url == URL


def test_the_password_of_a_proxy_is_in_no_text_of_the_settings(loaded: Load, least: str) -> None:
    settings = loaded(least.replace("api:\n", "api:\n  proxy: http://ann:linnet@host:3128\n"))

    assert "linnet" not in repr(settings) + str(settings)


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, None),
        ({"HTTPS_PROXY": URL}, URL),
        ({"https_proxy": URL}, URL),
        ({"https_proxy": URL, "HTTPS_PROXY": "http://other:1"}, URL),
        ({"https_proxy": "", "HTTPS_PROXY": "http://other:1"}, None),
        ({"HTTPS_PROXY": "proxy.example:3128"}, URL),
        ({"HTTPS_PROXY": f" {URL} "}, URL),
        ({"HTTP_PROXY": URL, "http_proxy": URL}, None),
        ({"ALL_PROXY": URL}, URL),
        ({"all_proxy": URL, "HTTPS_PROXY": "http://other:1"}, "http://other:1"),
        ({"ALL_PROXY": "socks5://host:1080", "HTTPS_PROXY": URL}, URL),
    ],
)
def test_the_environment_names_the_proxy_as_with_other_programs(environ: Mapping[str, str], url: str | None) -> None:
    assert found(environ) == url


def test_the_configuration_has_precedence_over_the_environment() -> None:
    environ = {"HTTPS_PROXY": "socks5://host:1080", "NO_PROXY": "*"}

    assert proxy_to(SERVICE, URL, environ) == FIRST


@pytest.mark.parametrize(
    "service", ["http://127.0.0.1:8080", "https://localhost:1", "https://127.8.9.1", "http://[::1]:80"]
)
@pytest.mark.parametrize(
    "environ", [{"HTTPS_PROXY": URL}, {"ALL_PROXY": URL, "HTTP_PROXY": URL}, {"HTTPS_PROXY": "??"}]
)
def test_this_machine_is_never_reached_through_a_proxy(service: str, environ: Mapping[str, str]) -> None:
    assert proxy_to(service, None, environ) is None
    assert proxy_to(service, URL, environ) is None


@pytest.mark.parametrize(
    ("exceptions", "service", "excepted"),
    [
        ("*", SERVICE, True),
        ("openapi.dfinery.ai", SERVICE, True),
        ("OpenAPI.Dfinery.AI.", SERVICE, True),
        ("dfinery.ai", SERVICE, True),
        (".dfinery.ai", SERVICE, True),
        ("*.dfinery.ai", SERVICE, True),
        ("other.example, dfinery.ai", SERVICE, True),
        ("other.example dfinery.ai", SERVICE, True),
        ("finery.ai", SERVICE, False),
        ("api.openapi.dfinery.ai", SERVICE, False),
        ("ai", SERVICE, True),
        ("", SERVICE, False),
        (",, .,", SERVICE, False),
        ("openapi.dfinery.ai:443", SERVICE, True),
        ("openapi.dfinery.ai:444", SERVICE, False),
        ("openapi.dfinery.ai:444", f"{SERVICE}:444", True),
        ("*:443", SERVICE, True),
        ("openapi.dfinery.ai:https", SERVICE, False),
        ("10.1.2.3", "https://10.1.2.3", True),
        ("10.1.2.3:443", "https://10.1.2.3", True),
        ("10.1.2.3:8443", "https://10.1.2.3", False),
        ("10.0.0.0/8", "https://10.1.2.3", True),
        ("10.0.0.1/8", "https://10.1.2.3", True),
        ("10.0.0.0/8", "https://11.1.2.3", False),
        ("10.0.0.0/99", "https://10.1.2.3", False),
        ("0.0.0.0/0", SERVICE, False),
        ("2.3", "https://10.1.2.3", False),
        ("fd00::/8", "https://[fd00::1]", True),
        ("[fd00::1]", "https://[fd00::1]", True),
        ("[fd00::1]:443", "https://[fd00:0::1]", True),
        ("fd00::1", "https://[fd00::1]", True),
        ("fd00::2", "https://[fd00::1]", False),
    ],
)
def test_no_proxy_excepts_what_it_lists(exceptions: str, service: str, excepted: bool) -> None:  # noqa: FBT001 — one of the cases
    assert (found({"HTTPS_PROXY": URL, "NO_PROXY": exceptions}, service) is None) is excepted
    assert (found({"HTTPS_PROXY": URL, "no_proxy": exceptions, "NO_PROXY": "*"}, service) is None) is excepted

"""One service is one, however its URL is spelled."""

import pytest

from uploader.config.service_url import base_url, one_spelling
from uploader.run.fingerprints import service_of


@pytest.mark.parametrize(
    ("spelling", "canonical"),
    [
        ("https://openapi.dfinery.ai", "https://openapi.dfinery.ai"),
        ("HTTPS://OpenAPI.Dfinery.AI/", "https://openapi.dfinery.ai"),
        ("https://openapi.dfinery.ai:443//", "https://openapi.dfinery.ai"),
        ("https://openapi.dfinery.ai.:443", "https://openapi.dfinery.ai"),
        ("https://openapi.dfinery.ai:", "https://openapi.dfinery.ai"),
        ("https://openapi.dfinery.ai:80", "https://openapi.dfinery.ai:80"),
        ("https://openapi.dfinery.ai/Path/", "https://openapi.dfinery.ai/Path"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("HTTP://localhost:8080/", "http://127.0.0.1:8080"),
        ("http://LOCALHOST:80", "http://127.0.0.1"),
        ("http://127.0.0.2:8080", "http://127.0.0.2:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://[0:0:0:0:0:0:0:1]:80", "http://[::1]"),
    ],
)
def test_a_service_has_one_quota_under_all_spellings_of_its_url(spelling: str, canonical: str) -> None:
    url = base_url(spelling)

    assert one_spelling(url) == canonical
    assert service_of(url, "shop") == service_of(canonical, "shop")


def test_what_was_kept_under_the_usual_spelling_is_still_found() -> None:
    assert service_of("https://openapi.dfinery.ai", "shop") == "0688d59ead4e2a0123b70885"

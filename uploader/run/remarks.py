"""Word what a run remarks about itself."""

from collections.abc import Iterator

from uploader.run.proxy_and_certificates import Route


def route_lines(route: Route) -> Iterator[str]:
    """Yield how the service is reached, without the user and password of a proxy; nothing for this machine itself."""
    if route.proxy is not None:
        yield f"The service is reached through the proxy {route.proxy.url} ({route.proxy.named})."
    elif not route.is_local:
        yield "The service is reached without a proxy."
    if route.ca_file is not None:
        yield f"The certificate authorities in {route.ca_file} (api.ca_file) are trusted."


def row_by_row_line(name: str, why: str) -> str:
    """Return the line that says *why* the source called *name* is read row by row though it is large."""
    return f"{display_name(name)}: read row by row, which takes longer than in batches: {why}."


def display_name(source: str) -> str:
    """Return the name of *source* for people."""
    return "standard input" if source == "-" else source

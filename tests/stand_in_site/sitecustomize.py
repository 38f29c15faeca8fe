"""Sends every request for yahoo.com to a local server instead.

Python imports this by itself when the folder is on PYTHONPATH, so that the installed command can
be tested whole: set LSTMCLI_TEST_YAHOO to the server's URL. In-process tests call `redirect`.
"""

import os
from typing import Any
from urllib.parse import urlsplit


def redirect(server: str) -> Any:
    """Rewrite yahoo.com in curl_cffi's sessions; returns what was there before."""
    from curl_cffi.requests import Session

    original = Session.request

    def request(self: Any, method: Any, url: str, *args: Any, **options: Any) -> Any:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if host == "yahoo.com" or host.endswith(".yahoo.com"):
            query = f"?{parts.query}" if parts.query else ""
            url = f"{server}/{host}{parts.path}{query}"
        elif host != "127.0.0.1":
            raise AssertionError(f"a test asks {host}")
        return original(self, method, url, *args, **options)

    Session.request = request  # type: ignore[method-assign]
    return original


if os.environ.get("LSTMCLI_TEST_YAHOO"):
    redirect(os.environ["LSTMCLI_TEST_YAHOO"])

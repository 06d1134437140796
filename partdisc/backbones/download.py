"""Fetch a published file once, even over a bad connection."""

import http.client
import pathlib
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable

from partdisc.errors import WeightsError

_ATTEMPTS = 5
_TIMEOUT = 30.0  # seconds without a byte


def download(url: str, path: pathlib.Path, check: Callable[[pathlib.Path], None]) -> None:
    """Fetch a file; `path` appears only once it is complete and right.

    What has arrived is kept in `<path>.part`, and resumed from there: by the next attempt at
    once if the connection breaks, or by the next call.

    Args:
      url: of the file.
      path: where to put it; the folder is made.
      check: is given the complete file, and raises if it is wrong; then it is deleted.

    Raises:
      WeightsError: no connection, or it broke too often; says how to do it by hand.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(_ATTEMPTS):
            if _fetch(url, part):
                break
        else:
            raise OSError("the connection broke too often; what arrived is kept")
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise WeightsError(
            f"cannot download {url} ({reason}): put that file at {path} by hand, or set "
            "backbone.weights=random for a try-out"
        ) from error
    try:
        check(part)
    except WeightsError:
        part.unlink()
        raise
    part.replace(path)


def _fetch(url: str, part: pathlib.Path) -> bool:
    """Append to `part` what it still lacks, and say whether it is complete."""
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return True  # there is nothing after `start`
        raise
    with response:
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            start = 0  # the server sends all of it again
        length = response.headers["Content-Length"]
        with open(part, "r+b" if start else "wb") as file:
            file.seek(start)
            try:
                shutil.copyfileobj(response, file)
            except (ConnectionError, TimeoutError, http.client.IncompleteRead):
                return False
            # A connection that closes early looks like the end of the file.
            return length is None or file.tell() == start + int(length)

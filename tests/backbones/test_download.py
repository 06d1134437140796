"""Downloads from a server that breaks connections, knows no ranges or sends the wrong bytes."""

import hashlib
import http.server
import threading

import h5py
import numpy as np
import pytest

from partdisc.backbones import backbone, load_weights, published
from partdisc.backbones.download import download
from partdisc.errors import WeightsError


class Server:
    """Serves `content`; cuts each answer after `cut` bytes; knows ranges if `ranges`."""

    def __init__(self, content: bytes, *, cut: int | None = None, ranges: bool = True):
        self.starts: list[int] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked = self.headers["Range"]
                start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and ranges else 0
                server.starts.append(start)
                if start >= len(content):
                    self.send_error(416)
                    return
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                self.wfile.write(content[start:][:cut])

            def log_message(self, *_):
                pass

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/file.h5"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


CONTENT = bytes(range(256)) * 1000


def _check(path):
    if path.read_bytes() != CONTENT:
        raise WeightsError("wrong hash")


def test_download(tmp_path):
    path = tmp_path / "deep" / "file.h5"
    with Server(CONTENT) as server:
        download(server.url, path, _check)
    assert path.read_bytes() == CONTENT and server.starts == [0]
    assert [p.name for p in path.parent.iterdir()] == ["file.h5"]


@pytest.mark.parametrize("ranges", [True, False])
def test_download_resumes_when_the_connection_breaks(tmp_path, ranges):
    path = tmp_path / "file.h5"
    with Server(CONTENT, cut=100_000, ranges=ranges) as server:
        if ranges:
            download(server.url, path, _check)
            assert path.read_bytes() == CONTENT
            assert server.starts == [0, 100_000, 200_000]
        else:
            with pytest.raises(WeightsError, match="broke too often"):
                download(server.url, path, _check)
            assert not path.exists() and set(server.starts) == {0}


def test_download_resumes_what_an_earlier_call_left(tmp_path):
    path, part = tmp_path / "file.h5", tmp_path / "file.h5.part"
    part.write_bytes(CONTENT[:1234])
    with Server(CONTENT) as server:
        download(server.url, path, _check)
    assert path.read_bytes() == CONTENT and server.starts == [1234]

    path.rename(part)  # complete, but stopped before the check
    with Server(CONTENT) as server:
        download(server.url, path, _check)
    assert path.read_bytes() == CONTENT and server.starts == [len(CONTENT)]

    part.write_bytes(b"?" * 2000)  # a server without ranges sends all of it again
    path.unlink()
    with Server(CONTENT, ranges=False) as server:
        download(server.url, path, _check)
    assert path.read_bytes() == CONTENT and not part.exists()


def test_download_of_the_wrong_bytes_leaves_nothing(tmp_path):
    with Server(CONTENT[::-1]) as server, pytest.raises(WeightsError, match="wrong hash"):
        download(server.url, tmp_path / "file.h5", _check)
    assert list(tmp_path.iterdir()) == []


def test_automatic_weights_are_downloaded_once_and_checked(tmp_path, monkeypatch):
    net = backbone("vgg16", "pool3")
    params = load_weights(net, "random", seed=0).params
    with h5py.File(tmp_path / "source.h5", "w") as file:
        for name, array in params.items():
            layer, kind = name.split("/")
            file[f"block{layer[4]}_conv{layer[6]}/{kind}:0"] = np.asarray(array)
    content = (tmp_path / "source.h5").read_bytes()
    cache = tmp_path / "cache" / "partdisc"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parent))
    monkeypatch.delenv("PARTDISC_WEIGHTS", raising=False)

    with Server(content, cut=len(content) // 2) as server:
        known = published.DOWNLOADS["vgg16"]._replace(url=server.url)
        monkeypatch.setitem(published.DOWNLOADS, "vgg16", known)
        with pytest.raises(WeightsError, match="md5 .* but the published"):
            load_weights(net, "", seed=0)
        assert list(cache.iterdir()) == []

        known = known._replace(digest=hashlib.md5(content).hexdigest())
        monkeypatch.setitem(published.DOWNLOADS, "vgg16", known)
        found = load_weights(net, "", seed=0)
        requests = len(server.starts)
        load_weights(net, "", seed=0)
        assert len(server.starts) == requests
    assert [path.name for path in cache.iterdir()] == [known.file]
    for name in params:
        np.testing.assert_array_equal(found.params[name], params[name], err_msg=name)

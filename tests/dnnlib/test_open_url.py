"""open_url against a server on this machine that fails in every way servers do."""

import http.server
import os
import threading

import pytest

from dnnlib import util

CONTENT = bytes(range(256)) * 40


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        count = self.server.requests.count(self.path)
        if self.path.startswith('/missing') or self.path.startswith('/flaky') and count < 3:
            self.send_error(404 if 'missing' in self.path else 503)
            return
        self.send_response(200)
        self.send_header('Content-Length', str(len(CONTENT)))
        if self.path.startswith('/named'):
            self.send_header('Content-Disposition', 'attachment; filename="../odd name.pkl"')
        self.end_headers()
        broken = self.path.startswith('/cut') and count < 2 or self.path.startswith('/always-cut')
        self.wfile.write(CONTENT[:1000] if broken else CONTENT)

    def log_message(self, *args):
        pass


@pytest.fixture(scope='module')
def running_server():
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=0.01))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def server(running_server, tmp_path, monkeypatch):
    monkeypatch.setattr(util.time, 'sleep', lambda seconds: None)
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')
    monkeypatch.setenv('DNNLIB_CACHE_DIR', str(tmp_path / 'cache'))
    monkeypatch.setattr(util, '_cache_dir', None)
    running_server.requests = []
    running_server.url = f'http://127.0.0.1:{running_server.server_port}'
    return running_server


def kept(tmp_path):
    folder = tmp_path / 'cache' / 'downloads'
    return os.listdir(folder) if folder.exists() else []


def test_downloads_once_and_keeps_the_file(server, tmp_path, capsys):
    url = f'{server.url}/folder/net.pkl?key=1'
    for _ in range(2):
        with util.open_url(url) as file:
            assert file.read() == CONTENT
    assert len(server.requests) == 1
    path = util.open_url(url, return_filename=True)
    assert [os.path.basename(path)] == kept(tmp_path) and path.endswith('_net.pkl')
    assert open(path, 'rb').read() == CONTENT
    assert url in capsys.readouterr().err
    util.open_url(url, cache_dir=str(tmp_path / 'other'), verbose=False).close()
    assert len(server.requests) == 2 and len(os.listdir(tmp_path / 'other')) == 1
    assert capsys.readouterr() == ('', '')


def test_a_terminal_is_told_how_much_is_there(server, monkeypatch, capsys):
    monkeypatch.setattr(util.sys.stderr, 'isatty', lambda: True)
    util.open_url(f'{server.url}/x').close()
    size = len(CONTENT) / 1e6
    assert capsys.readouterr().err == f'Downloading {server.url}/x\n\r{size:.0f} of {size:.0f} MB\n'


def test_without_the_cache_nothing_is_kept(server, tmp_path):
    for _ in range(2):
        assert util.open_url(f'{server.url}/x', cache=False).read() == CONTENT
    assert len(server.requests) == 2 and kept(tmp_path) == []


@pytest.mark.parametrize('path, requests', [('/flaky', 3), ('/cut', 2)])
def test_tries_again(server, tmp_path, path, requests):
    assert util.open_url(server.url + path).read() == CONTENT
    assert len(server.requests) == requests and len(kept(tmp_path)) == 1


@pytest.mark.parametrize('path, requests, words', [
    ('/missing', 1, 'the server answers 404'), ('/always-cut', 4, 'after 4 attempts'), ('/flaky', 2, '503')])
def test_gives_up_in_one_sentence_and_leaves_no_half_file(server, tmp_path, path, requests, words):
    with pytest.raises(OSError, match=words) as caught:
        util.open_url(server.url + path, num_attempts=min(requests + (requests == 1), 4))
    message = str(caught.value)
    assert message.startswith(f'Cannot download {server.url}{path}')
    assert message.endswith('.') and '\n' not in message
    assert len(server.requests) == requests and kept(tmp_path) == []


def test_an_interrupted_download_leaves_no_half_file(server, tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt
    monkeypatch.setattr(util.os, 'fsync', interrupt)
    with pytest.raises(KeyboardInterrupt):
        util.open_url(f'{server.url}/x')
    assert kept(tmp_path) == []


def test_a_server_cannot_choose_the_folder(server, tmp_path):
    path = util.open_url(f'{server.url}/named', return_filename=True)
    assert os.path.dirname(path) == str(tmp_path / 'cache' / 'downloads') and path.endswith('odd_name.pkl')


def test_nobody_listens(tmp_path, monkeypatch, server):
    with pytest.raises(OSError, match='Cannot download .* after 2 attempts: .*refused'):
        util.open_url('http://127.0.0.1:9/x', num_attempts=2)


def test_local_files(tmp_path):
    path = tmp_path / 'a b.bin'
    path.write_bytes(CONTENT)
    for name in (str(path), path.as_uri()):
        with util.open_url(name) as file:
            assert file.read() == CONTENT
        assert util.open_url(name, return_filename=True) == str(path)
    with pytest.raises(FileNotFoundError, match='nowhere'):
        util.open_url(str(tmp_path / 'nowhere'))
    with pytest.raises(OSError, match="'ftp://host/x'.*expected"):
        util.open_url('ftp://host/x')

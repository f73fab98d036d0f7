"""The published data sets, from a server of our own in place of Zenodo's."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import mtopic as mt
from mtopic.datasets import _zenodo

SIZES = {
    "/20044694/files/P22MouseBrainATAC_filtered.h5mu": 42_827_881,
    "/15471869/files/P22_Mouse_Brain_ATAC_RNA_raw.h5mu": 74_142_256,
    "/15471869/files/Human_Tonsil_RNA_Protein_filtered.h5mu": 16_108_621,
    "/15471869/files/Human_PBMC_ATAC_RNA_Protein_filtered.h5mu": 71_174_260,
}
CALLS = [
    (lambda **where: mt.datasets.p22_mouse_brain(**where), "/20044694/files/P22MouseBrainATAC_filtered.h5mu"),
    (
        lambda **where: mt.datasets.p22_mouse_brain(raw=True, **where),
        "/15471869/files/P22_Mouse_Brain_ATAC_RNA_raw.h5mu",
    ),
    (lambda **where: mt.datasets.human_tonsil(**where), "/15471869/files/Human_Tonsil_RNA_Protein_filtered.h5mu"),
    (lambda **where: mt.datasets.human_pbmc(**where), "/15471869/files/Human_PBMC_ATAC_RNA_Protein_filtered.h5mu"),
]
TONSIL = "Human_Tonsil_RNA_Protein_filtered.h5mu"


class Server(ThreadingHTTPServer):
    """Gives one body for every path, after a number of failures; keeps a list of what was asked for."""

    body = b""
    promised: int | None = None
    failures = 0

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        self.server.asked.append(self.path)
        if self.server.failures:
            self.server.failures -= 1
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(self.server.promised or len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def body(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "data.h5mu"
    mt.datasets.simulate(30, 2, modalities={"rna": 5, "prot": 3}, depth=5).write_h5mu(path)
    return path.read_bytes()


@pytest.fixture
def zenodo(body, monkeypatch):
    """A server with small files under the names of the large ones."""
    server = Server()
    server.body = body
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setattr(_zenodo, "RECORDS", f"http://127.0.0.1:{server.server_port}")
    for name, (record, _) in list(_zenodo.FILES.items()):
        monkeypatch.setitem(_zenodo.FILES, name, (record, len(body)))
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("MTOPIC_DATA_DIR", raising=False)
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("call", "path"), CALLS)
def test_the_right_file_is_fetched_once(zenodo, tmp_path, capsys, call, path):
    mdata = call(cache_dir=tmp_path / "new" / "folder")
    assert mdata.shape == (30, 8) and list(mdata.mod) == ["rna", "prot"]
    assert zenodo.asked == [f"{path}?download=1"]
    assert "100%" in capsys.readouterr().err
    assert [file.name for file in (tmp_path / "new" / "folder").iterdir()] == [path.rpartition("/")[2]]
    again = call(cache_dir=tmp_path / "new" / "folder")
    assert again.shape == (30, 8)
    assert len(zenodo.asked) == 1


def test_sizes_and_records_are_the_published_ones():
    assert {f"/{record}/files/{name}": size for name, (record, size) in _zenodo.FILES.items()} == SIZES
    assert _zenodo.RECORDS == "https://zenodo.org/records"


def test_where_files_are_kept(zenodo, tmp_path, monkeypatch):
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / project)
    mt.datasets.human_tonsil()
    assert (tmp_path / "mtopic" / TONSIL).is_file()
    monkeypatch.setenv("MTOPIC_DATA_DIR", str(tmp_path / "env"))
    mt.datasets.human_tonsil()
    assert (tmp_path / "env" / TONSIL).is_file()
    mt.datasets.human_tonsil(cache_dir=str(tmp_path / "given"))
    assert (tmp_path / "given" / TONSIL).is_file()
    assert len(zenodo.asked) == 3


def test_a_failure_is_followed_by_another_attempt(zenodo, tmp_path):
    zenodo.failures = 1
    assert mt.datasets.human_tonsil(cache_dir=tmp_path).n_obs == 30
    assert len(zenodo.asked) == 2


def test_a_server_that_goes_on_failing(zenodo, tmp_path):
    zenodo.failures = 100
    with pytest.raises(OSError, match="could not be fetched: 503") as caught:
        mt.datasets.human_tonsil(cache_dir=tmp_path)
    assert len(zenodo.asked) == 4
    url = f"{_zenodo.RECORDS}/15471869/files/{TONSIL}?download=1"
    for hint in (url, repr(str(tmp_path)), "cache_dir", "MTOPIC_DATA_DIR"):
        assert hint in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_file_of_another_size_is_refused(zenodo, tmp_path, body):
    zenodo.body = body[:-100]
    expected = f"{len(body) - 100:,} bytes came in place of {len(body):,}"
    with pytest.raises(OSError, match=expected):
        mt.datasets.human_tonsil(cache_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_connection_that_breaks_off(zenodo, tmp_path, body):
    zenodo.body, zenodo.promised = body[: len(body) // 2], len(body)
    with pytest.raises(OSError, match="could not be fetched"):
        mt.datasets.human_tonsil(cache_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_in_the_cache_is_fetched_anew(zenodo, tmp_path, body):
    (tmp_path / TONSIL).write_bytes(body[:1000])
    with pytest.warns(UserWarning, match=f"has 1,000 bytes in place of {len(body):,}: it is fetched anew"):
        assert mt.datasets.human_tonsil(cache_dir=tmp_path).n_obs == 30
    assert (tmp_path / TONSIL).read_bytes() == body


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(28, "No space left on device")])
def test_a_folder_that_the_system_refuses(zenodo, tmp_path, monkeypatch, error):
    def refuse(*args, **options):
        raise error

    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    said = "cannot be written: (there is no permission|No space left).*cache_dir or in the environment variable MTOPIC"
    with pytest.raises(type(error), match=said):
        mt.datasets.human_tonsil(cache_dir=tmp_path)


def test_offline(zenodo, tmp_path, monkeypatch):
    zenodo.server_close()
    with pytest.raises(OSError, match="could not be fetched.*Download it by other means and put it into"):
        mt.datasets.human_pbmc(cache_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_put_there_by_hand_needs_no_network(zenodo, tmp_path, body):
    zenodo.server_close()
    (tmp_path / TONSIL).write_bytes(body)
    assert mt.datasets.human_tonsil(cache_dir=tmp_path).n_obs == 30


def test_a_file_that_is_no_mudata(zenodo, tmp_path, body):
    (tmp_path / TONSIL).write_bytes(b"x" * len(body))
    with pytest.raises(ValueError, match="is not an HDF5 file"):
        mt.datasets.human_tonsil(cache_dir=tmp_path)

"""Packages come from an index, through a proxy, with a password or a certificate; what opens the way stays outside."""

from __future__ import annotations

import hashlib
import json
import ssl
import subprocess
from pathlib import Path

import pytest

from clipper_nb.images import library
from clipper_nb.images.build_settings import network_settings
from tests.support.docker_images import run_python
from tests.support.packages import forward_proxy, package_index, write_project, write_wheel

pytestmark = pytest.mark.docker


def test_every_form_of_requirement_installs(client, make_builder, model_request, tmp_path):
    """Name and version, extras, a marker, a wheel, a project's folder; the index is one of this test alone."""
    wheels = [
        write_wheel(tmp_path, "clipper_nb_test_more"),
        write_wheel(tmp_path, "clipper_nb_test_one", requires=["clipper_nb_test_more; extra == 'more'"]),
    ]
    local = write_wheel(tmp_path, "clipper_nb_test_wheel")
    project = write_project(tmp_path / "project", "clipper_nb_test_project")
    (tmp_path / "index").mkdir()
    with package_index(tmp_path / "index", wheels) as index:
        packages = [
            "clipper-nb-test-one[more]==1.0",
            "clipper-nb-test-never; python_version < '3'",
            str(local),
            str(project),
        ]
        image = make_builder({"PIP_INDEX_URL": f"{index.url}/simple/"}).build(model_request(packages=packages))
        assert "/simple/clipper-nb-test-one/" in index.requests
    modules = [f"clipper_nb_test_{name}" for name in ("one", "more", "wheel", "project")]
    program = f"import importlib; print(*(importlib.import_module(name).VALUE for name in {modules}))"
    assert run_python(client, image, program).split() == modules


def test_proxy_reaches_the_build_and_does_not_stay_in_the_image(client, make_builder, model_request, tmp_path):
    wheel = write_wheel(tmp_path, "clipper_nb_test_proxied")
    with package_index(tmp_path, [wheel]) as index, forward_proxy() as proxy:
        address = proxy.url.replace("http://", "http://user:secret@")
        variables = {"PIP_INDEX_URL": f"{index.url}/simple/", "HTTP_PROXY": address}
        image = make_builder(variables).build(model_request(packages=["clipper-nb-test-proxied"]))
    assert f"{index.url}/simple/clipper-nb-test-proxied/" in proxy.requests
    assert run_python(client, image, "import clipper_nb_test_proxied as m; print(m.VALUE)") == wheel.name.split("-")[0]
    found = client.images.get(image)
    assert "secret" not in json.dumps([found.attrs, found.history()])


def test_password_of_an_index_reaches_pip_and_not_the_image(client, make_builder, model_request, tmp_path):
    wheel = write_wheel(tmp_path, "clipper_nb_test_guarded")
    with package_index(tmp_path, [wheel], credentials="me:pass-word") as index:
        url = index.url.replace("http://", "http://me:pass-word@")
        lines = Lines()
        request = model_request(packages=["clipper-nb-test-guarded"])
        image = make_builder({"PIP_INDEX_URL": f"{url}/simple/"}).build(request, lines)
    assert run_python(client, image, "import clipper_nb_test_guarded as m; print(m.VALUE)") == wheel.name.split("-")[0]
    found = client.images.get(image)
    built_on = [client.images.get(step["Id"]).attrs for step in found.history() if step["Id"] != "<missing>"]
    hidden = network_settings({"PIP_INDEX_URL": f"{url}/simple/"})["buildargs"]["ftp_proxy"]
    for shown in (json.dumps([found.attrs, found.history(), built_on]), "\n".join(lines.seen)):
        assert "pass-word" not in shown
        assert hidden not in shown
    assert "me:****@127.0.0.1" in "\n".join(lines.seen)  # pip's own words
    assert run_python(client, image, _FIND_FILES.format(words=["pass-word", hidden])) == "[]"


_FIND_FILES = """
import os
words = [word.encode() for word in {words!r}]
paths = [os.path.join(folder, name) for top in ("/etc", "/opt", "/tmp", "/usr/local", "/var")
         for folder, _, names in os.walk(top) for name in names]
newest = sorted((path for path in paths if os.path.isfile(path)), key=os.path.getmtime)[-2000:]
print([path for path in newest if any(word in open(path, "rb").read() for word in words)])
"""


class Lines:
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def step(self, name: str) -> None:
        self.seen.append(name)

    def detail(self, text: str) -> None:
        self.seen.append(text)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of 127.0.0.1 that nobody else trusts, with its key in one file."""
    path = tmp_path / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out", str(path)],
        check=True, capture_output=True,
    )  # fmt: skip
    return path


def test_private_certificates_reach_pip_and_stay_in_the_image(
    client, make_builder, model_request, own_base, tmp_path, certificate, remove_later
):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    bundle = tmp_path / "bundle.crt"
    text = certificate.read_text()
    bundle.write_bytes((library.find_ca_bundle() or b"") + text[text.index("-----BEGIN CERT") :].encode())
    wheel = write_wheel(tmp_path, "clipper_nb_test_certified")
    builder = make_builder({"PIP_CERT": str(bundle)})
    remove_later.append(builder.build_base("python_closure", own_base.image))
    with package_index(tmp_path, [wheel], tls) as index:
        builder = make_builder({"PIP_CERT": str(bundle), "PIP_INDEX_URL": f"{index.url}/simple/"})
        image = builder.build(model_request(packages=["clipper-nb-test-certified"], base_image=own_base.image))
    program = "import os, hashlib; print(hashlib.sha256(open(os.environ['SSL_CERT_FILE'], 'rb').read()).hexdigest())"
    assert run_python(client, image, program) == _sha256(bundle)
    assert run_python(client, image, "import clipper_nb_test_certified as m; print(m.VALUE)")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

"""What the frontends of a cluster prove themselves with, by the argument of its start."""

from __future__ import annotations

import logging
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from clipper_nb.clients.trust import Trust
from clipper_nb.container_managers.specs import ClusterOptions
from clipper_nb.container_managers.tls.authority import AUTHORITY_VALIDITY
from clipper_nb.container_managers.tls.files import TlsFiles
from clipper_nb.container_managers.tls.identity import choose_identity, expiry_finding, tls_options, trust_in
from clipper_nb.errors import InvalidRequestError
from tests.support.certificates import write_files

NOW = datetime.now(timezone.utc).replace(microsecond=0)
OWN = ClusterOptions(tls=True, allowed_hosts=("models.example.org", "*"))


def hosts_of(identity) -> list[str]:
    certificate = x509.load_pem_x509_certificate(identity.certificates.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in names]


def test_argument_becomes_options_that_can_be_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert tls_options(None) == {}
    assert tls_options(False) == {"tls": False, "tls_files": ()}
    assert tls_options(True) == {"tls": True, "tls_files": ()}
    given = tls_options(TlsFiles("c.pem", tmp_path / "k.pem"))
    assert given == {"tls": True, "tls_files": (str(tmp_path / "c.pem"), str(tmp_path / "k.pem"))}


@pytest.mark.parametrize("argument", [1, "True", ("c.pem", "k.pem"), TlsFiles("", "k"), TlsFiles("c", 3)])
def test_other_argument_is_refused(argument):
    with pytest.raises(InvalidRequestError, match=r"True, False, None or TlsFiles|must be the path of a file"):
        tls_options(argument)


def test_cluster_without_tls_has_no_identity():
    assert choose_identity("c", ClusterOptions()) is None
    assert trust_in(None) is None


def test_certificate_is_for_this_machine_and_allowed_hosts():
    identity = choose_identity("c", OWN, ["c-query_frontend-0", "192.0.2.7", "x" * 64])
    hosts = hosts_of(identity)
    assert {"localhost", "127.0.0.1", "::1", "models.example.org", "c-query_frontend-0", "192.0.2.7"} <= set(hosts)
    assert "*" not in hosts
    assert "x" * 64 not in hosts


def test_resumed_cluster_keeps_its_authority(caplog):
    kept = choose_identity("c", OWN)
    assert choose_identity("c", OWN, kept=kept).authority == kept.authority
    assert caplog.records == []


def test_new_authority_of_a_resumed_cluster_is_told(caplog):
    kept = choose_identity("c", OWN)
    choose_identity("c", OWN, kept=kept, now=NOW + AUTHORITY_VALIDITY)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "get_tls_authority() again" in record.message


def test_files_are_read_again_at_each_start(tmp_path):
    files = write_files(tmp_path)
    options = ClusterOptions(tls=True, tls_files=(str(files.certificate), str(files.key)))
    first = choose_identity("c", options)
    write_files(tmp_path)
    assert choose_identity("c", options, kept=first).certificates == files.certificate.read_text() != first.certificates


def test_own_authority_is_trusted_and_users_file_is_pinned(tmp_path):
    own = choose_identity("c", OWN)
    assert trust_in(own) == Trust(authority=own.authority)
    files = write_files(tmp_path)
    users = choose_identity("c", ClusterOptions(tls=True, tls_files=(str(files.certificate), str(files.key))))
    certificate = x509.load_pem_x509_certificate(Path(files.certificate).read_bytes())
    assert trust_in(users) == Trust(fingerprint=certificate.fingerprint(hashes.SHA256()).hex())


def test_missing_package_is_named_with_its_install_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(InvalidRequestError, match=r"'cryptography'.*pip install 'clipper-nb\[tls\]'"):
        choose_identity("c", OWN)
    assert choose_identity("c", ClusterOptions()) is None


@pytest.mark.parametrize(("days_left", "state"), [(31, "ok"), (29, "warning"), (-1, "problem")])
def test_doctor_warns_a_month_before_the_end(days_left, state):
    identity = choose_identity("c", OWN)
    finding = expiry_finding(identity, identity.expiry - timedelta(days=days_left))
    assert (finding.subject, finding.state) == ("TLS", state)
    assert f"{identity.expiry:%Y-%m-%d}" in finding.found
    assert bool(finding.advice) == (state != "ok")

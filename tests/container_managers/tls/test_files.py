"""Files with a certificate of the user's: what is wrong with them is said before anything starts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519

from clipper_nb.container_managers.tls.files import read_tls_files
from clipper_nb.errors import InvalidRequestError
from tests.support.certificates import NOW, write_files, write_key


def read(files, now=NOW):
    return read_tls_files(files.certificate, files.key, now)


def test_certificate_key_and_chain_are_read(tmp_path):
    files = write_files(tmp_path)
    found = read(files)
    assert found.certificates.count("BEGIN CERTIFICATE") == 2
    assert found.certificates == files.certificate.read_text()
    assert found.expiry == NOW + timedelta(days=365)
    assert found.authority == found.authority_key == ""


def test_rsa_key_of_an_older_format_is_read(tmp_path):
    key = rsa.generate_private_key(65537, 2048)
    files = write_files(tmp_path, key=key)
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    assert read(files).key.startswith("-----BEGIN PRIVATE KEY-----")


def fault(files, now=NOW) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        read(files, now)
    return caught.value.msg


@pytest.mark.parametrize(("which", "what"), [("certificate", "certificate"), ("key", "key")])
def test_missing_file_is_named(tmp_path, which, what):
    files = write_files(tmp_path)
    getattr(files, which).unlink()
    assert fault(files) == f"The {what} for TLS cannot be read from {getattr(files, which)}: No such file or directory."


def test_folder_instead_of_a_file_is_named(tmp_path):
    files = write_files(tmp_path)
    files.key.unlink()
    files.key.mkdir()
    assert "Is a directory" in fault(files)


@pytest.mark.parametrize("content", [b"", b"no PEM", b"\x30\x82\x01", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_file_without_a_certificate_is_named(tmp_path, content):
    files = write_files(tmp_path)
    files.certificate.write_bytes(content)
    assert f"The file {files.certificate} holds no certificate in PEM" in fault(files)


def test_certificate_in_der_is_told_how_to_convert(tmp_path):
    files = write_files(tmp_path)
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.DER))
    assert "openssl x509 -inform der" in fault(files)


def test_file_without_a_key_is_named(tmp_path):
    files = write_files(tmp_path)
    files.key.write_bytes(files.certificate.read_bytes())
    assert f"The file {files.key} holds no private key in PEM" in fault(files)


def test_encrypted_key_is_told_how_to_decrypt(tmp_path):
    files = write_files(tmp_path)
    write_key(files.key, ec.generate_private_key(ec.SECP256R1()), password=b"secret")
    assert "is encrypted" in fault(files)
    assert "openssl pkey" in fault(files)


def test_key_of_another_certificate_is_refused(tmp_path):
    files = write_files(tmp_path)
    write_key(files.key, ec.generate_private_key(ec.SECP256R1()))
    assert f"is not that of the first certificate in {files.certificate}" in fault(files)


def test_chain_in_the_wrong_order_is_explained(tmp_path):
    files = write_files(tmp_path)
    first, end, second = files.certificate.read_text().partition("-----END CERTIFICATE-----\n")
    files.certificate.write_text(second + first + end)
    assert "must come first" in fault(files)


def test_expired_certificate_is_refused_with_its_day(tmp_path):
    files = write_files(tmp_path, begin=NOW - timedelta(days=9), end=NOW - timedelta(seconds=1))
    assert f"expired on {NOW - timedelta(seconds=1):%Y-%m-%d}" in fault(files)


def test_certificate_of_the_future_points_to_the_clock(tmp_path):
    files = write_files(tmp_path, begin=NOW + timedelta(hours=1))
    assert "Check this machine's clock" in fault(files)


def test_key_that_tls_cannot_use_is_refused(tmp_path):
    files = write_files(tmp_path)
    write_key(files.key, x25519.X25519PrivateKey.generate())
    assert "is not that of the first certificate" in fault(files)


def test_weak_key_is_refused_by_openssl(tmp_path):
    files = write_files(tmp_path, key=rsa.generate_private_key(65537, 1024))
    assert fault(files).startswith("OpenSSL does not serve the certificate in")

"""What is written for Prometheus and Grafana."""

from __future__ import annotations

import json
import re
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from clipper_nb.container_managers.monitoring.files import (
    dashboard,
    grafana_files,
    prometheus_files,
    write_export,
    write_files,
)
from clipper_nb.container_managers.monitoring.password import _by_system, hash_password
from clipper_nb.container_managers.monitoring.records import ScrapeTargets
from clipper_nb.container_managers.specs import ClusterOptions
from clipper_nb.container_managers.tls.identity import choose_identity
from clipper_nb.errors import InvalidRequestError
from clipper_nb.images.templates import monitoring_file
from clipper_nb.protocol import metric_names
from clipper_nb.version import __version__

PLAIN = ScrapeTargets("my-cluster", "127.0.0.1:1337", "127.0.0.1:1338")
SECRET = ScrapeTargets("my-cluster", "127.0.0.1:1337", "127.0.0.1:1338", token='t"0k: {{ $x }}')
NAMES = {value for name, value in vars(metric_names).items() if name.isupper() and value.startswith("clipper_")}


def config(targets: ScrapeTargets) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(prometheus_files(targets, asks_for_password=False)["prometheus.yml"].text)
    return found


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(dashboard())["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    """Return what the dashboard and the rules ask."""
    rules = yaml.safe_load(monitoring_file("rules/clipper.yml"))
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    return [*asked, *(rule["expr"] for group in rules["groups"] for rule in group["rules"])]


def lost(given: Any, known: Any, path: str = "") -> list[str]:
    """Return where a schema's objects do not have what was given."""
    if isinstance(given, dict) and isinstance(known, dict):
        return [each for key, value in given.items() for each in lost(value, known.get(key), f"{path}/{key}")]
    if isinstance(given, list) and isinstance(known, list) and len(given) == len(known):
        return [each for at, value in enumerate(given) for each in lost(value, known[at], f"{path}/{at}")]
    return [] if given == known else [path]


def test_both_frontends_are_found_by_files():
    files = prometheus_files(PLAIN, asks_for_password=False)
    for job, address in (("query_frontend", PLAIN.query_addr), ("management_frontend", PLAIN.management_addr)):
        [scrape] = [each for each in config(PLAIN)["scrape_configs"] if each["job_name"] == f"clipper_{job}"]
        [listed] = scrape["file_sd_configs"]
        assert listed["files"] == [f"targets/{job}.json"]
        found = json.loads(files[f"targets/{job}.json"].text)
        assert found == [{"targets": [address], "labels": {"cluster": "my-cluster"}}]
        assert (scrape["scheme"], scrape.get("authorization")) == ("http", None)


def test_token_is_in_no_file_but_its_own():
    files = prometheus_files(SECRET, asks_for_password=False)
    assert [name for name, file in files.items() if SECRET.token in file.text] == ["tokens/query_token"]
    for scrape in config(SECRET)["scrape_configs"]:
        assert scrape["authorization"] == {"type": "Bearer", "credentials_file": "tokens/query_token"}


def test_password_is_kept_as_its_hash():
    files = prometheus_files(SECRET, asks_for_password=True)
    [(user, hashed)] = yaml.safe_load(files["web.yml"].text)["basic_auth_users"].items()
    assert (user, hashed[:4], files["web.yml"].is_secret) == ("clipper", "$2b$", True)
    assert "web.yml" not in prometheus_files(PLAIN, asks_for_password=True)


def test_hashes_are_those_of_bcrypt():
    import ctypes
    import ctypes.util

    crypt = ctypes.CDLL(ctypes.util.find_library("crypt")).crypt
    crypt.restype, crypt.argtypes = ctypes.c_char_p, (ctypes.c_char_p, ctypes.c_char_p)
    hashed = _by_system("secret")
    assert hashed is not None
    assert crypt(b"secret", hashed.encode()).decode() == hashed
    assert crypt(b"other", hashed.encode()).decode() != hashed
    assert hash_password("secret") != hash_password("secret")


def test_certificates_are_checked():
    identity = choose_identity("my-cluster", ClusterOptions(tls=True))
    assert identity is not None
    files = prometheus_files(
        ScrapeTargets("my-cluster", "127.0.0.1:1", "127.0.0.1:2", tls=identity), asks_for_password=False
    )
    for scrape in yaml.safe_load(files["prometheus.yml"].text)["scrape_configs"]:
        assert (scrape["scheme"], scrape["tls_config"]) == ("https", {"ca_file": "tls/authority.pem"})
    assert files["tls/authority.pem"].text == identity.authority


def test_grafana_finds_the_dashboard_where_it_is():
    files = grafana_files(SECRET, "http://prometheus:9090", "/somewhere", asks_for_password=True)
    [source] = yaml.safe_load(files["grafana/provisioning/datasources/clipper.yml"].text)["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    assert (source["basicAuthUser"], source["secureJsonData"]) == ("clipper", {"basicAuthPassword": SECRET.token})
    assert files["grafana/provisioning/datasources/clipper.yml"].is_secret
    [provider] = yaml.safe_load(files["grafana/provisioning/dashboards/clipper.yml"].text)["providers"]
    assert provider["options"]["path"] == "/somewhere/grafana/dashboards"


def test_files_can_be_written_again(tmp_path: Path) -> None:
    written = write_export(tmp_path / "a" / "b", SECRET)
    assert write_export(tmp_path / "a" / "b", SECRET) == written
    modes = {Path(path).name: stat.S_IMODE(Path(path).stat().st_mode) for path in written}
    assert modes["query_token"] == 0o600
    assert modes["prometheus.yml"] == 0o644
    assert sorted(str(path) for path in (tmp_path / "a").rglob("*") if path.is_file()) == sorted(written)


def test_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "rules").write_text("mine")
    with pytest.raises(InvalidRequestError, match=r"rules/clipper.yml cannot be written: .*Name another folder"):
        write_files(prometheus_files(PLAIN, asks_for_password=False), tmp_path)


def test_expressions_ask_for_metrics_that_there_are():
    for expression in expressions():
        asked = re.findall(r"\b(clipper_\w+?)(?:_bucket|_count|_sum)?(?=[{\[ )]|$)", expression)
        own = {name for name in asked if name.startswith(metric_names.OWN_PREFIX)}
        assert set(asked) - own <= NAMES | {"clipper_model_batch_size"}, expression
        assert asked or "clipper:" in expression or "clipper_" in expression, expression


def test_dashboard_asks_for_every_metric():
    asked = " ".join(expressions())
    unasked = {name for name in NAMES if name not in asked}
    assert unasked == {
        metric_names.ADMIN_REQUESTS_CREATED,
        metric_names.CACHE_ENTRIES,
        metric_names.CACHE_EVICTIONS,
    }


def test_dashboard_fits_any_data_source():
    found = json.loads(dashboard())
    assert __version__ in found["title"]
    sources = [panel["datasource"] for panel in panels()]
    sources += [target["datasource"] for panel in panels() for target in panel["targets"]]
    sources += [each["datasource"] for each in found["templating"]["list"] if each["type"] == "query"]
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
    rates = [target["expr"] for panel in panels() for target in panel["targets"] if "[" in target["expr"]]
    assert all(set(re.findall(r"\[.*?\]", rate)) == {"[$__rate_interval]"} for rate in rates)


def test_panels_do_not_overlap():
    taken: set[tuple[int, int]] = set()
    found = json.loads(dashboard())["panels"]
    for panel in found:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in found}) == len(found)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the package with the schema needs Python 3.11")
def test_dashboard_has_only_fields_of_grafanas_schema():
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models.dashboard import Dashboard

    found = json.loads(dashboard())
    known = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(found)))
    assert lost(found, known) == []

"""How a kept cluster on Docker is removed, refused, and resumed after a resumption that failed."""

from __future__ import annotations

import pytest

from clipper_nb import ClipperConnection, ClusterError, InvalidRequestError
from tests.support.clusters import disconnect, new_manager, running_cluster
from tests.support.docker_clusters import containers_of

pytestmark = pytest.mark.docker


def test_failed_resumption_can_be_repeated_and_fresh_removes() -> None:
    with running_cluster("docker") as conn:
        conn.register_application("app", "doubles", "-1.0", 5_000_000)
        image = [each.attrs["Config"]["Image"] for each in containers_of(conn, "query_frontend")]
        before = (conn.get_query_addr(), conn.cm.get_admin_token())
        conn.stop_all(keep=True)
        with pytest.raises(ClusterError):
            conn.start_clipper(query_frontend_image="redis:7")  # which has no Python
        others = new_manager("docker", conn.cm.cluster_name, container_user_ids=range(1_900_000_000, 1_900_000_100))
        with pytest.raises(InvalidRequestError, match="container_user_ids are 1900000000 to 1900000099"):
            ClipperConnection(others).start_clipper()
        disconnect(others)
        conn.start_clipper()
        assert (conn.get_query_addr(), conn.cm.get_admin_token()) == before
        assert conn.get_all_apps() == ["app"]
        assert [each.attrs["Config"]["Image"] for each in containers_of(conn, "query_frontend")] == image
        conn.stop_all(keep=True)
        conn.start_clipper(fresh=True)
        assert conn.get_all_apps() == []

"""A cluster in one line and in HTML."""

from __future__ import annotations

from html.parser import HTMLParser

import msgspec
import pytest

from clipper_nb.display.summaries import (
    ClusterSnapshot,
    describe_application,
    describe_endpoint,
    format_applications,
    format_html,
    format_text,
)
from clipper_nb.protocol.descriptions import TargetInfo
from clipper_nb.protocol.input_types import InputType
from tests.support.records import make_application_info, make_replica_info, make_version_info

FIELDS = {"input_type": InputType.DOUBLES, "default_output": "-1.0", "slo_micros": 2_500}
APPLICATION = make_application_info(linked_model="digits-net", **FIELDS)


def version(number, *, is_current=False):
    return make_version_info(version=number, input_type=InputType.DOUBLES, is_current=is_current)


FULL = ClusterSnapshot(
    cluster_name="default-cluster",
    query_url="http://127.0.0.1:1337",
    applications=[APPLICATION],
    models=[version("1"), version("2", is_current=True)],
    replicas=[make_replica_info(version="2"), make_replica_info(version="2")],
)
EMPTY = ClusterSnapshot("c", "http://127.0.0.1:1337", [], [], [])


class Page(HTMLParser):
    """The rows of a page's tables; sees to it that every tag is closed."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.tags, self.open = [], [], []
        self.feed(html)
        self.close()
        assert self.open == [], "tags are not closed"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def test_divided_traffic_is_shown_in_place_of_a_link():
    targets = [
        TargetInfo(target="digits-net:1", weight=3, share=0.75),
        TargetInfo(target="other", weight=1, share=0.25),
    ]
    divided = msgspec.structs.replace(APPLICATION, linked_models=["digits-net", "other"], traffic=targets)
    assert describe_application(divided).endswith("traffic digits-net:1 75 %, other 25 %>")
    assert "traffic digits-net:1 75 %, other 25 %" in describe_endpoint(divided, "1", "http://x")
    assert Page(format_applications([divided])).rows[1][-1] == "digits-net:1 75 %, other 25 %"


def test_text_is_one_line_with_the_address_and_counts():
    assert format_text(FULL) == (
        "<ClipperConnection 'default-cluster' at http://127.0.0.1:1337: 1 application, 1 model, 2 versions, 2 replicas>"
    )
    assert format_text(EMPTY).endswith("0 applications, 0 models, 0 versions, 0 replicas>")


def test_tables_show_applications_and_versions():
    assert Page(format_html(FULL)).rows == [
        ["application", "input type", "SLO", "default output", "linked model"],
        ["digits", "doubles", "2.5 ms", "-1.0", "digits-net"],
        ["model", "version", "", "input type", "replicas"],
        ["digits-net", "1", "", "doubles", "0"],
        ["digits-net", "2", "● current", "doubles", "2"],
    ]


def test_application_without_a_model_shows_none():
    snapshot = ClusterSnapshot("c", "http://a:1", [make_application_info(**FIELDS)], [], [])
    assert Page(format_html(snapshot)).rows[1][-1] == "none"


def test_empty_cluster_shows_what_to_call():
    html = format_html(EMPTY)
    assert Page(html).rows == []
    assert "register_application()" in html
    assert "deploy_python_closure()" in html


def test_long_tables_are_summed_up():
    applications = [make_application_info(f"app-{number}", **FIELDS) for number in range(1050)]
    models = [version(str(number)) for number in range(51)]
    html = format_html(ClusterSnapshot("c", "http://a:1", applications, models, []))
    assert len(Page(html).rows) == (1 + 50) + (1 + 50)
    assert "… and 1,000 more applications." in html
    assert "… and 1 more version." in html
    assert "1,050 applications" in format_text(ClusterSnapshot("c", "http://a:1", applications, models, []))


def test_table_of_fifty_is_whole():
    html = format_html(ClusterSnapshot("c", "http://a:1", [APPLICATION] * 50, [], []))
    assert len(Page(html).rows) == 51
    assert "more" not in html


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x>', "a & b", "</td></table>"])
def test_text_of_users_stays_text(text):
    application = make_application_info(**{**FIELDS, "default_output": text})
    snapshot = ClusterSnapshot(text, "http://a:1", [application], [], [])
    page = Page(format_html(snapshot))
    assert page.rows[1][3] == text
    assert not {"script", "img"} & set(page.tags)


def test_page_links_to_the_metrics():
    assert 'href="http://127.0.0.1:1337/metrics"' in format_html(FULL)

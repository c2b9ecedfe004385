"""What the panel of models shows of what they count themselves."""

from __future__ import annotations

from clipper_nb.panels.counts import parse_counts
from clipper_nb.panels.history import History
from clipper_nb.panels.models import ModelsPanel
from clipper_nb.panels.own_metrics import own_metrics_table
from tests.panels.standing import make_panel
from tests.panels.states import cluster, version

TEXT = """\
clipper_model_queue_length{model="net",version="1"} 4.0
clipper_user_words_total{model="net",version="1",replica="0",kind="a"} 3.0
clipper_user_words_total{model="net",version="1",replica="1",kind="b"} 4.0
clipper_user_size{model="net",version="1",replica="0"} 2.5
clipper_user_size{model="net",version="1",replica="1"} 3.0
clipper_user_times_bucket{model="net",version="1",replica="0",le="1.0"} 1.0
clipper_user_times_bucket{model="net",version="1",replica="0",le="+Inf"} 4.0
clipper_user_times_count{model="net",version="1",replica="0"} 4.0
clipper_user_times_sum{model="net",version="1",replica="0"} 10.0
"""


def own() -> dict[str, list[float]]:
    history = History()
    history.add(1.0, parse_counts(TEXT))
    return history.own("net:1")


def test_own_metrics_are_those_of_the_version() -> None:
    assert own() == {"words_total": [3.0, 4.0], "size": [2.5, 3.0], "times_count": [4.0], "times_sum": [10.0]}
    assert History().own("net:1") == {}


def test_panel_shows_them_below_the_versions() -> None:
    state = cluster(version(own=own()), version("2"))
    panel, _ = make_panel(ModelsPanel, state)
    for html in (own_metrics_table(state.versions), panel._own.value, panel.render()):
        for cells in (("words", "7"), ("size", "2.5, 3"), ("times", "4, mean 2.5")):
            assert all(f">{cell}</td>" in html for cell in cells)


def test_nothing_is_shown_where_nothing_is_counted() -> None:
    panel, _ = make_panel(ModelsPanel, cluster(version()))
    assert (panel._own.value, panel._own.layout.display) == ("", "none")

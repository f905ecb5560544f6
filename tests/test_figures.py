"""Figures show what a cluster does: it is recorded again, and compared with what is on the page."""

import json
from pathlib import Path
from typing import Any

import pytest
from kubernetes import config

from figures import compare, drawing, places, recordings
from figures.recordings import Recording, RecordingError
from figures.scenarios import recorded, scenario
from throwaway import Cluster
from throwaway.plan import ProxyMode

ROOT = Path(__file__).parents[1]
FIGURES = recordings.names()
SEEN = {"client": "172.30.0.250:40000", "node": "172.30.0.11:31000", "pod": "10.244.1.5:8080"}


@pytest.mark.cluster
@pytest.mark.needs_capability("exec", "node-network", "ipv4", nodes=3)
@pytest.mark.parametrize("name", FIGURES)
def test_a_cluster_still_does_what_a_figure_shows(name: str, throwaway_cluster: Cluster, proxy_mode: ProxyMode) -> None:
    if proxy_mode not in scenario(name).MODES:
        pytest.skip(f"{name} is not about kube-proxy's mode {proxy_mode}")
    config.load_kube_config(str(throwaway_cluster.kubeconfig))
    before, now = recordings.read(name)[proxy_mode], recorded(name, throwaway_cluster)
    spaces = before.namespace, now.namespace
    differing = compare.differences(before.seen, now.seen, scenario(name).VARIES, spaces)
    assert not differing, f"if the cluster is right: ./dev record -- {name}"


@pytest.mark.parametrize("name", FIGURES)
def test_a_recording_is_of_its_form_and_small_and_of_the_modes_that_matter(name: str) -> None:
    found = recordings.read(name)
    assert set(found) == set(scenario(name).MODES)
    assert all(mode == each.proxy_mode for mode, each in found.items())
    assert (ROOT / "docs/figures" / f"{name}.json").stat().st_size < 100_000


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_has_a_script_and_a_page_and_can_be_drawn(name: str) -> None:
    pages = [page.read_text("utf-8") for page in (ROOT / "docs").rglob("*.md")]
    placed = [figure for page in pages for figure in places.placed(page) if figure.name == name]
    assert placed, "no page has it"
    for figure in placed:
        drawn = drawing.html(figure)
        assert figure.caption in drawn
        assert "undefined" not in drawn and "NaN" not in drawn


@pytest.mark.parametrize(
    ("was", "now", "found"),
    [
        (SEEN, {key: value.replace("172.30", "10.1") for key, value in SEEN.items()}, []),
        (["10.0.0.1", "10.0.0.1"], ["10.0.0.2", "10.0.0.3"], ["[1]: was '<address-1>', is '<address-2>'"]),
        ({"rule": "dport 31000 x"}, {"rule": "dport 32000 x"}, []),
        ({"rule": "dport 80 x"}, {"rule": "dport 81 x"}, [".rule: was 'dport 80 x', is 'dport 81 x'"]),
        (["1.2.3.4:8"] * 2, ["1.2.3.4:8", "1.2.3.4:9"], ["[1]: was '<address-1>:<port-1>', is '<address-1>:<port-2>'"]),
        ({"chain": "KUBE-SVC-ABCDEFGHIJKLMNOP"}, {"chain": "KUBE-SVC-2BCDEFGHIJKLMNOP"}, []),
        ({"chain": "service-ABCDEFGH-own-space/echo/tcp/"}, {"chain": "service-2BCDEFGH-proof-1/echo/tcp/"}, []),
        ({"pod": "echo-5d8f7c9b6d-x7k2z"}, {"pod": "echo-7c9b6d5d8f-b4c5d"}, []),
        ({"at": "2026-11-26T06:40:01Z"}, {"at": "2026-11-27T06:40:01.5Z"}, []),
        ({"seconds": 1.5}, {"seconds": 2.5}, []),
        ({"seconds": 1.5}, {"seconds": [2.5]}, [".seconds: was 'some float', is 'some list'"]),
        ({"hops": [1, 2]}, {"hops": [1]}, [".hops[1]: was 2, is not there"]),
        ({"v6": "fd00::1"}, {"v6": "fd00:30::1:2"}, []),
    ],
)  # fmt: skip
def test_only_what_is_another_each_time_may_differ(was: Any, now: Any, found: list[str]) -> None:
    assert compare.differences(was, now, ("seconds",), ("own-space", "proof-1")) == found


@pytest.fixture
def figure(tmp_path: Path) -> Path:
    """A folder with a figure, which is not recorded yet."""
    for folder in ("figures/schemas", "docs/figures", drawing.SCRIPTS):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / drawing.SCRIPTS / "figure.js").write_text((ROOT / drawing.SCRIPTS / "figure.js").read_text())
    (tmp_path / drawing.SCRIPTS / "a-b.js").write_text(
        """figures.define("a-b", {
          sizes: { wide: [2, 1], narrow: [1, 1] },
          question: () => ({ asks: "Is <it> so?", options: [{ says: "Yes", right: true, why: "It is." }] }),
          steps: ({ nftables }, { way }) => [{ says: `${way}: ${nftables.says}` }],
          choices: () => [{ id: "way", label: "Way", options: [{ value: "there", label: "There" }] }],
          draw: () => "<circle/>",
        });"""
    )
    schema = {"properties": {"says": {"type": "string"}}, "required": ["says"]}
    (tmp_path / "figures/schemas/a-b.json").write_text(json.dumps(schema))
    return tmp_path


def one(**seen: Any) -> dict[str, Recording]:
    return {"nftables": Recording("v1.37.2", "nftables", "2026-11-26T06:40Z", "a-b", seen)}


def test_a_page_without_scripts_has_still_words_and_where_it_comes_from(figure: Path) -> None:
    recordings.write("a-b", one(says="</template> & so"), figure)
    (placed,) = places.placed('Before.\n\n<a-b way="back">A <caption.</a-b>\n\nAfter <a-b>it</a-b>.\n')
    drawn = drawing.html(placed, figure)
    assert "<circle/>" in drawn
    assert "<li><p>back: &lt;/template&gt; &amp; so</p></li>" in drawn
    assert "A &lt;caption." in drawn and "Recorded on Kubernetes v1.37.2, on 26 November 2026." in drawn
    assert "Is &lt;it&gt; so?" in drawn
    assert drawn.count("</template>") == 1


@pytest.mark.parametrize(
    ("break_it", "complaint"),
    [
        ("docs/figures/a-b.json", "docs/figures/a-b.json is not there; ./dev record -- a-b writes it"),
        ("figures/schemas/a-b.json", "figures/schemas/a-b.json is not there; it says what a recording"),
        (f"{drawing.SCRIPTS}/a-b.js", f"there is no figure a-b: {drawing.SCRIPTS}/a-b.js is not there"),
    ],
)
def test_what_is_missing_of_a_figure_is_named(figure: Path, break_it: str, complaint: str) -> None:
    recordings.write("a-b", one(says="so"), figure)
    (figure / break_it).unlink()
    with pytest.raises(RecordingError, match=complaint):
        drawing.html(places.placed("<a-b>So.</a-b>")[0], figure)


def test_what_is_not_of_its_form_is_neither_written_nor_shown(figure: Path) -> None:
    with pytest.raises(RecordingError, match=r"docs/figures/a-b.json: \$: 'says' is a required property"):
        recordings.write("a-b", one(), figure)
    recordings.write("a-b", one(says="so"), figure)
    file = figure / "docs/figures/a-b.json"
    file.write_text(file.read_text().replace('"so"', "7"))
    with pytest.raises(RecordingError, match=r"docs/figures/a-b.json: \$.says: 7 is not of type 'string'"):
        recordings.read("a-b", figure)


def test_a_script_that_fails_is_named(figure: Path) -> None:
    recordings.write("a-b", one(says="so"), figure)
    (figure / drawing.SCRIPTS / "a-b.js").write_text('figures.define("a-b", {});')
    with pytest.raises(RecordingError, match=r"docs/assets/figures/a-b.js: .*TypeError"):
        drawing.html(places.placed("<a-b>So.</a-b>")[0], figure)

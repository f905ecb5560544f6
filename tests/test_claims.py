"""Every claim of a page has a proof, and every proof a claim; and what is wrong with one is said with its place."""

import json
from pathlib import Path

import pytest

from claims import render, results
from claims.find import ClaimError, Proof, claims_and_proofs, find_claims, find_references
from claims.results import Result

ROOT = Path(__file__).parents[1]
PROVED = '''
@proof("pods-come-and-go", control="They stay.")
def test_it(world: World) -> None:
    """Deletes a Pod."""
    wait_for(lambda: gone(world), "it goes")
'''
SHOWN = """Pods come and go [✓](proof:pods-come-and-go).

``` {{ .{language} proves="pods-come-and-go" }}
{source}
```
"""


def test_every_claim_has_a_proof_and_every_proof_a_claim() -> None:
    claims, _ = claims_and_proofs(ROOT)
    assert claims


def test_the_results_are_what_their_schema_says() -> None:
    results.read(ROOT / results.FILE)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site with one page that makes one claim, and its proof."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "tests/proofs").mkdir(parents=True)
    (tmp_path / "docs/page.md").write_text("# Page\n\nPods come and go [✓](proof:pods-come-and-go).\n")
    (tmp_path / "tests/proofs/test_page.py").write_text(PROVED)
    return tmp_path


def test_a_claim_is_the_sentence_before_its_mark(site: Path) -> None:
    page = site / "docs/page.md"
    page.write_text(
        '<p class="lead" markdown>\nFirst it is so [✓](proof:a-0).\n</p>\n\n'
        "Not this. A **Service** of\ntype [`NodePort`](x.md) has a port [✓](proof:a-1). Nor this. And an"
        " address [✓](proof:a-2).\n"
        "\n"
        "- One thing, `port: 80`, is so [✓](proof:a-3)\n"
        "- Another\n  one is not; see `a.b` [✓](proof:a-4).\n"
        "\n"
        "| Cell one | It says no [✓](proof:a-5) | and that it is so [✓](proof:a-6) |\n"
        "\n"
        "```python\nx  # [✓](proof:not-there)\n```\n"
        "\n"
        "With `[✓](proof:code-1)` a claim is marked.\n"
    )
    assert [(claim.id, claim.text, claim.line) for claim in find_claims(page, site)] == [
        ("a-0", "First it is so", 2),
        ("a-1", "A Service of type NodePort has a port", 6),
        ("a-2", "And an address", 6),
        ("a-3", "One thing, port: 80, is so", 8),
        ("a-4", "Another one is not; see a.b", 10),
        ("a-5", "It says no", 12),
        ("a-6", "And that it is so", 12),
    ]


def test_a_fence_can_be_a_proof(site: Path) -> None:
    (site / "tests/proofs/test_page.py").write_text("")
    page = site / "docs/page.md"
    page.write_text(page.read_text() + '\n``` { .python proves="pods-come-and-go" }\nprint(1)\n#> 1\n```\n')
    (proof,) = claims_and_proofs(site)[1]
    assert (proof.claims, proof.place) == (("pods-come-and-go",), "docs/page.md:5")


def test_another_page_may_refer_to_a_claim(site: Path) -> None:
    other = site / "docs/more/other.md"
    other.parent.mkdir()
    other.write_text("Pods are mortal [✓](claim:pods-come-and-go). They go `[✓](claim:code-1)`, too [✓](claim:x-1).\n")
    assert [(each.id, each.place) for each in find_references(other, site)] == [
        ("pods-come-and-go", "docs/more/other.md:1"),
        ("x-1", "docs/more/other.md:1"),
    ]
    other.write_text("Not this [✓](claim:pods-come-and-go). But this is so [✓](proof:pods-go).")
    assert [claim.text for claim in find_claims(other, site)] == ["But this is so"]


def test_a_reference_says_how_the_claim_stands_and_leads_to_it(site: Path) -> None:
    other = site / "docs/more/other.md"
    other.parent.mkdir()
    other.write_text("Pods are mortal [✓](claim:pods-come-and-go).")
    claims, proofs = claims_and_proofs(site)
    (standing,) = render.standings(claims, proofs, {})
    html = render.marks(
        '<p>Pods are mortal <a href="claim:pods-come-and-go">✓</a>.</p>', {"pods-come-and-go": standing}, "../../"
    )
    assert 'class="claim claim-open"' in html
    assert 'href="../../page/#why-pods-come-and-go"' in html
    assert 'href="../../proofs/#pods-come-and-go"' in html
    assert "“Pods come and go.”" in html
    assert 'id="why-pods-come-and-go"' not in html, "that is where the claim itself is"


def test_a_fence_for_one_proxy_mode_proves_nothing_in_the_other(site: Path) -> None:
    (site / "tests/proofs/test_page.py").write_text("")
    page = site / "docs/page.md"
    fence = '\n``` { .console mode="iptables" proves="pods-come-and-go" }\n$ echo 1\n1\n```\n'
    page.write_text(page.read_text() + fence)
    claims, proofs = claims_and_proofs(site)
    (standing,) = render.standings(claims, proofs, {})
    assert standing.modes == ("iptables",)


@pytest.mark.parametrize(
    ("page", "test", "complaint"),
    [
        ("Pods come and go.", PROVED, "tests/proofs/test_page.py:3: no page makes the claim pods-come-and-go"),
        (
            "Pods come and go [✓](proof:pods-come-and-go). They do so often [✓](proof:pods-often).",
            PROVED,
            "docs/page.md:1: the claim pods-often has no proof",
        ),
        (
            "Pods come and go [✓](proof:pods-come-and-go).\n\nThey come and go [✓](proof:pods-come-and-go).",
            PROVED,
            "docs/page.md:3: the id pods-come-and-go is used at docs/page.md:1 already",
        ),
        ("Pods come and go [✓](proof:Pods).", PROVED, "docs/page.md:1: 'Pods' is no id of a claim"),
        (
            "Pods come [✓](proof:pods-come) and go.",
            PROVED,
            "docs/page.md:1: the mark of pods-come is inside a sentence",
        ),
        (
            "Pods come and go [✓](proof:pods-come-and-go).\n\nSo they do [✓](claim:pods-stay).",
            PROVED,
            "docs/page.md:3: no page makes the claim pods-stay, which is referred to here",
        ),
        (
            "[✓](proof:pods-come-and-go)",
            PROVED,
            "docs/page.md:1: before the mark of pods-come-and-go there is no sente",
        ),
        (
            "Pods come and go [✓](proof:pods-come-and-go).",
            PROVED.replace('"""Deletes a Pod."""', "pass"),
            "tests/proofs/test_page.py:3: test_it has no docstring",
        ),
        (
            "Pods come and go [✓](proof:pods-come-and-go).",
            PROVED.replace("They stay.", " "),
            "tests/proofs/test_page.py:3: test_it has no control",
        ),
        (
            "Pods come and go [✓](proof:pods-come-and-go).",
            PROVED.replace('stay."', 'stay.", mode="ipvs"'),
            "tests/proofs/test_page.py:3: there is no proxy mode 'ipvs'",
        ),
        (
            "Pods come and go [✓](proof:pods-come-and-go).",
            PROVED + "def test_more(): ...",
            "tests/proofs/test_page.py:6: test_more proves nothing",
        ),
        (
            "Pods come and go [✓](proof:pods-come-and-go).",
            PROVED.replace("wait_for(", "print("),
            "tests/proofs/test_page.py:3: test_it cannot fail; assert what its control says",
        ),
        (
            "Pods come and go [✓](proof:pods-come-and-go).",
            PROVED.replace("wait_for(", "assert True, ("),
            "tests/proofs/test_page.py:3: test_it cannot fail",
        ),
        (
            SHOWN.format(language="console", source="$ true"),
            "",
            "docs/page.md:3: this proof cannot fail, since the page shows nothing that it prints; print what",
        ),
        (
            SHOWN.format(language="python", source="x = 1"),
            "",
            "docs/page.md:3: this proof cannot fail",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(site: Path, page: str, test: str, complaint: str) -> None:
    (site / "docs/page.md").write_text(page)
    (site / "tests/proofs/test_page.py").write_text(test)
    with pytest.raises(ClaimError) as error:
        claims_and_proofs(site)
    assert str(error.value).startswith(complaint)


def test_results_of_one_mode_leave_those_of_the_other_and_go_with_their_claims(tmp_path: Path) -> None:
    file = tmp_path / "proofs.json"
    result = Result("passed", "0" * 16, "v1.37.2", "2026-11-23T20:15Z", 1.5)
    old = {"a-1": {"iptables": result}, "a-2": {"iptables": result}}
    results.write(file, results.merge({}, old, {"a-1", "a-2"}))
    new = {"a-1": {"nftables": Result("failed", "1" * 16, "v1.37.2", "2026-11-23T20:16Z", 2)}}
    merged = results.merge(results.read(file), new, {"a-1"})
    assert merged == {"a-1": {"iptables": result} | new["a-1"]}


def test_a_file_that_was_written_by_hand_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "proofs.json"
    file.write_text(json.dumps({"claims": {"a-1": {"nftables": {"outcome": "sure"}}}}))
    import jsonschema  # not by all who collect tests, see claims/results.py

    with pytest.raises(jsonschema.ValidationError):
        results.read(file)


def proved(sentence: str) -> dict[str, dict[str, Result]]:
    """Results of a claim that passed in both modes when its digest was this."""
    result = Result("passed", sentence, "v1.37.2", "2026-11-23T20:15Z", 1.5)
    return {"pods-come-and-go": {"nftables": result, "iptables": result}}


def test_a_claim_whose_text_was_changed_since_it_was_proved_says_so(site: Path) -> None:
    claims, proofs = claims_and_proofs(site)
    before = proved(claims[0].digest)
    page = site / "docs/page.md"
    page.write_text(page.read_text().replace("come and go [", "never come and go ["))
    for mark, state, words in (
        (claims, "proved", "Proved on Kubernetes v1.37.2"),
        (claims_and_proofs(site)[0], "stale", "Not proved since its text was changed"),
    ):
        (standing,) = render.standings(mark, proofs, before)
        assert standing.state == state
        html = '<p>Pods <a href="proof:pods-come-and-go">✓</a>.</p>'
        assert words in render.marks(html, {"pods-come-and-go": standing}, "../proofs/")
    assert "1 not proved since their text was changed" in render.summary([standing])
    assert "passed, with another text" in render.listed(standing, "../", set())


def test_the_code_of_a_test_comes_with_what_it_uses_of_its_module(site: Path) -> None:
    test = PROVED.replace('    wait_for(lambda: gone(world), "it goes")', "    assert gone(NAME)")
    helpers = 'NAME = "echo"\nOTHER = 1\n\n\ndef gone(name: str) -> bool:\n    return wait(name)\n'
    (site / "tests/proofs/test_page.py").write_text(
        f"{helpers}\n\ndef wait(name: str) -> bool:\n    return True\n{test}"
    )
    (proof,) = claims_and_proofs(site)[1]
    assert proof.code.startswith('NAME = "echo"\n\n\ndef gone(')
    assert proof.code.endswith('"""Deletes a Pod."""\n    assert gone(NAME)\n')
    assert "def wait(" in proof.code
    assert "OTHER" not in proof.code
    assert "@proof" not in proof.code


def test_the_page_of_proofs_shows_the_code_of_each_test_once_and_links_to_fences(site: Path) -> None:
    claims, (test,) = claims_and_proofs(site)
    fence = Proof(("pods-come-and-go", "pods-often"), "docs/folder/page.md", 5)
    (standing,) = render.standings(claims, [test, fence], {})
    shown: set[Proof] = set()
    html = render.listed(standing, "../", shown)
    assert '<span class="nf">test_it</span>' in html
    assert "\n" not in html
    assert 'href="../folder/page/#shows-pods-come-and-go"' in html
    again = render.listed(standing, "../", shown)
    assert "test_it" not in again
    assert 'href="#code-pods-come-and-go"' in again
    opening = '``` { .python proves="pods-come-and-go pods-often" }'
    again = '    ``` { .console client="kubectl" proves="pods-come-and-go" }'
    assert render.with_places(f"{opening}\n{again}") == (
        f'``` {{ .python #shows-pods-come-and-go proves="pods-come-and-go pods-often" }}\n{again}'
    )

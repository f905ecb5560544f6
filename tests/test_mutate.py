"""The mutation check: breaks are what they say, and count as noticed only when a proof itself says so."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from claims.find import Claim, Proof, claims_and_proofs, find_claims
from fences.console import run_console
from fences.find import FenceError, find_fences
from fences.placeholders import Placeholders
from live.shell import Shell
from mutate import render, results, running
from mutate.__main__ import main
from mutate.faults import FAULTS, WHY_NOT, Fault, nothing
from mutate.plugin import broken_outputs
from mutate.prose import REASONS, broken_sentences, broken_values
from mutate.running import Item, Queue, is_noticed, item_of, items_of, result
from mutate.texts import output_breaks, sentence_breaks
from mutate.values import Value, is_seen, values
from mutate.zygote import Zygote

ROOT = Path(__file__).parents[1]


# Texts


def changes(sentence: str) -> set[tuple[str, str, str]]:
    return {(each.what, each.before, each.after) for each in sentence_breaks(sentence)}


def test_a_sentence_is_broken_in_its_numbers_its_negations_its_words_and_its_code() -> None:
    found = changes("With `Local`, every Node but three does not answer at 30080.")
    assert found == {
        ("code", "`Local`", "`Localx`"),
        ("word", "Local", "Cluster"),
        ("word", "every", "no"),
        ("number", "three", "seventeen"),
        ("number", "30080", "30081"),
        ("not left out", "not", ""),
    }


def test_a_sentence_without_a_negation_gets_one() -> None:
    assert ("not put in", "is", "is not") in changes("A Service is a name.")


def test_each_break_of_a_sentence_is_another_sentence() -> None:
    claims, _ = claims_and_proofs(ROOT)
    for claim in claims:
        texts = [each.text for each in sentence_breaks(claim.markup)]
        assert claim.markup not in texts
        assert len(texts) == len(set(texts))


def test_only_what_is_printed_is_broken() -> None:
    python = "port = 80\nprint(port)  # not this 1\n#> 80\n"
    assert {each.text for each in output_breaks(python, "python")} == {python.replace("#> 80", "#> 81")}
    console = "$ echo 1 \\\n> 2\n<pod-1> is 10.96.0.1\n"
    found = {(each.what, each.before, each.after) for each in output_breaks(console, "console")}
    assert found == {
        ("number", "10.96.0.1", "10.96.0.2"),
        ("placeholder", "<pod-1>", "<uid>"),
        ("line left out", "<pod-1> is 10.96.0.1", ""),
        ("line added", "", "<pod-1> is 10.96.0.1"),
    }
    assert all(each.text.startswith("$ echo 1 \\\n> 2\n") for each in output_breaks(console, "console"))


def test_a_placeholder_is_broken_where_kubectl_prints_words_of_its_own_beside_it() -> None:
    found = [each for each in output_breaks("$ show\n<nil> <none> <age>\n", "console") if each.what == "placeholder"]
    assert [(each.before, each.text) for each in found] == [("<age>", "$ show\n<nil> <none> <uid>\n")]
    nothing_varies = output_breaks("$ show\n<unknown> <invalid>\n", "console")
    assert not [each for each in nothing_varies if each.what == "placeholder"]


def test_a_fence_that_was_run_notices_each_broken_output(tmp_path: Path) -> None:
    for name in ("work", "scripts"):
        (tmp_path / name).mkdir()
    page = tmp_path / "page.md"
    page.write_text(
        "```console\n$ echo port 80; echo 10.96.0.7 is 10.96.0.7\nport 80\n<cluster-ip-1> is 10.96.0.7\n```\n"
    )
    (fence,) = find_fences(page)
    assert fence.check is None
    shell = Shell(tmp_path / "work", tmp_path / "scripts")
    try:
        run_console(fence, shell, Placeholders())
    finally:
        shell.close()
    assert fence.check
    fence.check(fence.source)
    with pytest.raises(FenceError, match=r"page\.md:3: the output differs"):
        fence.check(fence.source.replace("port 80\n", "port 81\n"))
    became = list(broken_outputs(fence))
    assert len(became) > 5
    assert all(each["noticed"] for each in became)


# Values


def seen(markup: str) -> list[str]:
    return [value.text for value in values(markup)]


def test_the_values_of_a_sentence_are_its_numbers_its_code_and_names_of_values() -> None:
    assert seen(
        "With `type: NodePort` the [port](a-1.md) lies between 30000 and 32767; Local or not, 40 or sixty."
    ) == [
        "`type: NodePort`",
        "30000",
        "32767",
        "40",
        "sixty",
        "Local",
    ]
    assert seen("Run `kubectl describe pod POD`.") == ["`kubectl describe pod POD`"]
    assert values("Run `kubectl describe pod POD`.")[0].words == ("kubectl", "describe", "pod")
    assert seen("A Service has a name, and the cluster's Pods find it by that.") == []


@pytest.mark.parametrize(
    ("value", "code", "is_there"),
    [
        (Value("`nodePort`", ("nodePort",)), "port.node_port", True),
        (Value("`Local`", ("Local",)), 'world.service(externalTrafficPolicy="Local")', True),
        (Value("`Local`", ("Local",)), "localhost", False),
        (Value("30080", ("30080",)), "f'http://{node}:30080/'", True),
        (Value("3008", ("3008",)), "30080", False),
        (Value("10.96.0.0", ("10.96.0.0",)), "10.96.0.1", False),
        (Value("three", ("3",), "10800"), "#> 10800", True),
        (Value("169.254", ("169.254",)), "169.254.169.254", True),
        (Value("`ndots:5`", ("ndots", "5")), r"options .*\bndots:5\b", True),
        (Value("`kubectl apply`", ("kubectl", "apply")), "kubectl get pods", False),
    ],
)
def test_a_value_is_seen_where_a_proof_has_it(value: Value, code: str, is_there: bool) -> None:
    assert is_seen(value, [code]) is is_there


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site of two claims: one proved by a fence that uses an earlier one, one by a test."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/page.md").write_text(
        "# Page\n\n"
        "```python\nurl = 'http://172.30.0.11:30080'\n```\n\n"
        "It answers at 30080, not at 30081 [✓](proof:page-answers).\n\n"
        '``` { .python proves="page-answers" }\nprint(ask(url))\n#> echo\n```\n\n'
        "The timeout is 10800 seconds, or 17 [✓](proof:page-timeout).\n"
    )
    tests = tmp_path / "tests/proofs"
    tests.mkdir(parents=True)
    (tests / "test_page.py").write_text(
        "TIMEOUT = 10800\n\n\n"
        '@proof("page-timeout", control="17.")\n'
        'def test_timeout(world: World) -> None:\n    """Waits 17 seconds."""\n    assert TIMEOUT  # 17\n'
    )
    return tmp_path


def test_a_value_that_only_a_comment_or_a_docstring_has_is_not_seen(site: Path) -> None:
    claims, proofs = claims_and_proofs(site)
    found = broken_values(claims, proofs, site)
    assert found["seeded"] == 4
    assert [each["what"].split()[0] for each in found["unnoticed"]] == ["30081", "17"]
    assert {each["place"] for each in found["unnoticed"]} == {"docs/page.md:7", "docs/page.md:14"}


@pytest.mark.parametrize(("file", "unseen"), [("used.yaml", ["17"]), ("unused.yaml", ["30081", "17"])])
def test_a_file_counts_only_where_the_proof_uses_it(site: Path, file: str, unseen: list[str]) -> None:
    page = site / "docs/page.md"
    manifest = f'```yaml title="{file}"\nport: 30081\n```\n\n'
    text = page.read_text().replace("print(ask(url))", "print(ask(url), apply('used.yaml'))")
    page.write_text(text.replace("It answers", f"{manifest}It answers"))
    claims, proofs = claims_and_proofs(site)
    assert [each["what"].split()[0] for each in broken_values(claims, proofs, site)["unnoticed"]] == unseen


def test_the_site_says_of_each_broken_sentence_that_it_was_not_proved(site: Path) -> None:
    claims, _ = claims_and_proofs(site)
    found = broken_sentences(claims, site)
    assert found["seeded"] >= 6
    assert found["unnoticed"] == []


def test_a_sentence_that_reads_the_same_is_not_noticed(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mutate import prose
    from mutate.texts import Break

    (claim, _) = find_claims(site / "docs/page.md", site)
    same = Break("emphasis", "It", "*It*", claim.markup.replace("It", "*It*"))
    monkeypatch.setattr(prose, "sentence_breaks", lambda sentence: [same])
    (each,) = broken_sentences([claim], site)["unnoticed"]
    assert each["reason"] == "the page still says that it is proved"


# Faults


def test_faults_name_claims_that_there_are_and_proofs_that_can_be_tried() -> None:
    claims, proofs = claims_and_proofs(ROOT)
    there = {claim.id for claim in claims}
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    for fault in FAULTS:
        named = [*fault.noticed_by, *fault.unaffected]
        assert set(named) <= there, f"{fault.name}: no page makes {sorted(set(named) - there)}"
        assert len(named) == len(set(named)), fault.name
        assert fault.unaffected, f"{fault.name}: what is true all the same?"
        for claim in named:
            assert items_of(claim, proofs, fault), f"{fault.name}: {claim} has no proof in {fault.mode} mode"


def test_reasons_are_given_for_what_there_is() -> None:
    claims, _ = claims_and_proofs(ROOT)
    markup = {claim.id: claim.markup for claim in claims}
    for claim, value in REASONS:
        assert value in {each.text for each in values(markup[claim])}, f"{claim} does not say {value} any more"
    noticed_by = {fault.name: fault.noticed_by for fault in FAULTS}
    for name, claim in WHY_NOT:
        assert claim in noticed_by[name]


def test_a_fence_is_run_by_its_lines_and_only_where_there_is_no_test() -> None:
    _, proofs = claims_and_proofs(ROOT)
    fault = Fault("none", "nothing", nothing, (), ())
    (test,) = items_of("clusterip-random", proofs, fault)
    assert test.id.startswith("tests/proofs/test_services_clusterip.py::test_")
    assert all(not test.lines for test in items_of("nodeport-every-node", proofs, fault))
    (fence,) = items_of("clusterip-no-turns", proofs, fault)
    assert fence.id.endswith(f"services-clusterip.md:{fence.lines[0]}-{fence.lines[-1]}]")
    assert items_of("clusterip-wrong-port-iptables", proofs, fault) == []


def test_a_fence_for_readers_of_kubectl_is_run_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page.md").write_text('``` { .console client="kubectl" proves="a-1" }\n$ echo 1\n1\n```\n')
    monkeypatch.setattr(running, "ROOT", tmp_path)
    assert item_of(Proof(("a-1",), "page.md", 1)).id.endswith("[page.md:1-4 kubectl]")


NO_ZYGOTE = Zygote.__new__(Zygote)
FENCE = Item(Proof(("a-1",), "docs/page.md", 10), "id", range(10, 15))
TEST = Item(Proof(("a-1",), "tests/proofs/test_page.py", 10, "test_it"), "id", range(0))


@pytest.mark.parametrize(
    ("test", "outcome", "said", "noticed"),
    [
        (TEST, "failed", "AssertionError: assert False", True),
        (TEST, "passed", "", False),
        (TEST, "error", "the namespace has its service account", False),
        (TEST, "skipped", "a claim on kube-proxy's mode iptables", False),
        (FENCE, "failed", "docs/page.md:12: print() shows something else", True),
        (FENCE, "failed", "docs/page.md:5: an earlier fence fails", False),
    ],
)
def test_a_fault_is_noticed_only_where_the_proof_itself_fails(
    test: Item, outcome: str, said: str, noticed: bool
) -> None:
    assert is_noticed(test, {"outcome": outcome, "said": said}) is noticed
    assert not is_noticed(test, None)


def queue_of(fault: Fault, outcome: str) -> Queue:
    proofs = [TEST.proof, Proof(("a-2",), "tests/proofs/test_page.py", 20, "test_other")]
    ids = [item_of(proof).id for proof in proofs]
    ran = {ids[0]: {"outcome": outcome, "said": "it said so"}, ids[1]: {"outcome": "passed", "said": ""}}
    return Queue("name", 1, lambda said: None, proofs, NO_ZYGOTE, {fault.name: ran})


def test_a_proof_that_fails_without_the_fault_too_has_noticed_nothing() -> None:
    fault = Fault("seeded", "something is broken", nothing, ("a-1",), ("a-2",))
    for outcome, whole, noticed in (("failed", True, True), ("failed", False, False), ("passed", True, False)):
        found = result(fault, queue_of(fault, outcome), lambda id, whole=whole: whole)  # type: ignore[misc]
        (pair,) = found["claims"]
        assert pair["noticed"] is noticed
        assert pair["said"]
        assert found["unaffected"] == [{"claim": "a-2", "passed": True, "said": ""}]


def test_a_fault_that_could_not_be_set_up_counts_as_not_noticed() -> None:
    fault = Fault("seeded", "something is broken", nothing, ("a-1",), ("a-2",))
    queue = Queue(
        "name", 1, lambda said: None, [TEST.proof], NO_ZYGOTE, failed={"seeded": "TimeoutError: not so within 90 s"}
    )
    found = result(fault, queue, lambda id: True)
    assert found["claims"] == [
        {"claim": "a-1", "noticed": False, "said": "not tried: TimeoutError: not so within 90 s"}
    ]
    assert not found["unaffected"][0]["passed"]


def test_the_plugin_tells_what_failed_from_what_could_not_begin(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n\n@pytest.fixture\ndef broken():\n    assert 0, 'in the fixture'\n\n"
        "def test_good(): pass\ndef test_bad(): assert 1 == 2, 'it is so'\ndef test_error(broken): pass\n"
        "@pytest.mark.skip(reason='not here')\ndef test_skipped(): pass\n"
    )
    report = tmp_path / "report.json"
    pytest_ = [sys.executable, "-m", "pytest", "-p", "mutate.plugin", "-c", "/dev/null", "--rootdir", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    subprocess.run([*pytest_, f"--mutate-report={report}", "test_it.py"], cwd=tmp_path, env=environment)
    ran = {id.partition("::")[2]: each for id, each in json.loads(report.read_text()).items()}
    assert {name: each["outcome"] for name, each in ran.items()} == {
        "test_good": "passed",
        "test_bad": "failed",
        "test_error": "error",
        "test_skipped": "skipped",
    }
    assert "it is so" in ran["test_bad"]["said"]
    assert "not here" in ran["test_skipped"]["said"]


def test_runs_that_are_forked_are_runs_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import os\n\ndef test_environment(): assert os.environ['SEEDED'] == '1'\n\ndef test_bad(): assert 0\n"
    )
    reports = [tmp_path / f"{number}.json" for number in range(2)]
    common = ["-p", "mutate.plugin", "-p", "no:cacheprovider", "-c", "/dev/null", f"--rootdir={tmp_path}"]
    test = str(tmp_path / "test_it.py")
    runs = [
        [*common, f"--mutate-report={report}", f"{test}::{name}"]
        for report, name in zip(reports, ("test_environment", "test_bad"), strict=True)
    ]
    request = json.dumps({"runs": runs, "environment": {"SEEDED": "1"}, "output": str(tmp_path)})
    code = f"import json; from mutate.zygote import run_all; run_all(json.loads({request!r}))"
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)
    outcomes = [each["outcome"] for report in reports for each in json.loads(report.read_text()).values()]
    assert outcomes == ["passed", "failed"]
    assert "1 failed" in (tmp_path / "1").read_text()


def test_a_name_of_no_fault_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["mutate", "--only", "kube-proxy-stoped"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "kube-proxy-stoped" in said
    assert "kube-proxy-stopped" in said


# Results


def whole() -> dict[str, Any]:
    missed = {"place": "docs/page.md:7", "what": "`a|b` in page-answers", "reason": "no proof has *this*"}
    pairs = [
        {"claim": "page-answers", "noticed": True, "said": "refused"},
        {"claim": "page-timeout", "noticed": False, "said": "its proof passed"},
    ]
    fault = {
        "what": "kube-proxy stands still",
        "mode": "nftables",
        "when": "2026-11-25T23:00Z",
        "claims": pairs,
        "unaffected": [{"claim": "page-timeout", "passed": False, "said": "timeout"}],
    }
    return {
        "when": "2026-11-25T23:00Z",
        "kubernetes": "v1.37.2",
        "seconds": 600,
        "outputs": {"seeded": 96, "unnoticed": []},
        "values": {"seeded": 2, "unnoticed": [missed]},
        "sentences": {"seeded": 50, "unnoticed": []},
        "faults": {"kube-proxy-stopped": fault},
    }


def test_the_score_leaves_out_what_a_checksum_notices() -> None:
    assert str(results.total(whole())) == "98 of 100 (98.0\u00a0%)"
    assert {kind: score.noticed for kind, score in results.scores(whole()).items()} == {
        "outputs": 96,
        "values": 1,
        "faults": 1,
        "sentences": 50,
    }
    assert [each.reason for each in results.unnoticed(whole())] == ["no proof has *this*", "its proof passed"]


def test_results_are_read_as_they_were_written_and_nothing_else_is(tmp_path: Path) -> None:
    file = tmp_path / "mutation.json"
    assert results.read(file) == {}
    results.write(file, whole())
    assert results.read(file) == whole()
    import jsonschema  # not by all who collect tests, see claims/results.py

    with pytest.raises(jsonschema.ValidationError):
        results.write(file, whole() | {"score": 100})


def test_the_results_of_the_repository_are_what_their_schema_says() -> None:
    results.read(ROOT / results.FILE)


def test_the_page_shows_the_score_what_was_missed_and_each_fault() -> None:
    shown = render.page(whole())
    assert "98 of 100 (98.0\u00a0%)" in shown
    assert "50 of 50" in shown
    assert "| docs/page.md:7: `a&#124;b` in page-answers | no proof has \\*this\\* |" in shown
    assert "| Kube-proxy stands still | [page-answers](proofs.md#page-answers); **not by** [page-timeout]" in shown
    assert "(failed)" in shown
    assert render.page({}) == "The check was not run yet."


def test_a_claim_keeps_its_markup(site: Path) -> None:
    page = site / "docs/page.md"
    page.write_text("# Page\n\nNot this. A **Service** of `type: x` has\none [✓](proof:page-answers).\n")
    (claim,) = find_claims(page, site)
    assert claim == Claim(
        "page-answers", "A Service of type: x has one", "docs/page.md", 4, "A **Service** of `type: x` has\none"
    )

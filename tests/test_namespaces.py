"""Tests that run side by side keep apart by their namespaces."""

from live import namespaces


def test_a_namespace_is_made_by_one_page_or_program_alone() -> None:
    makers: dict[str, str] = {}
    for file in namespaces.makers():
        for name in namespaces.made_by(file):
            assert name not in makers, f"{file.name} and {makers[name]} both make {name}, perhaps at the same time"
            assert not name.startswith(namespaces.PROOFS), f"{file.name}: {name} is taken for that of a proof"
            makers[name] = file.name


def test_the_namespace_of_each_program_is_found() -> None:
    programs = [file for file in namespaces.makers() if file.suffix == ".py"]
    assert programs
    for program in programs:
        assert namespaces.made_by(program), f'{program.name} has no line like NAMESPACE = "example-…"'


def test_a_page_looks_at_its_own_namespace_but_at_those_of_no_others() -> None:
    (page,) = (file for file in namespaces.makers() if file.name == "services-nodeport.md")
    others = namespaces.of_others(page)
    assert "nodeport" not in others
    assert {"clusterip", "example-nodeport", "proof-*"} <= set(others)

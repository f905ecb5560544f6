"""What the site's own pages promise of their form: answers that show where they come from, terms, programs."""

import re
import subprocess
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from markdown import Markdown
from mkdocs.exceptions import PluginError
from PIL import Image

from hooks import annotations, dates, frame, marks, moved, offline, parts, programs, sources, terms, words
from reading import screenshots

ROOT = Path(__file__).parents[1]
QUESTIONS = (ROOT / "docs/kubernetes/resources/questions.md").read_text("utf-8")
ANSWERS = {
    heading: answer
    for heading, answer in re.findall(r"^### (.+?) \{ #\S+ \}\n\n(.*?)(?=^##|\Z)", QUESTIONS, re.MULTILINE | re.DOTALL)
}


@pytest.mark.parametrize("question", ANSWERS)
def test_an_answer_is_proved_or_says_that_it_is_not(question: str) -> None:
    answer = ANSWERS[question]
    assert "[✓](claim:" in answer or "[✓](proof:" in answer or "Not tried here" in answer


@pytest.mark.parametrize("question", ANSWERS)
def test_an_answer_is_short_and_leads_on(question: str) -> None:
    text, _, more = ANSWERS[question].partition("\n\n")
    assert len(text.split()) <= 70
    assert re.match(r"\[[^]]+\]\((?:\.\./)*[a-z-]+\.md(?:#[a-z0-9-]+)?\)", more), "a section that tells more"
    assert more.rstrip().endswith("{ .more }")


def test_a_term_leads_to_the_glossary_where_it_stands_first() -> None:
    glossary = "SNAT { #snat .tip }\n:   Source `NAT`: the *first*. See [x](y.md#z).\n\nPod { #pod }\n:   A Pod.\n"
    known = terms.terms(glossary)
    assert known == {"SNAT": ("snat", "Source NAT: the *first*."), "SNATs": ("snat", "Source NAT: the *first*.")}
    mark = '<abbr title="x">SNAT</abbr>'
    html = f'<h2 id="a">{mark}</h2><p><a href="b">{mark}</a> {mark} {mark}</p>'
    link = '<a class="term" href="../glossary/#snat" title="Source NAT: the *first*.">SNAT</a>'
    assert terms.linked(html, known, "../glossary/") == (f'<h2 id="a">SNAT</h2><p><a href="b">SNAT</a> {link} SNAT</p>')


def test_the_glossary_is_in_order_and_defines_each_term_once() -> None:
    found = re.findall(r"^(.+) \{ #\S+(?: \.tip)? \}\n:   ", terms.GLOSSARY.read_text("utf-8"), re.MULTILINE)
    assert len(found) > 50
    assert found == sorted(set(found), key=str.lower)


def test_each_program_says_what_it_shows_and_a_page_names_it() -> None:
    found = programs.programs(ROOT)
    assert {each.name for each in found} == {file.stem for file in (ROOT / "examples").glob("*.py")}
    assert all(len(each.says.split()) > 10 for each in found)


@pytest.mark.parametrize(
    ("docstring", "page", "complaint"),
    [
        ('"""One line."""', "`examples/one.py`", "its docstring has to say"),
        ('"""One line.\n\nWhat it shows.\n"""', "nothing", "no page says that its story is told by this program"),
    ],
)
def test_a_program_that_says_too_little_is_refused(tmp_path: Path, docstring: str, page: str, complaint: str) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "examples").mkdir()
    (tmp_path / "docs/page.md").write_text(f"# Page\n\n{page}\n")
    (tmp_path / "examples/one.py").write_text(docstring)
    (tmp_path / "examples/one.expected.txt").write_text("")
    with pytest.raises(ValueError, match=complaint):
        programs.programs(tmp_path)


def test_a_page_has_the_dates_of_its_first_and_last_change_and_none_in_a_shallow_clone(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", "-C", tmp_path, *who, *arguments], check=True, capture_output=True)

    git("init", "whole")
    page = tmp_path / "whole/docs/folder/page one.md"
    page.parent.mkdir(parents=True)
    for day in ("2026-01-02", "2026-03-04"):
        page.write_text(day)
        git("-C", "whole", "add", ".")
        git("-C", "whole", "commit", "-m", day, f"--date={day}T12:00:00Z")
    git("clone", "--depth=1", f"file://{tmp_path}/whole", "shallow")
    found = dates.read(tmp_path / "whole/docs")["folder/page one.md"]
    assert (f"{found.appeared:%Y-%m-%d}", f"{found.changed:%Y-%m-%d}") == ("2026-01-02", "2026-03-04")
    assert dates.read(tmp_path / "shallow/docs") == {}
    assert dates.read(tmp_path) == {}


def test_a_page_that_is_gone_has_to_lead_somewhere() -> None:
    ever = ["a.md", "b.md", "c.md", "assets/d.svg"]
    assert moved.lost(ever, ["a.md"], {"c.md": "a.md"}) == ["b.md"]


def test_markdown_for_readers_elsewhere_has_its_marks_as_links() -> None:
    head = '---\ntitle: x\n---\n\n<!-- by a test -->\n# X\n\n--8<-- "assets/x.svg"\n\n<a-b c="d">Shown.</a-b>\n\n'
    text = f"{head}It holds [✓](proof:a-b). So does that [✓](claim:c-d). [All](../proofs.md#e).\n"
    links = "It holds [✓](../proofs/#a-b). So does that [✓](../proofs/#c-d). [All](../proofs/#e)."
    assert (
        sources.source(text, "folder/x.md").strip()
        == f"# X\n\n![](../assets/x.svg)\n\n[Figure](x/#a-b-1): Shown.\n\n{links}"
    )


def test_markdown_for_readers_elsewhere_has_tabs_as_items_of_a_list() -> None:
    text = '=== "Python"\n\n    ```python\n    x = 1\n    ```\n\n=== "kubectl"\n\n    Text.\n'
    assert sources.source(text, "x.md") == text.replace('=== "Python"', "-   **Python**").replace(
        '=== "kubectl"', "-   **kubectl**"
    )


ANNOTATED = """\
```yaml title="a.yaml"
kind: Pod # (1)!
name: x # not (this)!
port: 80 # (2)!
```

1. A kind [✓](proof:a-b).
2. A port.
"""


def html_of(text: str) -> str:
    """What the site's extensions make of code and lists."""
    settings = {"pymdownx.highlight": {"line_spans": "__span", "pygments_lang_class": True}}
    return Markdown(extensions=[*settings, "pymdownx.superfences"], extension_configs=settings).convert(text)


PAGE: Any = SimpleNamespace(url="page/", file=SimpleNamespace(src_uri="page.md"))


def test_all_lines_of_a_command_are_shown_as_typed() -> None:
    text = "```console\n$ for x in '<a\n> b>'; do \\\n> echo $x\n> done\n<a\n\n$ ls\n```\n"
    html = html_of(text)
    assert '<span class="go">&gt; done' in html, "Pygments does it by itself now, and hooks/marks.py need not"
    marked = marks.on_page_content(html, PAGE)
    assert re.findall(r'<span class="gp">(.*?)</span>', marked) == ["$ ", "&gt; ", "&gt; ", "&gt; ", "$ "]
    assert re.findall(r'<span class="go">(.*?)</span>', marked) == ["&lt;a"]
    assert unescape(re.sub(r"<.*?>", "", marked)) == re.sub(r"```.*\n", "", text)


def test_code_has_elements_for_what_is_coloured_and_where_a_command_may_be_wrapped() -> None:
    html = html_of("``` { .console #shown }\n$ ls -l a\n```\n\n```python\nfrom a import b\n```\n")
    marked = marks.on_page_content(html, PAGE)
    assert {"w", "n"} <= set(re.findall(r'<span class="(\w+)"', html))
    assert re.findall(r'<span class="(\w+)"', marked) == ["gp", "w", "w", "kn", "nn", "kn"]
    assert re.sub(r"<.*?>", "", marked) == re.sub(r"<.*?>", "", html)


def test_what_is_laid_out_later_begins_with_the_second_headings_and_is_no_heading() -> None:
    figure = '<link rel="stylesheet" href="a.css"><link rel="stylesheet" href="b.css"><div>'
    html = f'<h1>a</h1>\n<p>b</p>\n<h2>c</h2>\n<p class="d">e</p>\n{figure}</div>\n<h3>f</h3>\n<my-figure>'
    marked = parts.on_page_content(html)
    assert [line for line in marked.splitlines() if "data-part" in line] == [
        '<p data-part class="d">e</p>',
        f"{figure.removesuffix('>')} data-part></div>",
        "<my-figure data-part>",
    ]


def test_tabs_have_a_name_that_says_between_what_they_are() -> None:
    tabs = '=== "Python"\n\n    a\n\n=== "kubectl"\n\n    b\n\n'
    html = Markdown(extensions=["pymdownx.tabbed"], extension_configs={"pymdownx.tabbed": {"alternate_style": True}})
    named = frame.on_page_content(html.convert(f"{tabs}Text.\n\n{tabs.replace('Python', 'Go')}"))
    assert re.findall(r'role="group" aria-label="(.*?)"', named) == ["Python or kubectl", "Go or kubectl"]


def test_the_numbers_of_annotations_lead_to_the_items_and_are_no_part_of_the_code() -> None:
    html = annotations.on_page_content(html_of(f"{ANNOTATED}\nText.\n\n{ANNOTATED}"), PAGE)
    links = re.findall(r'<a class="code-note" href="#([^"]+)" aria-label="Note (\d)" data-note="\2"></a>', html)
    assert links == [("note-1-1", "1"), ("note-1-2", "2"), ("note-2-1", "1"), ("note-2-2", "2")]
    assert re.findall(r'<li id="(.*?)">', html) == [anchor for anchor, _ in links]
    code = re.search(r"<code>(.*?)</code>", html, re.DOTALL)
    assert code and re.sub(r"<.*?>", "", code[1]) == "kind: Pod\nname: x # not (this)!\nport: 80\n"
    assert '<a href="proof:a-b">✓</a>' in html


@pytest.mark.parametrize(
    ("text", "missing"),
    [(ANNOTATED.replace("2. A port.\n", ""), 2), (ANNOTATED.replace("1. A", "Text.\n\n1. A"), 1)],
)
def test_an_annotation_without_an_item_ends_the_build(text: str, missing: int) -> None:
    with pytest.raises(PluginError, match=rf"^docs/page\.md: the annotation \({missing}\) has no item: they are"):
        annotations.on_page_content(html_of(text), PAGE)


def test_markdown_for_readers_elsewhere_has_annotations_as_comments() -> None:
    assert sources.source(ANNOTATED.replace("proof:", "x:"), "page.md") == ANNOTATED.replace("proof:", "x:").replace(
        ")!\n", ")\n"
    ).replace("(this)", "(this)!")


def test_links_of_the_offline_copy_lead_to_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "_files", {"proofs.html", "throwaway/index.html", "a/b.html"})
    found = offline.with_files('<a href="../proofs/#x"></a><a href="../throwaway/"></a><a href="https://a.b/c/">', "a")
    assert found == '<a href="../proofs.html#x"></a><a href="../throwaway/index.html"></a><a href="https://a.b/c/">'


def test_words_are_written_as_kubernetes_writes_them() -> None:
    text = (
        "A pod asks `service`.\n\n```console\n$ kubectl get pods\n```\n\nA NodePort; Pods; [Node ports](nodeport.md).\n"
    )
    assert list(words.misspelt(text)) == [(1, "pod", "Pod"), (7, "Node port", "NodePort")]


def test_pictures_that_differ_are_named_with_what_differs_in_them(tmp_path: Path) -> None:
    for folder in ("before", "after"):
        (tmp_path / folder).mkdir()
        for name in ("same", "other"):
            Image.new("RGB", (20, 10), "white").save(tmp_path / folder / f"{name}.png")
    picture = Image.open(tmp_path / "after/other.png")
    picture.paste("black", (0, 0, 5, 4))
    picture.save(tmp_path / "after/other.png")
    Image.new("RGB", (20, 10)).save(tmp_path / "after/new.png")
    found = list(screenshots.compare(tmp_path / "before", tmp_path / "after", tmp_path / "changes"))
    assert found == [("other", 0.1)]
    assert Image.open(tmp_path / "changes/other.png").size == (60, 4)  # before, after, and marked
    assert "1 of 3 pictures" in screenshots.report(found, 3) and "| other | 10.0% |" in screenshots.report(found, 3)

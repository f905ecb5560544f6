"""What is left out of the theme's styles: what no page has, and what no script could give one."""

from hooks import styles

PAGE = '<body data-md-color-primary="custom"><p class="lead big" id="top">admonition</p></body>'
SCRIPT = 'element("div", {class: "md-dialog"}); element("button", {class: `control control--${side}`})'


def needed(css: str) -> str:
    (left,) = styles.needed([css], [PAGE], [SCRIPT])
    return left


def test_rules_stay_for_names_of_pages_and_of_scripts() -> None:
    css = ".lead{a:b}p#top>b{a:b}.md-dialog{a:b}[data-md-color-primary=custom]{a:b}a:hover{a:b}"
    assert needed(css) == css


def test_rules_stay_for_names_that_a_script_completes() -> None:
    assert needed(".control--next{a:b}.md-dialog--active{a:b}") == ".control--next{a:b}"


def test_rules_go_for_names_that_are_nowhere_or_only_in_the_text() -> None:
    assert needed(".admonition{a:b}.lead .bug{a:b}[data-md-color-primary=red]{a:b}") == ""


def test_of_several_selectors_those_stay_that_may_match() -> None:
    assert needed(".bug,.lead,.note>p{a:b}") == ".lead{a:b}"


def test_a_name_that_must_not_be_there_keeps_no_rule_out() -> None:
    assert needed(".lead:not(.bug){a:b}") == ".lead:not(.bug){a:b}"


def test_rules_for_some_screens_are_looked_at_too() -> None:
    css = "@media screen{.lead{a:b}.bug{a:b}}@media print{.bug{a:b}}@font-face{a:b}"
    assert needed(css) == "@media screen{.lead{a:b}}@font-face{a:b}"


def test_the_focus_is_that_of_the_browser() -> None:
    assert needed(".lead.focus-visible{a:b}") == ".lead:focus-visible{a:b}"

"""What readers see of the mutation check: its score, what was broken, and what nobody noticed."""

import re
from html import escape

from mutate.faults import FAULTS
from mutate.results import BY_PROOFS, KINDS, Results, scores, total, unnoticed

_TOLD = {
    "outputs": "the snippet's run fails, since it prints something else",
    "values": "a proof of the claim has this value in its code",
    "faults": "the claim's proof fails, and without the fault passes",
    "sentences": "the site says that the sentence was not proved since it was changed",
}


def page(results: Results) -> str:
    """The results as Markdown, for the page that has them."""
    if "when" not in results:
        return "The check was not run yet."
    parts = [_score(results)]
    parts += ["## What nobody noticed", _unnoticed(results), "## The faults", _faults(results)]
    return "\n\n".join(parts)


def _score(results: Results) -> str:
    rows = [
        f"| {KINDS[kind]} | {_TOLD[kind]} | {score} |" for kind, score in scores(results).items() if kind in BY_PROOFS
    ]
    sentences = scores(results).get("sentences")
    by_site = (
        "\n\nBeyond that, sentences were broken that no program can read: a “not” left out, a word swapped."
        f" {sentences} of these are noticed in another way: the site keeps a checksum of each sentence as it was"
        " proved, and says where the sentence is another one by now. That finds every change, right or wrong, so it is"
        " not counted above."
        if sentences
        else ""
    )
    return (
        f'<p class="proof-summary"><b>{total(results)}</b> of the breaks that a proof has to notice were noticed,'
        f" on Kubernetes {results['kubernetes']}, {results['when'][:10]}.</p>\n\n"
        "| What was broken | It is noticed when | Noticed |\n| --- | --- | --- |\n" + "\n".join(rows) + by_site
    )


def _unnoticed(results: Results) -> str:
    rows = [f"| {_text(f'{each.place}: {each.what}')} | {_text(each.reason)} |" for each in unnoticed(results)]
    if not rows:
        return "Every break was noticed."
    return "| What was broken | Why nobody noticed |\n| --- | --- |\n" + "\n".join(rows)


def _faults(results: Results) -> str:
    intro = (
        "Which claims are false on a broken cluster is written down before it is broken. A claim's proof is run there,"
        " and again on the cluster when it is whole. Some claims are true all the same, and their proofs have to pass:"
        " else it would be no wonder that others fail."
    )
    rows = []
    for fault in results.get("faults", {}).values():
        noticed = ", ".join(_claim(pair["claim"]) for pair in fault["claims"] if pair["noticed"])
        missed = ", ".join(_claim(pair["claim"]) for pair in fault["claims"] if not pair["noticed"])
        unaffected = ", ".join(
            f"{_claim(pair['claim'])}{'' if pair['passed'] else ' (failed)'}" for pair in fault["unaffected"]
        )
        what = f"{fault['what'][:1].upper()}{fault['what'][1:]}"
        rows.append(f"| {_text(what)} | {noticed}{f'; **not by** {missed}' if missed else ''} | {unaffected} |")
    table = "| The fault | Noticed by the proofs of | True all the same |\n| --- | --- | --- |\n" + "\n".join(rows)
    untried = [fault.what for fault in FAULTS if fault.name not in results.get("faults", {})]
    rest = f"\n\nNot tried yet, and not counted: {_text('; '.join(untried))}." if untried else ""
    return f"{intro}\n\n{table}{rest}"


def _claim(claim: str) -> str:
    return f"[{claim}](proofs.md#{claim})"


def _text(text: str) -> str:
    """Text of a program, in a cell of a table: code in backticks stays code, all else is shown as it is."""
    parts = re.split(r"(`[^`]+`)", " ".join(text.split()))
    shown = [part if part.startswith("`") else re.sub(r"([*_\[\]\\])", r"\\\1", escape(part)) for part in parts]
    return "".join(shown).replace("|", "&#124;")

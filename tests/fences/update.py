"""Rewrites fences by pytest-examples' own writer, so that Python and console fences of a file go together."""

from pytest_examples import EvalExample

from fences.find import Fence


def rewrite(fence: Fence, source: str, eval_example: EvalExample) -> None:
    """Have `source` written into the fence's page when the test session ends, as `--update-examples` asks.

    pytest-examples refuses one that comes twice, as from both readers of a page; what is written is its last source.
    """
    if source == fence.source:
        return
    fence.source = source
    if not fence.is_rewritten and fence not in eval_example.to_update:
        eval_example.to_update.append(fence)
    fence.is_rewritten = True

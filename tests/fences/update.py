"""Rewrites fences by pytest-examples' own writer, so that Python and console fences of a file go together."""

from pytest_examples import EvalExample

from fences.find import Fence


def rewrite(fence: Fence, source: str, eval_example: EvalExample) -> None:
    """Have `source` written into the fence's page when the test session ends, as `--update-examples` asks."""
    if source == fence.source:
        return
    fence.source = source
    if fence not in eval_example.to_update:
        eval_example.to_update.append(fence)

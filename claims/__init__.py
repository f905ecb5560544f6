"""Claims of the pages, their proofs, and what became of them.

A claim is a sentence with a mark at its end, as in `Every Node answers [✓](proof:nodeport-every-node).` It is proved by
a test in tests/proofs, or by a fence of a page that says so: ``` { .python proves="nodeport-every-node" }. A page that
leans on a claim of another page refers to it: `Ask any Node [✓](claim:nodeport-every-node).`

find → (the tests run) → results → render
"""

KUBECTL_SAYS = ("none", "pending", "unset", "nil", "unknown", "invalid")
"""What kubectl itself prints in angle brackets, as `<none>`. All else in them is a placeholder of a page's."""

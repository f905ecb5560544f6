"""Commands that errors advise lead to the cluster that they speak of."""

import pytest

from throwaway.hints import which


@pytest.mark.parametrize(
    ("name", "provider", "environment", "options"),
    [
        ("throwaway", "embedded", {}, ""),
        ("learner", "embedded", {}, " --name learner"),
        ("learner", "embedded", {"THROWAWAY_CLUSTER": "learner"}, ""),
        ("throwaway", "embedded", {"THROWAWAY_CLUSTER": "learner"}, " --name throwaway"),
        ("throwaway", "kind", {}, " --provider kind --name throwaway"),
        ("throwaway", "kind", {"THROWAWAY_PROVIDER": "kind"}, ""),
        ("mine", "existing", {}, " --provider existing --context mine"),
    ],
)
def test_a_cluster_is_named_unless_it_is_meant_anyway(
    name: str, provider: str, environment: dict[str, str], options: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("THROWAWAY_CLUSTER", "THROWAWAY_PROVIDER"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert which(name, provider) == options

"""What tests in a browser share: the built site, served."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from reading import node
from reading.serve import serving


@pytest.fixture(scope="session")
def site(built_site: Path) -> Iterator[str]:
    """The address at which the built site is served."""
    if not node.chromium():
        if os.environ.get("CI"):
            pytest.fail(node.NO_BROWSER)
        pytest.skip(node.NO_BROWSER)
    node.install()
    with serving(built_site) as address:
        yield address

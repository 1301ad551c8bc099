"""A browser, for tests of what runs in one."""

import os
from contextlib import ExitStack

import headless
import pytest


@pytest.fixture(scope="session")
def browser():
    """One Chromium for all tests."""
    with ExitStack() as stack:
        try:
            chromium = stack.enter_context(headless.chromium())
        except FileNotFoundError as error:
            reason = str(error)
            pytest.fail(reason, pytrace=False) if os.environ.get("CI") else pytest.skip(reason)
        yield chromium

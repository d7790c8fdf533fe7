"""Names of branches: what git refuses is refused before the Hub is asked."""

from __future__ import annotations

import pytest
from commands import assert_refused

from joule.sharing.branch_name import is_branch_name


@pytest.mark.parametrize("name", ["v2", "main", "release/1.0", "a@b", "größe", "refs/pr/1"])
def test_git_takes_a_name(name: str) -> None:
    assert is_branch_name(name)


REFUSED = ["", "@", "HEAD", "v 2", "-v2", "/v2", "v2/", "v2.", ".v2", "v2.lock", "a//b", "a/.b", "a.lock/b"]
REFUSED += ["a..b", "a@{1}", *(f"a{sign}b" for sign in "~^:?*[\\\n\x7f")]
"""By `git check-ref-format`."""


@pytest.mark.parametrize("name", REFUSED)
def test_git_takes_no_such_name(name: str) -> None:
    assert not is_branch_name(name)


def test_a_push_to_no_branch_is_refused_in_one_sentence() -> None:
    sentence = "error: --revision: 'v 2' is no name that git takes for a branch, such as v2"
    assert_refused("push", ["no-run", "name/agent", "--revision", "v 2"], sentence)

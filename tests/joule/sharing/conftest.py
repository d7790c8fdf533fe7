"""A stub of the Hub on localhost, which huggingface_hub is told to use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hub_stub import TOKEN, HubStub, served


@pytest.fixture(scope="session")
def server() -> Iterator[HubStub]:
    """One server for all tests: the library reads its address when it is imported."""
    with served() as stub, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", stub.endpoint)
        constants = pytest.importorskip("huggingface_hub.constants")
        patch.setattr(constants, "ENDPOINT", stub.endpoint)
        template = f"{stub.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        # The stub stores large files by Git LFS alone, which is the way of servers without Xet.
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)
        yield stub


@pytest.fixture
def hub(server: HubStub, monkeypatch: pytest.MonkeyPatch) -> HubStub:
    """The server without a repository, and a token that it accepts."""
    server.clear()
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return server

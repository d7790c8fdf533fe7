"""A stub of the Hub on localhost, which huggingface_hub is told to use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hub_stub import TOKEN, HubStub, served


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStub]:
    constants = pytest.importorskip("huggingface_hub.constants")
    with served() as stub:
        monkeypatch.setattr(constants, "ENDPOINT", stub.endpoint)
        template = stub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)

        # The stub stores large files by Git LFS alone, which is the way of servers without Xet.
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield stub

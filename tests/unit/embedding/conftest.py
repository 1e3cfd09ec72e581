"""Models shared by the tests: building ViT-B-32 takes seconds, so it happens once."""

from pathlib import Path

import pytest
import torch

from shared.embedding.open_clip.loading import LoadedModel, load_model


@pytest.fixture(scope="session")
def vit() -> LoadedModel:
    """ViT-B-32 with seeded random weights: for parity with open_clip where meaning is no matter."""
    return load_model("ViT-B-32", "random")


@pytest.fixture(scope="session")
def demo() -> LoadedModel:
    """The trained demo model: for parity where only meaningful vectors can tell."""
    return load_model("demo", "")


@pytest.fixture(scope="session")
def cpu() -> torch.device:
    return torch.device("cpu")


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DATA_DIR whose converted models all tests share: converting takes seconds."""
    return tmp_path_factory.mktemp("data")

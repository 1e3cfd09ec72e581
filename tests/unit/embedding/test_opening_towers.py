"""Loading one tower while the other works."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from shared.embedding.open_clip import torch_backend
from shared.embedding.open_clip.loading import LoadedModel, load_model
from shared.embedding.open_clip.torch_backend import TorchEncoder
from shared.embedding.service import EmbeddingService
from tests.unit.embedding.drawn import saved, scene


def test_texts_go_on_while_the_image_tower_loads_which_many_first_pictures_do_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder = TorchEncoder("demo", "", frozenset({"text"}))
    service = EmbeddingService(encoder, batch_size=8, max_pixels=10_000_000)
    service.embed_text("shirt")
    loading, go_on, loads = threading.Event(), threading.Event(), []

    def slow(name: str, pretrained: str) -> LoadedModel:
        loads.append(name)
        loading.set()
        assert go_on.wait(60)
        return load_model(name, pretrained)

    monkeypatch.setattr(torch_backend, "load_model", slow)
    picture = saved(scene(), "PNG")
    with ThreadPoolExecutor(4) as pool:
        firsts = [pool.submit(service.embed_images, [service.prepare(picture)]) for _ in range(4)]
        assert loading.wait(60)
        started = time.perf_counter()
        service.embed_text("red shirt", timeout=60)
        service.check()
        assert time.perf_counter() - started < 30
        assert not any(first.done() for first in firsts)
        go_on.set()
        vectors = [first.result(60)[0] for first in firsts]
    assert loads == ["demo"]
    assert all(np.allclose(vector, vectors[0], atol=1e-6) for vector in vectors)
    assert encoder.towers == {"text", "image"}
    service.close()


def test_a_process_can_be_bound_to_fewer_threads_than_cores_but_not_to_more() -> None:
    before = torch.get_num_threads()
    try:
        TorchEncoder("demo", "", frozenset({"text"}), threads=before + 3)
        assert torch.get_num_threads() == before
        TorchEncoder("demo", "", frozenset({"text"}), threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)

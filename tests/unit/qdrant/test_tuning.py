"""From the settings to what searches and collections say of the vector index."""

from shared.qdrant.tuning import IndexTuning
from shared.settings import Settings


def test_the_defaults_of_the_settings_are_those_of_who_has_none() -> None:
    assert IndexTuning.of(Settings(_env_file=None)) == IndexTuning()


def test_whole_vectors_are_searched_in_the_graph_alone() -> None:
    tuning = IndexTuning.of(Settings(_env_file=None, qdrant_hnsw_ef=300, qdrant_oversampling=4))
    assert tuning.search_params == {"hnsw_ef": 300}
    assert tuning.quantization is None


def test_what_was_found_by_int8_is_rescored() -> None:
    settings = Settings(_env_file=None, qdrant_quantization="int8", qdrant_oversampling=3)
    tuning = IndexTuning.of(settings)
    assert tuning.search_params == {
        "hnsw_ef": 1024,
        "quantization": {"rescore": True, "oversampling": 3},
    }
    assert tuning.quantization is not None
    # No field that servers of 1.18 don't know.
    assert tuning.quantization.model_dump(exclude_none=True) == {
        "scalar": {"type": "int8", "quantile": 0.99, "always_ram": True}
    }
    assert tuning.optimizers.model_dump(mode="json", exclude_none=True) == {
        "indexing_threshold": 10_000,
        "deleted_threshold": 0.2,
        "max_optimization_threads": "auto",
    }


def test_the_cores_that_build_a_graph_are_bounded_where_asked() -> None:
    settings = Settings(_env_file=None, qdrant_indexing_threads=2, qdrant_deleted_threshold=0.5)
    tuning = IndexTuning.of(settings)
    assert tuning.graph.model_dump(exclude_none=True) == {"max_indexing_threads": 2}
    assert tuning.optimizers.model_dump(exclude_none=True) == {
        "indexing_threshold": 10_000,
        "deleted_threshold": 0.5,
        "max_optimization_threads": 1,
    }
    assert IndexTuning().graph.model_dump(exclude_none=True) == {"max_indexing_threads": 0}

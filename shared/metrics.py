"""The numbers this project shows on /metrics, each defined once."""

from prometheus_client import Counter, Gauge, Histogram, start_http_server
from prometheus_client.multiprocess import mark_process_dead

EMBEDDINGS = Counter(
    "embeddings_total",
    "Vectors computed by the model; failed ones, warm-up and readiness checks are not counted.",
    ["kind"],
)

EMBEDDING_BATCH_SIZE = Histogram(
    "embedding_batch_size",
    "Pictures or texts in one forward pass of the model.",
    ["kind"],
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)

ENCODER_BUSY_SECONDS = Counter(
    "encoder_busy_seconds_total",
    "Time in forward passes of the model; its rate is the share of time that the model works.",
    ["kind"],
)

IMAGE_FETCHES = Counter(
    "image_fetches_total",
    "Pictures fetched, by how it ended: ok, or the item's code.",
    ["result"],
)

IMAGE_FETCH_SECONDS = Histogram(
    "image_fetch_seconds",
    "Time to fetch one picture, failed ones included.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60),
)

SEARCH_CACHE_REQUESTS = Counter(
    "search_cache_requests_total", "Searches, by the answer cache's result.", ["result"]
)

SEARCH_RANKING_REQUESTS = Counter(
    "search_ranking_requests_total",
    "Searches that the answer cache missed, by whether their ranking was cached.",
    ["result"],
)

COLUMNS_BUILDS = Counter(
    "columns_builds_total",
    "Tables of columns read anew from the index, by how it ended: built, too_large or failed.",
    ["result"],
)

COLUMNS_BUILD_SECONDS = Histogram(
    "columns_build_seconds",
    "Time to read one tenant's table of columns anew.",
    buckets=(0.01, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)

COLUMNS_MENDED = Counter(
    "columns_mended_total", "Changed products that were read anew into tables of columns."
)

COLUMNS_MEND_SECONDS = Histogram(
    "columns_mend_seconds",
    "Time to bring a table of columns up to the reported changes.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)

COLUMNS_PRODUCTS = Gauge(
    "columns_products",
    "Products held in tables of columns, of all tenants.",
    multiprocess_mode="livesum",
)

REPORTS = Counter("reports_total", "Wanted states a worker reported on, by result.", ["result"])

DOORBELL_FAILURES = Counter("doorbell_failures_total", "Doorbells the broker did not take.")

LANE_PAUSES = Counter("lane_pauses_total", "Batches given back: a service was down.", ["reason"])

RATE_LIMITED = Counter(
    "rate_limited_total", "Requests refused because their caller's limit was used up.", ["kind"]
)

QUERY_VECTOR_REQUESTS = Counter(
    "search_vector_cache_requests_total",
    "Query vectors looked up, by the cache's result.",
    ["result"],
)

HTTP_REQUESTS = Counter(
    "http_requests_total", "Requests answered by the API.", ["route", "method", "status"]
)

HTTP_SECONDS = Histogram(
    "http_request_seconds",
    "Time from a request's first line to its answer, waiting included.",
    ["route", "method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


def serve_metrics(host: str, port: int) -> None:
    """Serves this process's metrics to Prometheus. Raises OSError if the port is taken."""
    start_http_server(port, host)


def forget_process(pid: int) -> None:
    """Takes an ended process's live gauges out of the directory that processes share."""
    mark_process_dead(pid)  # type: ignore[no-untyped-call]

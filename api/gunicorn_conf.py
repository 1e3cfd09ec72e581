"""How gunicorn serves the API: one process, many threads. Its names are gunicorn's settings."""

import ctypes
import os
import resource
import signal
import sys
from typing import Any

from api.access.auth import key_ring
from api.access.key_file import KeysFileError
from shared.loopback import OpenToTheNetwork
from shared.metrics import forget_process
from shared.settings import SETTINGS_FAULT, get_settings

_settings = get_settings()

bind = (
    f"[{_settings.api_host}]:{_settings.api_port}"
    if ":" in _settings.api_host
    else f"{_settings.api_host}:{_settings.api_port}"
)
proc_name = "vitrine-api"

# One process holds one model; requests wait for Redis, Qdrant and torch, none of which holds the
# GIL for long. More processes stand behind a load balancer.
workers = 1
worker_class = "api.gunicorn_worker.ProblemWorker"
threads = _settings.api_threads

# Each connection takes a file descriptor, and the API's own connections need some besides. If none
# were left, every search would fail.
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
_descriptors = _hard if _hard != resource.RLIM_INFINITY else max(_soft, 65_536)
resource.setrlimit(resource.RLIMIT_NOFILE, (_descriptors, _hard))
worker_connections = max(threads + 1, min(1000, _descriptors - 2 * threads - 128))

# Above the idle time of common load balancers' connections, which then close them first.
keepalive = 75

# A process is started anew after these seconds without a sign of life; fetching and loading a
# model counts as none. What hangs later is ended sooner by shared/watchdog.py.
timeout = 600

# The sign of life is a file's time, set at every turn of the loop. On the disk that the ledger
# syncs with every write, the loop would wait for it.
_IN_MEMORY = "/dev/shm"  # noqa: S108 - gunicorn removes the file's name as soon as it is open
worker_tmp_dir = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else None

# As long as the longest `?wait`, and a little.
graceful_timeout = 35

# A product id of 128 characters takes 1.5 kB percent-encoded; searches by GET have 1,000.
limit_request_line = 8190
limit_request_fields = 64
limit_request_field_size = 8190

# Nothing here depends on the client's scheme or address, so no proxy's word is needed for them;
# by default a header could name another path.
forwarded_allow_ips = ""
forwarder_headers = ""

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>

# Access lines are ours (api/request_log.py). The control socket would be one per user, not per
# process.
accesslog = None
control_socket_disable = True
logger_class = "api.gunicorn_logger.GunicornLogger"


def on_starting(server: object) -> None:  # noqa: ARG001 - gunicorn's signature
    """Refuses to start if the API would be open to the network, before a model is loaded."""
    try:
        key_ring(_settings)
    except (OpenToTheNetwork, KeysFileError) as err:
        print(f"vitrine: will not start: {err}", file=sys.stderr, flush=True)  # noqa: T201
        # Not 1, with which a crash ends: supervisors would start us again, for ever.
        sys.exit(SETTINGS_FAULT)


def post_fork(server: object, worker: object) -> None:  # noqa: ARG001 - gunicorn's signature
    """Has the kernel end the worker with its arbiter.

    By itself it ends only once it looks for its parent, which is after the model was loaded.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def child_exit(server: object, worker: Any) -> None:  # noqa: ARG001 - gunicorn's signature
    """Forgets an ended process's live gauges if processes share a metrics directory."""
    if _settings.prometheus_multiproc_dir:
        forget_process(worker.pid)

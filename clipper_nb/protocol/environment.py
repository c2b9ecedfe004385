"""Environment variables, ports, labels and module names that container managers and processes share."""

from __future__ import annotations

DEFAULT_QUERY_PORT = 1337
DEFAULT_MANAGEMENT_PORT = 1338
DEFAULT_RPC_PORT = 7000
DEFAULT_CACHE_SIZE_BYTES = 33_554_432
DEFAULT_MAX_BODY_SIZE_BYTES = 16 * 1024 * 1024

QUERY_FRONTEND_MODULE = "clipper_nb.runtime.query_frontend"
MANAGEMENT_FRONTEND_MODULE = "clipper_nb.runtime.management_frontend"
MODEL_CONTAINER_MODULE = "clipper_nb.runtime.model_container"
SUPERVISOR_MODULE = "clipper_nb.container_managers.supervisor"

# Frontends.
REDIS_URL = "CLIPPER_REDIS_URL"
BIND_ADDRESS = "CLIPPER_BIND_ADDRESS"
HTTP_PORT = "CLIPPER_HTTP_PORT"
HTTP_SOCKET = "CLIPPER_HTTP_SOCKET"
"""File descriptor of a socket that already listens; takes the place of address and port."""
RPC_PORT = "CLIPPER_RPC_PORT"
RPC_SOCKET = "CLIPPER_RPC_SOCKET"
FRONTEND_ID = "CLIPPER_FRONTEND_ID"
CACHE_SIZE_BYTES = "CLIPPER_CACHE_SIZE_BYTES"
MAX_BODY_SIZE_BYTES = "CLIPPER_MAX_BODY_SIZE_BYTES"
HEADER_TIMEOUT_S = "CLIPPER_HEADER_TIMEOUT_S"
BODY_TIMEOUT_S = "CLIPPER_BODY_TIMEOUT_S"
ADMIN_TOKEN = "CLIPPER_ADMIN_TOKEN"

# Model containers; the first six are Clipper's.
MODEL_NAME = "CLIPPER_MODEL_NAME"
MODEL_VERSION = "CLIPPER_MODEL_VERSION"
FRONTEND_HOST = "CLIPPER_IP"
FRONTEND_RPC_PORT = "CLIPPER_PORT"
INPUT_TYPE = "CLIPPER_INPUT_TYPE"
MODEL_PATH = "CLIPPER_MODEL_PATH"
LOAD_TIMEOUT_S = "CLIPPER_LOAD_TIMEOUT_S"
"""After about this long a loading model container writes where it hangs into its log."""

# Every process of an embedded cluster carries its folder, so that none can be lost.
CLUSTER_FOLDER = "CLIPPER_CLUSTER_FOLDER"

LOAD_FAILED_EXIT_STATUS = 1
IMPORT_FAILED_EXIT_STATUS = 3

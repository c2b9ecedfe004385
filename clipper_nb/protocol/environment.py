"""Environment variables, ports, labels and module names that container managers and processes share."""

from __future__ import annotations

DEFAULT_QUERY_PORT = 1337
DEFAULT_MANAGEMENT_PORT = 1338
DEFAULT_RPC_PORT = 7000
DEFAULT_CACHE_SIZE_BYTES = 33_554_432
DEFAULT_MAX_BODY_SIZE_BYTES = 16 * 1024 * 1024
DEFAULT_MAX_WAITING_SIZE_BYTES = 256 * 1024 * 1024

QUERY_FRONTEND_MODULE = "clipper_nb.runtime.query_frontend"
MANAGEMENT_FRONTEND_MODULE = "clipper_nb.runtime.management_frontend"
BOTH_FRONTENDS_MODULE = "clipper_nb.runtime.both_frontends"
MODEL_CONTAINER_MODULE = "clipper_nb.runtime.model_container"
HEALTH_CHECK_MODULE = "clipper_nb.runtime.health_check"
NURSERY_MODULE = "clipper_nb.runtime.nursery"
SUPERVISOR_MODULE = "clipper_nb.container_managers.local.supervisor"

# Frontends.
REDIS_URL = "CLIPPER_REDIS_URL"
REDIS_KEY_PREFIX = "CLIPPER_REDIS_KEY_PREFIX"
"""Distinguishes the keys of clusters that share one Redis."""
REDIS_CA_CERTIFICATES = "CLIPPER_REDIS_CA_CERTIFICATES"
"""PEM text of the certificates to verify a Redis over TLS with, instead of the system's."""
BIND_ADDRESS = "CLIPPER_BIND_ADDRESS"
HTTP_PORT = "CLIPPER_HTTP_PORT"
HTTP_SOCKET = "CLIPPER_HTTP_SOCKET"
"""File descriptor of a socket that already listens; replaces address and port."""
HTTP_UNIX_SOCKET = "CLIPPER_HTTP_UNIX_SOCKET"
"""File descriptor of a Unix socket on which the management frontend is called from this machine too."""
HTTP_UNIX_PATH = "CLIPPER_HTTP_UNIX_PATH"
"""Where it makes that socket itself; it goes without one that cannot be made."""
RPC_PORT = "CLIPPER_RPC_PORT"
RPC_SOCKET = "CLIPPER_RPC_SOCKET"
RPC_UNIX_SOCKET = "CLIPPER_RPC_UNIX_SOCKET"
"""File descriptor of a Unix socket on which replicas of this machine are served too."""
RPC_UNIX_FOLDER = "CLIPPER_RPC_UNIX_FOLDER"
"""A folder in which query frontends make Unix sockets for the replicas that see it, whichever user they are."""
SOCKETS = (HTTP_SOCKET, HTTP_UNIX_SOCKET, RPC_SOCKET, RPC_UNIX_SOCKET)
REPLICA_SECRET_FILE = "CLIPPER_REPLICA_SECRET_FILE"
"""A file with the secret that the tokens of replicas are made from; without it no replica has to prove anything."""
CLIPPER_CONTAINERS = "CLIPPER_ACCEPT_CLIPPER_CONTAINERS"
"""Which versions containers without a token may serve: ``protocol/clipper_containers.py``."""
CONTAINER_NETWORK = "CLIPPER_CONTAINER_NETWORK"
"""The network that containers without a token come from, if their version has an image, and its gateway."""
PROVEN_NETWORK = "CLIPPER_PROVEN_NETWORK"
"""The network in which each replica has a token, and its gateway."""
FRONTEND_ID = "CLIPPER_FRONTEND_ID"
RUN_ID = "CLIPPER_RUN_ID"
"""The same for all frontends of a cluster, until it is stopped: a resumed one has another."""
NUM_FRONTENDS = "CLIPPER_NUM_FRONTENDS"
"""How many query frontends share the HTTP port, as processes of one parent."""
FRONTENDS_ARE_APART = "CLIPPER_FRONTENDS_ARE_APART"
"""Set where query frontends are no neighbours: each is in a pod of its own, and counts its own queries."""
CACHE_SIZE_BYTES = "CLIPPER_CACHE_SIZE_BYTES"
MAX_BODY_SIZE_BYTES = "CLIPPER_MAX_BODY_SIZE_BYTES"
MAX_WAITING_SIZE_BYTES = "CLIPPER_MAX_WAITING_SIZE_BYTES"
"""Limit on all large bodies together that a frontend has received, in part or whole, and not answered."""
HEADER_TIMEOUT_S = "CLIPPER_HEADER_TIMEOUT_S"
BODY_TIMEOUT_S = "CLIPPER_BODY_TIMEOUT_S"
ADMIN_TOKEN = "CLIPPER_ADMIN_TOKEN"
QUERY_TOKEN = "CLIPPER_QUERY_TOKEN"
"""The token that clients of the query frontend, and of both frontends' metrics, need; none if it is not set."""
ALLOWED_HOSTS = "CLIPPER_ALLOWED_HOSTS"
"""Names under which the frontend may be asked, besides addresses and ``localhost``; separated by spaces."""
ALLOW_ORIGINS = "CLIPPER_ALLOW_ORIGINS"
"""Servers whose pages may ask the query frontend; separated by spaces."""
TLS_CERTIFICATE = "CLIPPER_TLS_CERTIFICATE"
"""PEM text of a private key and its certificates: the frontend's TCP port then speaks HTTPS."""
TLS_IDENTITY = "CLIPPER_TLS_IDENTITY"
"""In the management frontend's container, for ``connect()`` and a resumption: ``protocol/tls_identity.py``."""

SECRETS = (REDIS_URL, ADMIN_TOKEN, QUERY_TOKEN, TLS_CERTIFICATE, TLS_IDENTITY)
"""Variables that may come as files: ``file_variable`` of each."""

# What the parent of several query frontends passes to each of them.
WORKER_INDEX = "CLIPPER_WORKER_INDEX"
WORKERS_PARENT = "CLIPPER_WORKERS_PARENT"
"""Process id of the parent."""
WORKERS_FOLDER = "CLIPPER_WORKERS_FOLDER"
"""The folder through which they share their counters."""
WORKERS_RPC_PORTS = "CLIPPER_WORKERS_RPC_PORTS"
"""The RPC ports of all workers, in order."""

# Model containers; the first six are Clipper's.
MODEL_NAME = "CLIPPER_MODEL_NAME"
MODEL_VERSION = "CLIPPER_MODEL_VERSION"
FRONTEND_HOST = "CLIPPER_IP"
FRONTEND_RPC_PORT = "CLIPPER_PORT"
INPUT_TYPE = "CLIPPER_INPUT_TYPE"
MODEL_PATH = "CLIPPER_MODEL_PATH"
LOAD_TIMEOUT_S = "CLIPPER_LOAD_TIMEOUT_S"
"""After about this long a container that is still loading its model logs where it hangs."""
NO_NETWORK = "CLIPPER_NO_NETWORK"
"""Set in a replica that has no network."""
FRONTEND_SOCKET = "CLIPPER_FRONTEND_SOCKET"
"""The path of a query frontend's Unix socket; replaces address and port."""
REPLICA_CREDENTIALS_FILE = "CLIPPER_REPLICA_CREDENTIALS_FILE"
"""A file with the name and the token of this replica: ``protocol/replica_proof.py``."""
REPLICA_NAME = "CLIPPER_REPLICA_NAME"
"""The name of this replica, if the replicas of its version share one file with credentials."""
FOLLOW_FRONTENDS = "CLIPPER_FOLLOW_FRONTENDS"
"""Set in a replica that serves every address that the name of its frontend has, also those that it gets later."""
VARIABLES_FILE = "CLIPPER_VARIABLES_FILE"
"""A file with the variables of a replica's version, where everyone who may look at a container sees its environment."""
CONTAINER_VARIABLES = "CLIPPER_CONTAINER_VARIABLES"
"""Names of variables whose values in the environment win over those of that file; separated by spaces."""

TEXT_OUTPUTS = "CLIPPER_TEXT_OUTPUTS"
"""``text``: text that the model returns stays text; else it is read as JSON where it is JSON."""

HANG_TIMEOUT_S = "CLIPPER_HANG_TIMEOUT_S"
"""The version's ``hang_timeout_s``, or ``none``; the default if it is not set."""
DEFAULT_HANG_TIMEOUT_S = 30.0
NONE = "none"

READY_FILE = "CLIPPER_READY_FILE"
"""A file that exists while the model is registered with the query frontend, for a health check."""

# Labels of containers; the first ones are Clipper's.
LABEL_CLUSTER = "ai.clipper.container.label"
LABEL_NAME = "ai.clipper.name"
LABEL_REPLICA = "ai.clipper.model_container.label"
LABEL_QUERY_FRONTEND = "ai.clipper.query_frontend.label"
LABEL_MANAGEMENT_FRONTEND = "ai.clipper.management_frontend.label"
LABEL_QUERY_PORT = "ai.clipper.query_frontend.query.port"
LABEL_RPC_PORT = "ai.clipper.query_frontend.rpc.port"
LABEL_METRIC_PORT = "ai.clipper.metric.port"
LABEL_MANAGEMENT_PORT = "ai.clipper.management.port"
LABEL_ROLE = "ai.clipper.role"
LABEL_MODEL = "ai.clipper.model.name"
LABEL_MODEL_VERSION = "ai.clipper.model.version"
LABEL_IMAGE = "ai.clipper.image"
"""The tag of a replica's image as the cluster knows it; engines may show another form of it."""
LABEL_GRAFANA_PORT = "ai.clipper.grafana.port"
LABEL_PACKAGE_VERSION = "ai.clipper.package_version"
LABEL_START = "ai.clipper.start"
"""Distinguishes one start of a cluster from another of the same name."""
LABEL_STARTER = "ai.clipper.starter"
"""The process that starts a cluster now, on the volume that notes it."""
LABEL_OPTIONS = "ai.clipper.options"
"""The arguments of ``start_clipper`` as JSON, on both frontends."""
LABEL_USER_IDS = "ai.clipper.user_ids"
"""The first of the cluster's user ids and their number, on both frontends."""
LABEL_IMAGE_KIND = "ai.clipper.image.kind"
LABEL_IMAGE_LIFETIME = "ai.clipper.image.lifetime"
"""``version`` on an image that a deploy built, which is removed when its version is stopped."""
LABEL_IMAGE_PACKAGES = "ai.clipper.image.packages"
"""A JSON list of the pip requirements that the user named; missing without any."""
LABEL_IMAGE_BASE = "ai.clipper.image.base"
"""The base image that the user named; missing without one."""

# Every process of an embedded cluster carries the cluster's folder, so that none can be lost.
CLUSTER_FOLDER = "CLIPPER_CLUSTER_FOLDER"
CONTAINER_NAME = "CLIPPER_CONTAINER_NAME"
"""Name of the supervised process itself, or of the one that started it."""

LOAD_FAILED_EXIT_STATUS = 1
IMPORT_FAILED_EXIT_STATUS = 3
JVM_ENDED_EXIT_STATUS = 4
"""A replica of Spark whose JVM has ended."""
HUNG_EXIT_STATUS = 5
"""A replica that was busy with one batch for too long."""


def file_variable(secret: str) -> str:
    """Return the variable that tells a process the path of a file with a secret, in place of the secret itself."""
    return f"{secret}_FILE"

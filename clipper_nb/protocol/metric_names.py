"""The names of all metrics: the frontends write them, and panels, ``inspect_instance()`` and Prometheus read them.

The names include the base unit. docs/protocol.md says what each metric counts.
"""

from __future__ import annotations

APP_QUERIES = "clipper_app_queries_total"
APP_DEFAULT_OUTPUTS = "clipper_app_default_outputs_total"
APP_BAD_REQUESTS = "clipper_app_bad_requests_total"
APP_LATENCY = "clipper_app_latency_seconds"
APP_LATENESS = "clipper_app_lateness_seconds"
APP_SLO = "clipper_app_slo_seconds"
APP_READY = "clipper_app_ready"

TARGET_QUERIES = "clipper_target_queries_total"
TARGET_DEFAULT_OUTPUTS = "clipper_target_default_outputs_total"
TARGET_LATENCY = "clipper_target_latency_seconds"
TARGET_SCORE = "clipper_target_score"
TARGET_SCORES = "clipper_target_scores"

MODEL_PREDICTIONS = "clipper_model_predictions_total"
MODEL_ERRORS = "clipper_model_errors_total"
MODEL_ISOLATED = "clipper_model_isolated_total"
MODEL_LOST = "clipper_model_lost_total"
MODEL_HUNG = "clipper_model_hung_replicas_total"
MODEL_LOST_REPLICAS = "clipper_model_lost_replicas_total"
MODEL_CACHE_HITS = "clipper_model_cache_hits_total"
MODEL_CACHE_MISSES = "clipper_model_cache_misses_total"
MODEL_BATCH_SIZE = "clipper_model_batch_size"
MODEL_BATCH_LATENCY = "clipper_model_batch_latency_seconds"
MODEL_QUEUE_LENGTH = "clipper_model_queue_length"
MODEL_REPLICAS = "clipper_model_replicas"

SHADOW_QUERIES = "clipper_shadow_queries_total"
SHADOW_DROPPED = "clipper_shadow_dropped_total"
SHADOW_FAILURES = "clipper_shadow_failures_total"
SHADOW_COMPARED = "clipper_shadow_compared_total"
SHADOW_AGREED = "clipper_shadow_agreed_total"

CONTAINERS_REFUSED = "clipper_refused_containers_total"

CACHE_SIZE = "clipper_cache_size_bytes"
CACHE_ENTRIES = "clipper_cache_entries"
CACHE_EVICTIONS = "clipper_cache_evictions_total"

OWN_PREFIX = "clipper_user_"
"""How the names of metrics begin that models count themselves; counters end with ``_total``."""

ADMIN_REQUESTS = "clipper_admin_requests_total"
ADMIN_REQUESTS_CREATED = "clipper_admin_requests_created"

LABEL_APP = "app"
LABEL_REASON = "reason"
"""Why an application answered with its default output, or a container was refused."""
LABEL_MODEL = "model"
LABEL_VERSION = "version"
LABEL_REPLICA = "replica"
"""The place of a replica among those of its version, from 0; the next replica in that place has the same."""

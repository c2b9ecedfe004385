"""Calls the API server of a Kubernetes; its refusals and its silence become errors of this package.

lightkube reads the kubeconfig, or the account of the pod that this process is in, and proves who calls. Objects are
sent and received as JSON, as their manifests have them.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from clipper_nb.container_managers.kubernetes.names import selector_text
from clipper_nb.container_managers.kubernetes.pods import Manifest
from clipper_nb.errors import ClusterError, ClusterUnreachableError, ExistsError, InvalidRequestError

if TYPE_CHECKING:
    import httpx2
    from lightkube import KubeConfig

_TIMEOUT_S = 15.0
_WATCH_S, _WATCH_TIMEOUT_S = 50, 65.0
"""The server ends a watch; a connection that died is noticed soon after it should have."""
_LOG_TIMEOUT_S = 3.0
"""Nodes tell a second late that a container runs; until then they do not give its log."""
_NUM_TRIES, _RETRY_INTERVAL_S = 3, 0.3
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_EXTRA = "Kubernetes needs the package lightkube: pip install 'clipper-nb[notebook,kubernetes]'."
MERGE_PATCH = "application/merge-patch+json"

PATHS = {
    "Deployment": "apis/apps/v1/namespaces/{}/deployments",
    "Endpoints": "api/v1/namespaces/{}/endpoints",
    "Namespace": "api/v1/namespaces",
    "NetworkPolicy": "apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "Node": "api/v1/nodes",
    "PersistentVolumeClaim": "api/v1/namespaces/{}/persistentvolumeclaims",
    "Pod": "api/v1/namespaces/{}/pods",
    "PodDisruptionBudget": "apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "Secret": "api/v1/namespaces/{}/secrets",
    "Service": "api/v1/namespaces/{}/services",
    "ServiceAccount": "api/v1/namespaces/{}/serviceaccounts",
    "StatefulSet": "apis/apps/v1/namespaces/{}/statefulsets",
    "StorageClass": "apis/storage.k8s.io/v1/storageclasses",
}
"""Where the server has the objects of each kind."""


class KubernetesApi:
    """Calls the API server for one namespace; nothing is read or connected before the first call.

    Every method raises ``ClusterUnreachableError`` when the server does not answer, and ``ClusterError`` when it
    refuses: its message says what and why.

    Parameters
    ----------
    namespace : str
    kubeconfig : path, optional
        Without one: ``KUBECONFIG``, then ``~/.kube/config``, then the account of the pod that this process is in.
    context : str, optional
        Of the kubeconfig; its current one by default.
    proxy : str, optional
        In place of both: the URL of a ``kubectl proxy``, which knows the server and proves who calls.
    """

    def __init__(
        self,
        namespace: str,
        kubeconfig: str | Path | None = None,
        context: str | None = None,
        *,
        proxy: str | None = None,
    ) -> None:
        self._namespace = namespace
        self._proxy = proxy
        self._kubeconfig = kubeconfig
        self._context = context
        self._http: httpx2.Client | None = None
        self._watches: list[httpx2.Response] = []

    @property
    def address(self) -> str:
        """The server's URL."""
        return str(self._client.base_url).rstrip("/")

    def create(self, manifest: Manifest) -> Manifest:
        """Create an object; raises :class:`ExistsError` if there is one of its name."""
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        status, reply = self._call("POST", self._path(kind), f"creating {kind} '{name}'", body=manifest)
        if status == HTTPStatus.CONFLICT:
            raise ExistsError(f"Namespace '{self._namespace}' has a {kind} '{name}' already.")
        return reply

    def get(self, kind: str, name: str) -> Manifest | None:
        """Return an object, or ``None``."""
        status, reply = self._call("GET", f"{self._path(kind)}/{name}", f"reading {kind} '{name}'")
        return None if status == HTTPStatus.NOT_FOUND else reply

    def find(self, kind: str, labels: Mapping[str, str] | None = None, **more: str) -> list[Manifest]:
        """Return the objects of a kind with these labels; none where the server does not know the kind."""
        return self.find_at(kind, labels, **more)[0]

    def find_at(self, kind: str, labels: Mapping[str, str] | None = None, **more: str) -> tuple[list[Manifest], str]:
        """Return the objects, and the version of the whole from which changes can be watched."""
        wanted = {**more, **({"labelSelector": selector_text(labels)} if labels else {})}
        status, reply = self._call("GET", self._path(kind), f"listing {kind}s", wanted)
        if status == HTTPStatus.NOT_FOUND:
            return [], ""
        return list(reply.get("items") or ()), str(reply["metadata"].get("resourceVersion", ""))

    def patch(self, kind: str, name: str, change: Mapping[str, Any]) -> Manifest | None:
        """Merge a change into an object and return it; ``None`` if there is none.

        A change with a ``resourceVersion`` raises :class:`ExistsError` if the object is of another version by now.
        """
        path = f"{self._path(kind)}/{name}"
        status, reply = self._call("PATCH", path, f"changing {kind} '{name}'", body=change)
        if status == HTTPStatus.CONFLICT:
            raise ExistsError(f"{kind} '{name}' in namespace '{self._namespace}' was changed by another caller.")
        return None if status == HTTPStatus.NOT_FOUND else reply

    def delete(self, kind: str, name: str, *, grace_s: int | None = None, wait_for_dependents: bool = False) -> None:
        """Delete an object, and what it owns; it may take a while to be gone. An unknown one is fine."""
        options: Manifest = {"propagationPolicy": "Foreground" if wait_for_dependents else "Background"}
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        self._call("DELETE", f"{self._path(kind)}/{name}", f"deleting {kind} '{name}'", body=options)

    def log(self, pod: str, *, max_lines: int | None = None, is_previous: bool = False) -> str:
        """Return the end of the log of a pod's container, or of its predecessor; empty without one."""
        wanted = {} if max_lines is None else {"tailLines": str(max_lines)}
        if is_previous:
            wanted["previous"] = "true"
        path, what = f"{self._path('Pod')}/{pod}/log", f"reading the log of '{pod}'"
        deadline_s = time.monotonic() + _LOG_TIMEOUT_S
        response = self._send("GET", path, what, wanted)
        while b"ContainerCreating" in response.content and response.is_error and time.monotonic() < deadline_s:
            time.sleep(_RETRY_INTERVAL_S)
            response = self._send("GET", path, what, wanted)
        if response.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST):  # no pod; a container not started
            return ""
        self._check(response, what)
        return response.content.decode("utf-8", "replace")

    def watch(
        self, kind: str, labels: Mapping[str, str], version: str, *, is_over: Callable[[], bool]
    ) -> Iterator[tuple[str, Manifest]]:
        """Yield changes since *version* as they come: ``ADDED``, ``MODIFIED``, ``DELETED`` and the object.

        It ends after a while, without an error; when the server has forgotten that version, with ``ERROR``; or with
        ``end_watches``, before which *is_over* must have become true.
        """
        wanted = {
            "watch": "true",
            "labelSelector": selector_text(labels),
            "resourceVersion": version,
            "timeoutSeconds": str(_WATCH_S),
        }
        with (
            self._translated(f"watching {kind}s"),
            self._client.stream("GET", self._path(kind), params=wanted, timeout=_WATCH_TIMEOUT_S) as response,
        ):
            if response.is_error:
                response.read()
                self._check(response, f"watching {kind}s")
            self._watches.append(response)
            try:
                if is_over():
                    return
                for line in response.iter_lines():
                    event = msgspec.json.decode(line)
                    yield event["type"], event["object"]
            finally:
                self._watches.remove(response)

    def end_watches(self) -> None:
        """Let the watches of other threads end, as if the server had ended them."""
        for response in list(self._watches):
            connection = response.extensions["network_stream"].get_extra_info("socket")
            with contextlib.suppress(OSError):  # it may have ended by itself
                socket.socket.shutdown(connection, socket.SHUT_RDWR)  # not the TLS one: another thread reads

    def has_api(self, group_version: str) -> bool:
        """Return whether the server has an API, such as ``policy/v1``."""
        status, _ = self._call("GET", f"apis/{group_version}", f"looking for the API {group_version}")
        return status != HTTPStatus.NOT_FOUND

    def version(self) -> str:
        """Return the server's release, such as ``v1.31.2``."""
        return str(self._call("GET", "version", "asking for its version")[1]["gitVersion"])

    def kubectl_options(self) -> list[str]:
        """Return the options with which kubectl calls the same server as the same user."""
        if self._proxy is not None:
            return ["--kubeconfig", os.devnull, "--server", self._proxy]
        found = [] if self._kubeconfig is None else ["--kubeconfig", str(Path(self._kubeconfig).expanduser())]
        return found if self._context is None else [*found, "--context", self._context]

    # --- within

    def _path(self, kind: str) -> str:
        return PATHS[kind].format(self._namespace)

    def _call(
        self,
        method: str,
        path: str,
        what: str,
        params: Mapping[str, str] | None = None,
        *,
        body: Mapping[str, Any] | None = None,
    ) -> tuple[int, Manifest]:
        """Return status and reply; statuses other than success, "not found" and "exists" are raised."""
        response = self._send(method, path, what, params, body=body)
        if response.status_code != HTTPStatus.NOT_FOUND and not _is_conflict(response):
            self._check(response, what)
        if method == "POST" and response.status_code == HTTPStatus.NOT_FOUND:
            self._check(response, what)  # the namespace, or the API
        return response.status_code, _parse(response)

    def _send(
        self,
        method: str,
        path: str,
        what: str,
        params: Mapping[str, str] | None = None,
        *,
        body: Mapping[str, Any] | None = None,
    ) -> httpx2.Response:
        headers = {"Content-Type": MERGE_PATCH if method == "PATCH" else "application/json"} if body else {}
        content = msgspec.json.encode(body) if body else None
        with self._translated(what):
            for is_last in (False,) * (_NUM_TRIES - 1) + (True,):
                try:
                    response = self._client.request(
                        method, path, params=dict(params or {}), content=content, headers=headers
                    )
                except Exception as exc:
                    if is_last or method == "POST" or not _is_passing(exc):
                        raise
                else:
                    if is_last or response.status_code != HTTPStatus.TOO_MANY_REQUESTS:
                        return response
                time.sleep(_RETRY_INTERVAL_S)
        raise AssertionError("the last try returns or raises")

    def _check(self, response: httpx2.Response, what: str) -> None:
        """Raise the error that a refusal stands for."""
        if not response.is_error:
            return
        message = str(_parse(response).get("message") or response.text[:200]).strip().rstrip(".")
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            raise ClusterError(
                f"The Kubernetes API server at {self.address} does not accept your credentials, {what}. Renew them: "
                "`kubectl get pods` must work in a terminal here."
            )
        if response.status_code == HTTPStatus.FORBIDDEN and "exceeded quota" not in message:
            raise ClusterError(
                f"Kubernetes forbids {what}: {message}. Ask for the role in docs/kubernetes.md, which has all rights "
                "that a notebook needs in a namespace."
            )
        raise ClusterError(f"Kubernetes refused {what}: {message}.")

    @property
    def _client(self) -> httpx2.Client:
        if self._http is None:
            self._http = self._connect()
        return self._http

    def _connect(self) -> httpx2.Client:
        try:
            import httpx2
            from lightkube.config.client_adapter import Client, ConnectionParams
            from lightkube.core.exceptions import ConfigError
        except ImportError as exc:
            raise ClusterError(_EXTRA) from exc
        try:
            config = self._load_config().get(self._context)
            if config is None:
                raise ConfigError("they have no current context")
            client = Client(config, ConnectionParams(timeout=httpx2.Timeout(_TIMEOUT_S)))
            weakref.finalize(self, client.close)
            return client
        except Exception as exc:  # lightkube checks little of what it reads
            raise InvalidRequestError(
                f"The settings to reach Kubernetes cannot be used: {exc}. `kubectl get pods` must work in a terminal "
                "here; kubeconfig= and context= choose others."
            ) from exc

    def _load_config(self) -> KubeConfig:
        from lightkube import KubeConfig
        from lightkube.config.models import Cluster, User

        if self._proxy is not None:
            return KubeConfig.from_one(cluster=Cluster(server=self._proxy), user=User())
        if self._kubeconfig is not None:
            return KubeConfig.from_file(Path(self._kubeconfig).expanduser())
        named = [Path(each).expanduser() for each in os.environ.get("KUBECONFIG", "").split(os.pathsep) if each]
        found = [path for path in [*named, Path("~/.kube/config").expanduser()] if path.exists()]
        if named or found:
            return KubeConfig.from_file((found or named)[0])
        if _SERVICE_ACCOUNT.exists():
            return KubeConfig.from_service_account()
        raise LookupError("there is no kubeconfig, and this process is in no pod")

    @contextlib.contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        client = self._client
        import httpx2

        try:
            yield
        except httpx2.HTTPError as exc:
            raise ClusterUnreachableError(
                f"The Kubernetes API server at {client.base_url} does not answer, {what}: {exc or type(exc).__name__}.",
                is_passing=_is_passing(exc),
            ) from exc


def _parse(response: httpx2.Response) -> Manifest:
    try:
        return cast("Manifest", msgspec.json.decode(response.content))
    except msgspec.DecodeError:
        return {}


def _is_conflict(response: httpx2.Response) -> bool:
    """Return whether there is an object of that name, or the object that was meant has changed."""
    reason = {"POST": "AlreadyExists", "PATCH": "Conflict"}.get(response.request.method)
    return response.status_code == HTTPStatus.CONFLICT and _parse(response).get("reason") == reason


def _is_passing(exc: BaseException) -> bool:
    """Return whether a connection was refused or broke, as happens while a server restarts."""
    import httpx2

    return isinstance(exc, (httpx2.NetworkError, httpx2.RemoteProtocolError))

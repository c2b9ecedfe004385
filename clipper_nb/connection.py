"""``ClipperConnection``: everything a notebook does with a cluster. Read it as the manual."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial, wraps
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from msgspec import to_builtins

from clipper_nb.client.sync_client import Client
from clipper_nb.clients.frontend_client import FrontendClient
from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.clients.metrics_report import parse_metrics
from clipper_nb.clients.query_client import QueryClient
from clipper_nb.cluster.argument_checks import (
    check_clipper_containers,
    check_flag,
    check_hosts,
    check_key,
    check_list,
    check_origins,
    check_packages,
    check_timeout,
    check_whole,
)
from clipper_nb.cluster.autoscaling import autoscale, check_number_or_bounds
from clipper_nb.cluster.claimed_version import claimed_version
from clipper_nb.cluster.completion import let_handles_complete
from clipper_nb.cluster.configuration.exporting import export_configuration
from clipper_nb.cluster.configuration.importing import Existing, ImportedConfiguration, import_configuration
from clipper_nb.cluster.deploy_options import VersionOptions, with_options
from clipper_nb.cluster.deploy_room import find_room
from clipper_nb.cluster.doctor import examine
from clipper_nb.cluster.endpoints import Endpoints
from clipper_nb.cluster.handles import Applications, Models, VersionHandle
from clipper_nb.cluster.image_cleanup import remove_unused_images
from clipper_nb.cluster.model_retrieval import ModelSource, fetch_function, read_source
from clipper_nb.cluster.new_version import NewVersion, make_new_version
from clipper_nb.cluster.ports import Records
from clipper_nb.cluster.query_token import choose_query_token, new_token
from clipper_nb.cluster.replica_logs import LogText, read_logs
from clipper_nb.cluster.resumption import resume_replicas
from clipper_nb.cluster.roll_outs import RollOutHandle, RollOuts
from clipper_nb.cluster.rollout import scale, start_and_register, unregister_and_stop
from clipper_nb.cluster.shadow_frames import shadow_frame
from clipper_nb.cluster.stale_modules import refuse_stale_modules
from clipper_nb.cluster.surroundings import check_files, folder_with_files
from clipper_nb.container_managers.base import ContainerManager
from clipper_nb.container_managers.monitoring.files import write_export
from clipper_nb.container_managers.monitoring.records import Monitoring, MonitoringOptions, ScrapeTargets
from clipper_nb.container_managers.specs import ClusterOptions, NotGiven
from clipper_nb.container_managers.tls.identity import tls_options
from clipper_nb.display.announcement import announce
from clipper_nb.display.browser_url import hub_hosts
from clipper_nb.display.diagnosis import Diagnosis
from clipper_nb.display.progress import show_progress
from clipper_nb.display.summaries import ClusterSnapshot, format_html, format_text
from clipper_nb.errors import (
    ClipperException,
    InvalidRequestError,
    ModelNotFoundError,
    UnconnectedException,
    VersionExistsError,
)
from clipper_nb.images.builder import DEFAULT_BASE_IMAGE, ImageBuilder, ImageRequest
from clipper_nb.panels.opener import Panels
from clipper_nb.protocol import names
from clipper_nb.protocol.application_tokens import digest_of
from clipper_nb.protocol.descriptions import VersionInfo
from clipper_nb.protocol.environment import (
    DEFAULT_CACHE_SIZE_BYTES,
    DEFAULT_HANG_TIMEOUT_S,
    DEFAULT_MAX_BODY_SIZE_BYTES,
    DEFAULT_MAX_WAITING_SIZE_BYTES,
)
from clipper_nb.protocol.feedback_call import UNSET, Feedback, format_feedback
from clipper_nb.protocol.input_batches import check_batch
from clipper_nb.protocol.input_types import InputType, parse_input_type
from clipper_nb.protocol.model_folder import FileReader, read_folder, write_files
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.number_rules import ADAPTIVE_BATCH_SIZE, check_port_numbers
from clipper_nb.protocol.policies import make_policy
from clipper_nb.protocol.query_history import QueryHistory
from clipper_nb.protocol.records import (
    CONTAINERLESS_IMAGE,
    DEFAULT_OUTPUT,
    DEFAULT_SLO_MICROS,
    Prediction,
)
from clipper_nb.protocol.roll_out import (
    DEFAULT_MIN_QUERIES,
    DEFAULT_PATIENCE_S,
    DEFAULT_STEP_S,
    DEFAULT_STEPS,
    MEASURES,
)
from clipper_nb.protocol.roll_out_plan import StartRollOut, check_plan, request_of
from clipper_nb.protocol.route import check_traffic
from clipper_nb.protocol.shadow import check_pinned, check_share
from clipper_nb.protocol.traffic import ApplicationTraffic
from clipper_nb.protocol.user_paths import user_path

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from clipper_nb.container_managers.tls.files import TlsFiles
    from clipper_nb.panels.frame import Frame

__all__ = ["ClipperConnection"]


Meanwhile = Callable[[], Mapping[str, bytes]]

_LARGEST = {"num_frontend_replicas": 64}
_MethodT = TypeVar("_MethodT", bound=Callable[..., Any])


def needs_cluster(method: _MethodT) -> _MethodT:
    """Make a method raise ``UnconnectedException``, naming itself, before ``start_clipper()`` or ``connect()``."""

    @wraps(method)
    def checked(conn: ClipperConnection, /, *args: Any, **kwargs: Any) -> Any:
        if not conn.connected:
            raise UnconnectedException(f"{method.__name__}()")
        return method(conn, *args, **kwargs)

    return cast("_MethodT", checked)


class ClipperConnection:
    """The handle to one cluster.

    Names, parameters and their order are Clipper's; new ones are keyword-only. When a method that changes something
    returns, the very next query sees the change. Every method raises :class:`ClipperException` or a subclass,
    and :class:`UnconnectedException` before ``start_clipper()`` or ``connect()``.

    Parameters
    ----------
    container_manager : ContainerManager
        What runs the cluster, for example ``LocalContainerManager()``.
    image_builder : ImageBuilder, optional
        What builds images; the container manager's own by default.

    Attributes
    ----------
    apps : Applications
        The applications by name: ``conn.apps["digits"].predict(x)``, ``list(conn.apps)``.
    endpoints : Endpoints
        The applications by name, each with the model behind it: ``conn.endpoints["digits"].url``, ``.logs()``,
        ``.rollback()``, ``.delete()``.
    models : Models
        The models by name, and their versions: ``conn.models["digits-net"]["2"].make_current()``.
    panels : Panels
        Panels that show the cluster live and act on it: ``conn.panels.models()``; ``dashboard()`` has all of them.

    Examples
    --------
    >>> from clipper_nb import ClipperConnection, LocalContainerManager
    >>> from clipper_nb.deployers.python import deploy_python_closure
    >>> with ClipperConnection(LocalContainerManager()) as conn:
    ...     conn.register_application("sums", "doubles", "-1.0", slo_micros=100_000)
    ...     deploy_python_closure(conn, "sum-model", 1, "doubles", lambda inputs: [x.sum() for x in inputs])
    ...     conn.link_model_to_app("sums", "sum-model")
    ...     conn.predict("sums", [1.0, 2.0]).output
    3.0

    As a context manager it starts a cluster when it is not connected to one. At the end it stops the cluster that it
    started, here or by ``start_clipper(...)`` before, and leaves one that it found by ``connect()``.
    """

    def __init__(self, container_manager: ContainerManager, image_builder: ImageBuilder | None = None) -> None:
        self.cm = container_manager
        self.connected = False
        # Attributes, not properties: IPython completes names only through attributes.
        self.apps = Applications(self)
        self.endpoints = Endpoints(self)
        self.models = Models(self)
        self.panels = Panels(self)
        let_handles_complete()
        self._image_builder = image_builder
        self._management: ManagementClient | None = None
        self._queries: QueryClient | None = None
        self._is_owner = False

    # ------------------------------------------------------------------------------------------------- the cluster

    def start_clipper(
        self,
        query_frontend_image: str | None = None,
        mgmt_frontend_image: str | None = None,
        frontend_exporter_image: str | None = None,
        cache_size: int = NotGiven(DEFAULT_CACHE_SIZE_BYTES),
        qf_http_thread_pool_size: int = 1,
        qf_http_timeout_request: int = NotGiven(5),
        qf_http_timeout_content: int = NotGiven(300),
        num_frontend_replicas: int = NotGiven(1),
        *,
        max_body_size_bytes: int = NotGiven(DEFAULT_MAX_BODY_SIZE_BYTES),
        max_waiting_size_bytes: int = NotGiven(DEFAULT_MAX_WAITING_SIZE_BYTES),
        accept_clipper_containers: bool | Sequence[str] | None = None,
        allowed_hosts: Sequence[str] | None = None,
        allow_origins: Sequence[str] | None = None,
        query_token: bool | str | None = None,
        tls: bool | TlsFiles | None = None,
        fresh: bool = False,
    ) -> None:
        """Start a cluster and connect to it, or resume a kept one. When this returns, both frontends answer.

        A cluster that was stopped with ``stop_all(keep=True)``, or that died with its machine although it was to live
        on, is resumed: applications, models, replicas and tokens are as they were, and it is logged what came back.
        The arguments are then those of its first start, unless they are given again. An embedded cluster that was to
        live on is one with ``detach=True`` or ``root_folder=...``.

        Parameters
        ----------
        query_frontend_image, mgmt_frontend_image : str, optional
            For Docker: your own images, instead of the one that is built from this package.
        frontend_exporter_image : str, optional
            Accepted and not used: the query frontend shows Prometheus metrics itself.
        cache_size : int
            Bytes that the prediction cache may use; 0 turns it off.
        qf_http_thread_pool_size : int
            Accepted and not used: the query frontend needs no threads.
        qf_http_timeout_request, qf_http_timeout_content : int
            Seconds that a client may take to send a request's head, and its body.
        num_frontend_replicas : int
            Number of query frontends: processes that share one address, one cache size and all replicas, for more
            queries than one processor core can handle. Each needs its own core. Containers that were written for
            Clipper connect to only one of them, so they do not count as ready when there are several.
        max_body_size_bytes : int
            Larger request bodies are rejected with 413.
        max_waiting_size_bytes : int
            The total size of request bodies over 64 KiB that a frontend has received and not answered. Once they reach
            it, further bodies over 64 KiB are rejected with 503 and ``Retry-After``; smaller ones are not.
        allowed_hosts : list of str, optional
            Further names under which clients ask the frontends: ``"models.example.org"``, ``"*.example.org"``, or
            ``"*"``. Addresses, ``localhost`` and the names that the cluster itself gives need none; requests under
            any other name are rejected with 421, since a page in a browser may have made it lead here.
        allow_origins : list of str, optional
            Servers whose pages may ask applications from a browser (CORS): ``"https://app.example.org"``, or ``"*"``.
            Pages of other servers are rejected with 403.
        query_token : bool or str, optional
            Whether clients need a token to predict and to read metrics: ``True`` makes one, a text is one,
            ``False`` turns it off. By default it is on if other people use this machine (they are logged in, have an
            account, or JupyterHub runs this notebook) and on Kubernetes; a line of the log says so. ``query_token`` of
            a connection has it.
        tls : bool or TlsFiles, optional
            Whether both frontends speak HTTPS, and HTTP no more. With ``True`` the cluster makes a certificate for this
            machine's names, its local addresses and *allowed_hosts*, anew at each start, and an authority that signs
            it, which is kept with the cluster: ``get_tls_authority()`` is what clients need. ``TlsFiles(certificate,
            key)`` are files of your own. ``False`` turns TLS off. Needs ``clipper-nb[tls]``. Default: HTTP.
        fresh : bool
            Remove a kept cluster of that name instead of resuming it.
        accept_clipper_containers : bool or list of str, optional
            Which versions model containers may serve that cannot prove that this cluster started them, such as those
            written for Clipper: all, none, or those named, as ``["digits:1"]``. Default: versions that were registered
            without an image, and on Docker also those whose image no deployer of this package made, for containers in
            the cluster's own network.

        Raises
        ------
        ExistsError
            A cluster of that name runs already.
        ClusterStartError
            A process does not start; the error carries the end of its log, and nothing is left running. Or a kept
            cluster was run by another release of this package, or another Python, and was not changed. Or this is a
            checkout with a module that was compiled before its last change.
        InvalidRequestError
            An argument is not valid; a file of *tls* cannot be used, or a package for TLS is missing.
        """
        _check_manager(self.cm)
        arguments = {
            "cache_size": cache_size,
            "qf_http_timeout_request": qf_http_timeout_request,
            "qf_http_timeout_content": qf_http_timeout_content,
            "num_frontend_replicas": num_frontend_replicas,
            "max_body_size_bytes": max_body_size_bytes,
            "max_waiting_size_bytes": max_waiting_size_bytes,
        }
        for name, value in arguments.items():
            check_whole(name, value, 0 if name == "cache_size" else 1, _LARGEST.get(name))
        check_flag("fresh", fresh)
        hosts, chosen = hub_hosts(), choose_query_token(query_token, others_reach=self.cm.others_reach)
        options = ClusterOptions.of(
            {"allowed_hosts": hosts, "query_token": chosen.token},
            query_frontend_image=query_frontend_image,
            management_frontend_image=mgmt_frontend_image,
            cache_size_bytes=cache_size,
            header_timeout_s=qf_http_timeout_request,
            body_timeout_s=qf_http_timeout_content,
            max_body_size_bytes=max_body_size_bytes,
            max_waiting_size_bytes=max_waiting_size_bytes,
            num_frontend_replicas=num_frontend_replicas,
            allowed_hosts=None if allowed_hosts is None else (*check_hosts(allowed_hosts), *hosts),
            allow_origins=None if allow_origins is None else check_origins(allow_origins),
            query_token=None if query_token is None else chosen.token,
            clipper_containers=check_clipper_containers(accept_clipper_containers),
            **tls_options(tls),
        )
        refuse_stale_modules()
        with show_progress(f"Start cluster {self.cm.cluster_name}") as progress:
            is_resumed = self.cm.start_clipper(options, progress, fresh=fresh)
            try:
                self._use_cluster()
                self._is_owner = True
                chosen.tell(self.cm.cluster_name, self.query_token)
                if is_resumed:
                    resume_replicas(self.cm, self._management_client(), progress)
            finally:
                self.cm.complete_start()

    def connect(self) -> None:
        """Connect to the running cluster of the container manager's name; any process may have started it.

        Raises
        ------
        ClusterNotFoundError
            There is none.
        ClusterUnreachableError
            It does not answer.
        """
        _check_manager(self.cm)
        self.cm.connect()
        self._use_cluster()

    def __enter__(self) -> ClipperConnection:
        """Start a cluster, unless this connection has one."""
        if not self.connected:
            self.start_clipper()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the cluster if this connection started it."""
        if self._is_owner:
            self.stop_all()

    def stop_all(self, graceful: bool = True, *, keep: bool = False) -> None:
        """Stop the cluster, and leave no process, socket or file of it.

        Calling this twice, or without a cluster, is fine.

        Parameters
        ----------
        graceful : bool
            Let running requests finish.
        keep : bool
            End all processes, but keep what ``start_clipper()`` resumes the cluster from: applications, models with
            their functions, numbers of replicas, tokens.

        Examples
        --------
        >>> conn.stop_all(keep=True)
        >>> conn.start_clipper()  # perhaps tomorrow, in another process
        """
        _check_manager(self.cm)
        check_flag("keep", keep)
        self._forget_cluster()
        self.cm.stop_all(graceful=graceful, keep=keep)

    @needs_cluster
    def get_query_addr(self) -> str:
        """Return ``"host:port"`` of the query frontend; applications answer at ``http://<it>/<application>/predict``.

        A cluster with TLS answers ``https://`` alone: ``get_query_url()`` returns the address with its scheme.
        """
        return self.cm.get_query_addr()

    @needs_cluster
    def get_query_url(self) -> str:
        """Return ``"http://host:port"`` of the query frontend, or ``"https://host:port"`` of a cluster with TLS.

        Examples
        --------
        >>> requests.post(f"{conn.get_query_url()}/digits/predict", json={"input": x})
        """
        return self.cm.get_query_url()

    @needs_cluster
    def get_admin_addr(self) -> str:
        """Return ``"host:port"`` of the management frontend."""
        return self.cm.get_admin_addr()

    @needs_cluster
    def get_metric_addr(self) -> str:
        """Return ``"host:port"`` of the cluster's Prometheus, once ``start_monitoring()`` has started one.

        Else of the query frontend, whose ``/metrics`` has the metrics in Prometheus text.
        """
        monitoring = self.cm.make_monitoring()
        found = None if monitoring is None else monitoring.find()
        return self.cm.get_query_addr() if found is None else found.prometheus_addr

    @property
    @needs_cluster
    def query_token(self) -> str | None:
        """The token of the cluster's clients, ``None`` if it asks for none; others send it as a bearer token.

        Examples
        --------
        >>> requests.post(url, json={"input": x}, headers={"Authorization": f"Bearer {conn.query_token}"})
        """
        return self.cm.get_query_token()

    @needs_cluster
    def get_tls_authority(self) -> str | None:
        """Return the certificate, in PEM, by which clients elsewhere know the frontends of a cluster with ``tls=True``.

        It holds no secret, and stays the same when the cluster is stopped with ``keep=True`` and resumed. ``None`` for
        a cluster without TLS, and for one that was started with ``TlsFiles``, whose authority clients know.

        Examples
        --------
        >>> Path("authority.pem").write_text(conn.get_tls_authority())
        >>> requests.post(f"{conn.get_query_url()}/digits/predict", json={"input": x}, verify="authority.pem")
        """
        identity = self.cm.get_tls_identity()
        return None if identity is None else identity.authority or None

    # ------------------------------------------------------------------------------------------------ applications

    @needs_cluster
    def register_application(
        self, name: str, input_type: str, default_output: str = DEFAULT_OUTPUT, slo_micros: int = DEFAULT_SLO_MICROS
    ) -> None:
        """Create an application: a REST endpoint ``POST /<name>/predict``.

        Parameters
        ----------
        name : str
            One segment of the URL.
        input_type : str
            ``"ints"``, ``"floats"``, ``"doubles"``, ``"bytes"``, ``"strings"`` or ``"json"``.
        default_output : str
            The answer when no prediction arrives within the SLO; text that is JSON becomes JSON.
        slo_micros : int
            The latency SLO, in microseconds: every reply leaves by then. One second by default.

        Raises
        ------
        InvalidRequestError
            A name, type or number is not valid.
        ExistsError
            The name is taken.
        """
        management = self._management_client()
        names.check_application_name(name)
        canonical = parse_input_type(input_type)
        if not isinstance(default_output, str):
            raise InvalidRequestError(
                f"default_output must be text (JSON text becomes JSON), not {type(default_output).__name__}."
            )
        management.register_application(name, canonical, default_output, slo_micros)

    @needs_cluster
    def unregister_application(self, name: str) -> None:
        """Remove an application and its link; its URL answers 404 at once. Raises ``NotFoundError``."""
        self._management_client().unregister_application(_application_name(name))

    @needs_cluster
    def delete_application(self, name: str) -> None:
        """Do what ``unregister_application`` does, under Clipper's old name."""
        self.unregister_application(name)

    @needs_cluster
    def create_token(self, app_name: str, *, name: str, expires_s: float | None = None) -> str:
        """Return a new token that is good for queries of one application; it cannot be read again.

        Clients send it as a bearer token, as they do ``query_token``, which is good for all applications. It is good at
        once on every query frontend. The cluster keeps only a digest.

        Parameters
        ----------
        app_name : str
        name : str
            By which ``get_tokens`` lists it and ``revoke_token`` revokes it, such as ``"shop-website"``.
        expires_s : float, optional
            Seconds after which it is no longer good; by default it is until it is revoked.

        Raises
        ------
        NotFoundError
            There is no such application.
        ExistsError
            The application has a token of that name.
        InvalidRequestError
            The cluster asks for no token, so this one would protect nothing.
        """
        management = self._management_client()
        application_name, token_name = _application_name(app_name), names.check_token_name(name)
        if self.query_token is None:
            raise InvalidRequestError(
                "This cluster answers everybody, so a token would protect nothing. Start it with "
                "start_clipper(query_token=True)."
            )
        token = new_token()
        management.create_token(application_name, token_name, digest_of(token), expires_s)
        return token

    @needs_cluster
    def get_tokens(self, app_name: str) -> list[dict[str, Any]]:
        """Return ``{token_name, created_at, expires_at}`` of each token of an application, oldest first.

        Dates are seconds since the epoch; ``expires_at`` is ``None`` for a token without. Raises ``NotFoundError``.
        """
        found: list[dict[str, Any]] = to_builtins(self._management_client().get_tokens(_application_name(app_name)))
        return found

    @needs_cluster
    def revoke_token(self, app_name: str, name: str) -> None:
        """Revoke a token; when this returns, no query frontend accepts it any more. Raises ``NotFoundError``."""
        self._management_client().revoke_token(_application_name(app_name), names.known_name("token name", name))

    @needs_cluster
    def link_model_to_app(self, app_name: str, model_name: str) -> None:
        """Send all of an application's queries to a model's current version; see ``set_traffic`` for several.

        Raises
        ------
        NotFoundError
            There is no such application or model.
        InvalidRequestError
            Their input types differ.
        ExistsError
            The application is linked already.
        """
        management = self._management_client()
        management.link_model(_application_name(app_name), _model_name(model_name))

    @needs_cluster
    def unlink_model_from_app(self, app_name: str, model_name: str) -> None:
        """Remove a link; the application answers its default output. Raises ``NotFoundError``.

        If its traffic is divided among several models, the others get the queries.
        """
        management = self._management_client()
        management.unlink_model(_application_name(app_name), _model_name(model_name))

    @needs_cluster
    def set_traffic(
        self,
        app_name: str,
        weights: Mapping[str, float] | Sequence[str],
        *,
        policy: str | None = None,
        half_life_s: float | None = None,
        explore: float | None = None,
        by_key: bool = False,
        combine: str = "vote",
        min_confidence: float | None = None,
        error_scale: float | None = None,
        default_weight: float | None = None,
    ) -> ApplicationTraffic:
        """Divide an application's queries among models and versions, by weight; all of it is replaced at once.

        When this returns, every query frontend divides by the new weights, and queries that are under way are answered
        by what was asked. Each request goes to one target: by its ``"key"`` if it has one, so that a key keeps its
        target, else at random. When weights change, as few keys as possible get another target. If a target has no
        connected replica, the others answer its queries.

        Parameters
        ----------
        app_name : str
        weights : mapping of str to float
            By target: ``"model"``, which is its current version whenever that changes, or ``"model:version"``, which
            stays that version. Positive numbers in any unit: a target's share is its weight divided by the sum. With a
            policy also a list of targets, of equal weights.
        policy : str, optional
            One of several targets answers each query, and the better ones by ``feedback`` more often: ``"thompson"``
            (a good choice), ``"ucb"``, ``"epsilon-greedy"``, or ``"exp3"`` for scores that change against you.
            All targets are asked, and one answer is made of those that come by the SLO: ``"ensemble"``, by the weights;
            ``"exp4"``, by weights that are learnt from labels. ``"weights"`` is as without a policy, and answers are
            kept for feedback by label or key, and over a restart. A key chooses no target where a policy learns.
        half_life_s : float, optional
            After how many seconds a feedback counts half. Without it nothing is forgotten, so a target that becomes
            better is found late.
        explore : float, optional
            Share of the queries that go to any target: by default 0.1 for epsilon-greedy and exp3, 0.02 for thompson
            and ucb.
        by_key : bool
            Whether each key of requests learns for itself from its tenth feedback on, at most 10,000 keys.
        combine : str
            Of several outputs: ``"vote"``, the output of the most weight; or ``"mean"`` of numbers; or a model of the
            input type ``json``, ``"model"`` or ``"model:version"``, that makes one answer of them. Its function gets
            a list of ``{"predictions": {"m:1": output, ...}, "weights": {"m:1": share, ...}}``, with those that
            answered within three quarters of the SLO; the rest is its own time. If it does not answer, the default
            output is answered. The confidence is then the share of the weight that answered.
        min_confidence : float, optional
            From 0 to 1: if less of the weight agrees with the answer, the default output is answered, with the reason
            ``not_confident``.
        error_scale : float, optional
            The error of a number that scores 0 when it is compared with a label; half of it scores 0.5. With
            ``combine="mean"`` also how far an output may be from the mean to agree with it.
        default_weight : float, optional
            Above 0, at most 1: a version that is too slow, raises, or lets a query queue too long gets a score of 0
            that counts so much, by itself. Pass the share of the answers that get feedback: 1 if all do, 0.01 if one in
            a hundred does. Without it a version that only times out keeps its score until that fades.

        Returns
        -------
        ApplicationTraffic
            What was set, as ``get_traffic`` returns it.

        Raises
        ------
        NotFoundError
            There is no such application, model or version.
        InvalidRequestError
            A weight is no positive number, there is none, an input type differs from the application's, or a version
            is named twice: by itself, and as the current one of its model. Or there is no such policy, an option of it
            is wrong or has no meaning for it, or it has less than two targets.

        Examples
        --------
        >>> conn.set_traffic("digits", {"digits-net:1": 90, "digits-net:2": 10})
        <Traffic of 'digits': digits-net:1 90 %, digits-net:2 10 %>
        >>> conn.set_traffic("digits", {"digits-net:1": 1})  # rolls back
        <Traffic of 'digits': digits-net:1 100 %>
        >>> conn.set_traffic("digits", ["digits-net:1", "digits-net:2"], policy="thompson", half_life_s=3600)
        <Traffic of 'digits' by thompson, half_life_s=3600.0: digits-net:1 50 %, digits-net:2 50 %>
        """
        management = self._management_client()
        chosen = make_policy(
            policy, half_life_s=half_life_s, explore=explore, by_key=by_key, combine=combine,
            min_confidence=min_confidence, error_scale=error_scale, default_weight=default_weight,
        )  # fmt: skip
        management.set_traffic(_application_name(app_name), *check_traffic(weights, chosen))
        return management.get_traffic(app_name)

    @needs_cluster
    def get_traffic(self, app_name: str) -> ApplicationTraffic:
        """Return how an application's queries are divided among models and versions. Raises ``NotFoundError``."""
        return self._management_client().get_traffic(_application_name(app_name))

    @needs_cluster
    def shadow(self, app_name: str, target: str | None, *, share: float = 1.0) -> None:
        """Ask a version with an application's inputs besides, and compare; its answers go to no client.

        It is asked after the reply was sent, while no query of a client waits for a replica. What would wait too long
        is dropped and counted, so under load it sees fewer queries. It costs its own computing: on one machine,
        replicas share the processors. Its queries are in no count of the application's, nor in those of the
        prediction cache.

        Parameters
        ----------
        app_name : str
        target : str or None
            ``"model:version"``, of the application's input type, which answers none of its queries. It replaces the
            shadow before. ``None`` ends it, and its report.
        share : float
            Of the queries, above 0, up to 1.

        Raises
        ------
        NotFoundError
            There is no such application or version, or no shadow to end.
        InvalidRequestError
            *target* answers queries of the application, or takes another input type, or nothing is linked to it, or
            *share* is no such number.

        Examples
        --------
        >>> conn.shadow("digits", "digits-net:2")
        >>> conn.shadow_report("digits").attrs["agreement"]
        0.991
        >>> conn.shadow("digits", None)
        """
        management = self._management_client()
        model_id = None if target is None else check_pinned("shadow()", target)
        management.set_shadow(_application_name(app_name), model_id, check_share(share))

    @needs_cluster
    def shadow_report(self, app_name: str) -> Any:
        """Return what an application's shadow answered since it was set, as a data frame; it needs pandas.

        Returns
        -------
        pandas.DataFrame
            The last inputs, at most 100 from each query frontend, different answers longer than equal ones: ``at``,
            ``input`` (``None`` above 2 kB), ``model``, ``output``, ``shadow_output`` (texts), ``agrees``,
            ``latency_ms``, ``shadow_latency_ms``, ``reason`` and ``shadow_reason`` (why there is no output). Whole
            numbers agree if they are equal, fractions within one millionth. ``.attrs`` has the sums over all:
            ``num_asked``, ``num_dropped``, ``num_failed`` (by reason), ``num_compared``, ``num_agreed``, ``agreement``,
            ``mean_latency_ms``, ``mean_shadow_latency_ms``. A query frontend that starts again begins anew.

        Raises
        ------
        NotFoundError
            There is no such application, or it has no shadow.
        """
        return shadow_frame(self._management_client().get_shadow_report(_application_name(app_name)))

    @needs_cluster
    def roll_out(
        self,
        app_name: str,
        target: str,
        *,
        steps: Sequence[float] = DEFAULT_STEPS,
        step_s: float = DEFAULT_STEP_S,
        watch: Sequence[str] = MEASURES,
        max_latency_micros: int | None = None,
        min_queries: int = DEFAULT_MIN_QUERIES,
        patience_s: float = DEFAULT_PATIENCE_S,
    ) -> RollOutHandle:
        """Raise the share of a version step by step, and give it up by itself if it is worse than the others.

        The management frontend drives it, so it goes on when the notebook is gone. At each moment the version is
        compared with what else answers the application's queries at that time. If it is worse by one of the measures,
        the traffic of before is restored. A roll-back is never taken back. The test may be looked at any time: an equal
        version is rolled back in at most 5 of 100 roll-outs, however long they take
        (docs/decisions/0064-roll-outs.md). With 100 % nothing is left to compare with, and it ends.

        Parameters
        ----------
        app_name : str
        target : str
            ``"model:version"``, with a replica. It may have a share already.
        steps : sequence of float
            Per cent of the queries, rising to 100.
        step_s : float
            How long each step lasts at least, in seconds.
        watch : sequence of str
            What is compared: ``"defaults"``, the share of default outputs, model errors among them; ``"latency"``, of
            answers that miss the SLO or take longer than *max_latency_micros*; ``"score"``, of feedback that is bad.
        max_latency_micros : int, optional
            By default, and at most, the application's SLO.
        min_queries : int
            How many answers of the version each step needs.
        patience_s : float
            A step that has fewer answers after so many seconds is ``"paused"``: its share stays, it is watched, and it
            goes on when they have come.

        Returns
        -------
        RollOutHandle
            ``status``, ``wait(timeout_s)``, ``abort()``, ``promote()``; a cell may ``await`` it.

        Raises
        ------
        NotFoundError
            There is no such application or version.
        ExistsError
            The application has a roll-out under way. While it has one, ``set_traffic`` and links are refused too.
        InvalidRequestError
            *target* has all queries already or no replica, or an argument is not as above.

        Examples
        --------
        >>> conn.set_traffic("digits", {"digits-net:1": 1})  # before version 2 is deployed
        >>> rolling = conn.roll_out("digits", "digits-net:2", steps=(5, 50, 100), step_s=30)
        >>> rolling.wait(timeout_s=300).status
        'promoted'
        """
        management = self._management_client()
        request = StartRollOut(
            _application_name(app_name), target, steps, step_s, watch, max_latency_micros, min_queries, patience_s
        )
        management.start_roll_out(request_of(check_plan(request), max_latency_micros))
        handle = RollOutHandle(self._management_client, app_name)
        announce(handle.info.plan)
        return handle

    @property
    def roll_outs(self) -> RollOuts:
        """The last roll-out of each application, by its name: ``conn.roll_outs["digits"].status``."""
        return RollOuts(self._management_client)

    @needs_cluster
    def get_all_apps(self, verbose: bool = False) -> list[Any]:
        """Return the applications' names, or with *verbose* their descriptions (see ``get_app_info``)."""
        applications = self._management_client().get_applications()
        return to_builtins(applications) if verbose else [application.name for application in applications]

    @needs_cluster
    def get_app_info(self, name: str) -> dict[str, Any] | None:
        """Return ``{name, input_type, default_output, latency_slo_micros, linked_models}``, or ``None`` if unknown.

        It also has ``model``, the version that answers; ``example``, ``{"input", "output"}``, when that was deployed
        with ``sample_inputs``; ``input_schema``, a JSON Schema, when its inputs must fit one or its numbers have names;
        and ``traffic``, a list of targets with their shares, when ``set_traffic`` named several, or a version.
        """
        found: dict[str, Any] | None = to_builtins(self._management_client().get_application(name))
        return found

    @needs_cluster
    def get_linked_models(self, app_name: str) -> list[str]:
        """Return the names of the models that the application's queries go to, that of the largest share first.

        Raises ``NotFoundError``.
        """
        return self._management_client().get_linked_models(app_name)

    # ------------------------------------------------------------------------------------------- models, deploying

    @needs_cluster
    def build_model(
        self,
        name: str,
        version: int | str,
        model_data_path: str,
        base_image: str = DEFAULT_BASE_IMAGE,
        container_registry: str | None = None,
        pkgs_to_install: Sequence[str] | None = None,
        *,
        files: Sequence[str] | None = None,
    ) -> str:
        """Build the image of a model version and return its tag.

        Parameters
        ----------
        name, version : str
        model_data_path : str
            The folder that becomes the model's folder in the image.
        base_image : str
            For Docker.
        container_registry : str, optional
            For Docker: where to push the image.
        pkgs_to_install : list of str, optional
            pip requirements.
        files : list of str, optional
            Files and folders below the notebook's working directory; replicas find them under the same relative paths.
            A container of your own finds them in ``files/`` of the model's folder.

        Raises
        ------
        ImageBuildError
            With the end of the log.
        ExistsError
            The version is registered, so its image must not change.
        """
        management = self._management_client()
        model_id = ModelId(names.check_model_name(name), names.check_version(version))
        packages, names_of_files = check_packages(pkgs_to_install), check_files(files, allow_large=True)
        if management.get_model(model_id) is not None:
            raise VersionExistsError(*model_id, _next_version(management, model_id.name))
        with folder_with_files(user_path("model_data_path", model_data_path), names_of_files) as folder:
            return self._build(
                ImageRequest(
                    cluster_name=self.cm.cluster_name,
                    model_id=model_id,
                    model_data_path=str(folder),
                    base_image=base_image,
                    packages=packages,
                    container_registry=container_registry,
                )
            )

    @needs_cluster
    @with_options(VersionOptions)
    def deploy_model(
        self,
        name: str,
        version: int | str | None,
        input_type: str,
        image: str,
        labels: Sequence[str] | None = None,
        num_replicas: int | None = None,
        batch_size: int = ADAPTIVE_BATCH_SIZE,
        **options: Unpack[VersionOptions],
    ) -> VersionHandle:
        """Start replicas of an image and, when all have loaded the model, make it the model's current version.

        Until then, and when it fails, the old version keeps serving.

        Parameters
        ----------
        name, input_type : str
        version : str or int, optional
            ``None`` takes the next free number.
        image : str
            Tag that ``build_model`` returned.
        **options : VersionOptions
            Those of every version.

        Raises
        ------
        ModelImportError, ModelLoadError, ReplicaMemoryError, ReplicaStartError, StartTimeoutError
            With the replica's traceback and log; what was started has been stopped.
        ExistsError
            The version is registered.
        """
        new = self.new_version(
            name, version, input_type, image=image, labels=labels, num_replicas=num_replicas, batch_size=batch_size,
            **options,
        )  # fmt: skip
        return self.deploy_image(new)

    @needs_cluster
    @with_options(VersionOptions)
    def build_and_deploy_model(
        self,
        name: str,
        version: int | str | None,
        input_type: str,
        model_data_path: str,
        base_image: str = DEFAULT_BASE_IMAGE,
        labels: Sequence[str] | None = None,
        container_registry: str | None = None,
        num_replicas: int | None = None,
        batch_size: int = ADAPTIVE_BATCH_SIZE,
        pkgs_to_install: Sequence[str] | None = None,
        *,
        files: Sequence[str] | None = None,
        **options: Unpack[VersionOptions],
    ) -> VersionHandle:
        """Do ``build_model`` and then ``deploy_model``; everything is checked before the build."""
        new = self.new_version(
            name, version, input_type, base_image=base_image, labels=labels, registry=container_registry,
            num_replicas=num_replicas, batch_size=batch_size, packages=pkgs_to_install, files=files, **options,
        )  # fmt: skip
        with folder_with_files(user_path("model_data_path", model_data_path), new.files) as folder:
            return self.deploy_version(new, str(folder))

    def new_version(self, name: str, version: int | str | None, input_type: str, **options: Any) -> NewVersion:
        """Return a description of a version that may be deployed; deployers call this before anything slow starts.

        All of it is checked here, and nowhere else: the arguments, the cluster's release, and that there is room for
        the version.

        Parameters
        ----------
        name, input_type : str
        version : str or int, optional
            ``None`` takes the next free number: 1, 2, ...; the deploy takes a later one if another caller has that.
        **options
            The other fields of ``NewVersion``, by name; ``None`` stands for the default of a list or of limits.

        Raises
        ------
        InvalidRequestError
            An argument is not valid, or a linked application takes another input type.
        ExistsError
            The version is registered.
        IncompatibleClusterError
            The cluster runs another release of clipper_nb.
        """
        if not self.connected:
            raise UnconnectedException("deploy_model()")
        new = make_new_version(name, version, input_type, **options)
        return find_room(self.cm, self._management_client(), new)

    @needs_cluster
    def deploy_version(
        self, new: NewVersion, model_data_path: str, meanwhile: Meanwhile | None = None, *, owns_files: bool = False
    ) -> VersionHandle:
        """Build a version that ``new_version()`` described, start its replicas and make it current.

        Returns the version's handle; a number that the caller did not choose is also shown in the cell.

        Parameters
        ----------
        new : NewVersion
        model_data_path : str
            The folder that becomes the model's folder in the image.
        meanwhile : callable, optional
            Called once while the replicas start, or before the build if images cannot be changed after it; returns
            further files of the folder, by name.
        owns_files : bool
            Whether the folder's files are nobody else's, as of a temporary folder: then none is copied that can be
            linked, and none of them may be changed any more.

        Raises
        ------
        DeploymentError
            The image cannot be built, or the replicas do not come up; nothing is left of it.
        ExistsError
            The version is registered, or another caller deploys it.
        """
        management = self._management_client()
        folder = user_path("model_data_path", model_data_path)
        builder = self._builder()
        complete: Callable[[str], None] | None = None
        if meanwhile is not None and builder.can_complete:
            complete = partial(_complete, builder, folder, meanwhile)
        elif meanwhile is not None:
            write_files(meanwhile(), folder)
        with claimed_version(management, new) as (new, claim), show_progress(new.progress_title):
            request = new.image_request(
                self.cm.cluster_name, folder, goes_with_version=True, owns_files=owns_files
            )  # fmt: skip
            start_and_register(
                self.cm, management, claim, new, read_files=partial(read_folder, folder),
                build_image=partial(self._build, request),
                remove_image=partial(self._remove_unused_images, {new.model_id: ""}, claimed_here=new.model_id),
                meanwhile=complete,
            )  # fmt: skip
        return self._deployed(new)

    @needs_cluster
    def deploy_image(self, new: NewVersion) -> VersionHandle:
        """Do what ``deploy_version`` does for a version whose image exists."""
        management = self._management_client()
        with claimed_version(management, new, has_foreign_image=True) as (new, claim):
            start_and_register(
                self.cm, management, claim, new, read_files=partial(self._builder().read_model_files, new.image)
            )  # fmt: skip
        return self._deployed(new)

    @needs_cluster
    def register_version(self, new: NewVersion) -> None:
        """Record a version that ``new_version()`` described, without starting anything."""
        self._management_client().register_model(new.registration())

    @needs_cluster
    def register_model(
        self,
        name: str,
        version: int | str,
        input_type: str,
        image: str | None = None,
        labels: Sequence[str] | None = None,
        batch_size: int = ADAPTIVE_BATCH_SIZE,
        *,
        isolate_errors: bool = True,
        hang_timeout_s: float | None = DEFAULT_HANG_TIMEOUT_S,
    ) -> None:
        """Record a model version and make it current, without starting anything.

        Without an image the version is containerless: any process that connects to the RPC port with its name and
        version serves it.

        Raises
        ------
        ExistsError
            The version is registered.
        InvalidRequestError
            A parameter is not valid, or an application that the model is linked to takes another input type.
        """
        names.check_version(version)  # who starts its processes must know the version before
        new = self.new_version(
            name, version, input_type, image=image or CONTAINERLESS_IMAGE, labels=labels, batch_size=batch_size,
            num_replicas=0, isolate_errors=isolate_errors, hang_timeout_s=hang_timeout_s,
        )  # fmt: skip
        self.register_version(new)

    @needs_cluster
    def check_new_model_version(self, name: str, version: int | str, input_type: str) -> tuple[ModelId, InputType]:
        """Return the id and input type of a version that may be deployed; raises as ``new_version()`` does."""
        new = self.new_version(name, version, input_type)
        return new.model_id, new.input_type

    # ---------------------------------------------------------------------------------- models, versions, replicas

    @needs_cluster
    def get_all_models(self, verbose: bool = False) -> list[Any]:
        """Return ``"name:version"`` of every registered version, or with *verbose* dicts (see ``get_model_info``)."""
        models = self._management_client().get_models()
        return [model.to_dict() for model in models] if verbose else [str(model.model_id) for model in models]

    @needs_cluster
    def get_model_info(self, name: str, version: int | str) -> dict[str, Any] | None:
        """Return a version's record, or ``None`` if unknown.

        Its fields: ``model_name, model_version, input_type, labels, container_name`` (the image), ``batch_size,
        isolate_errors, hang_timeout_s, text_outputs, registered_at`` (seconds since the epoch), ``is_current_version``.
        """
        found = self._management_client().get_model(_model_id(name, version))
        return None if found is None else found.to_dict()

    @needs_cluster
    def fetch_model(self, name: str, version: int | str | None = None) -> Callable[[list[Any]], Any]:
        """Return a deployed Python function, to be called here; any connected notebook can fetch it.

        Parameters
        ----------
        name : str
        version : str, optional
            The current version by default.

        Raises
        ------
        NotFoundError
            There is no such version, or its image is gone.
        InvalidRequestError
            It is no Python function.
        IncompatibleEnvironmentError, SerializationError
            It cannot be loaded here.

        Examples
        --------
        >>> conn.fetch_model("sums", 1)([numpy.array([1.0, 2.0])])
        [3.0]
        """
        return fetch_function(*self._files_of(name, version))

    @needs_cluster
    def get_model_source(self, name: str, version: int | str | None = None) -> ModelSource:
        """Return source text, requirements, Python version and closure report of a deployed Python function.

        Parameters and errors are those of ``fetch_model``; the function is not loaded.
        """
        return read_source(*self._files_of(name, version))

    @needs_cluster
    def get_current_model_version(self, name: str) -> str:
        """Return the model's current version. Raises ``NotFoundError`` when it has none."""
        return self._management_client().get_current_model_version(_model_name(name))

    @needs_cluster
    def set_model_version(self, name: str, version: int | str, num_replicas: int | None = None) -> None:
        """Make another registered version current: a roll-back, or a roll-forward.

        Parameters
        ----------
        name, version : str
        num_replicas : int, optional
            Number of replicas that it has before queries switch to it.

        Raises
        ------
        NotFoundError
            There is no such version.
        """
        management = self._management_client()
        model_id = _model_id(name, version)
        if num_replicas is not None:
            self.set_num_replicas(name, num_replicas, version)
        management.set_model_version(model_id)

    @needs_cluster
    def get_num_replicas(self, name: str, version: int | str | None = None) -> int:
        """Return the number of replicas of a version, by default of the current one."""
        management = self._management_client()
        return self.cm.get_num_replicas(self._version_or_current(management, name, version))

    @needs_cluster
    def set_num_replicas(
        self,
        name: str,
        num_replicas: int | None = None,
        version: int | str | None = None,
        *,
        min: int | None = None,
        max: int | None = None,
        target: float | None = None,
        period_s: float | None = None,
        stable_s: float | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        """Start or stop replicas of a version, or let the cluster do that as its load needs.

        With *num_replicas* that many are connected when this returns, and autoscaling of the version ends. With *min*
        and *max* the cluster chooses a number between both from then on: it starts replicas when queries wait too long
        for one, and stops one at a time when fewer would be enough. Replicas that are stopped finish their queries
        first. ``get_model_info()`` shows the bounds, and each step with its reason.

        Parameters
        ----------
        name : str
        num_replicas : int, optional
            A fixed number.
        version : str, optional
            The current version by default.
        min, max : int, optional
            The bounds of autoscaling; at least 1.
        target : float, optional
            The share of its SLO that a query should wait for a replica at most, on average: above 0 and up to 1. The
            default is 0.25.
        period_s : float, optional
            Seconds over which that is averaged; 10 by default.
        stable_s : float, optional
            Seconds for which fewer replicas must have been enough before one is stopped; 60 by default.
        timeout_s : float
            Seconds that new replicas may take to load the model.

        Raises
        ------
        NotFoundError
            There is no such version.
        InvalidRequestError
            It is a containerless model, or an argument is not what it should be.
        ReplicaStartError, StartTimeoutError
            New replicas do not come up; they have been stopped again.

        Examples
        --------
        >>> conn.set_num_replicas("digits", 3)
        >>> conn.set_num_replicas("digits", min=1, max=8)
        """
        management = self._management_client()
        scaling = check_number_or_bounds(
            num_replicas, smallest=min, largest=max, target=target, period_s=period_s, stable_s=stable_s
        )
        check_timeout(timeout_s)
        model_id = self._version_or_current(management, name, version)
        if scaling is not None:
            autoscale(self.cm, management, model_id, scaling, timeout_s=timeout_s)
        elif num_replicas is not None:
            scale(self.cm, management, model_id, num_replicas, timeout_s=timeout_s)

    @needs_cluster
    def get_all_model_replicas(self, verbose: bool = False) -> list[Any]:
        """Return ``"name:version:replica_id"`` of every connected replica, or with *verbose* dicts."""
        replicas = self._management_client().get_replicas()
        return to_builtins(replicas) if verbose else [f"{found.model}:{found.replica_id}" for found in replicas]

    @needs_cluster
    def get_model_replica_info(self, name: str, version: int | str, replica_id: int) -> dict[str, Any] | None:
        """Return ``{model_id, model_name, model_version, model_replica_id, input_type}``, or ``None`` if unknown."""
        management = self._management_client()
        check_whole("replica_id", replica_id, 0)
        found: dict[str, Any] | None = to_builtins(management.get_replica(_model_id(name, version), replica_id))
        return found

    # ---------------------------------------------------------------------------------------------------- stopping

    @needs_cluster
    def stop_models(self, model_names: Sequence[str]) -> None:
        """Unregister all versions of the named models and stop their replicas; unknown names are ignored."""
        wanted = check_list("model_names", model_names)
        self._stop_versions(lambda model: model.name in wanted, lambda model_id: model_id.name in wanted)

    @needs_cluster
    def stop_versioned_models(self, model_versions_dict: Mapping[str, Sequence[int | str]]) -> None:
        """Unregister and stop the given versions, ``{name: [versions]}``.

        Raises
        ------
        NotFoundError
            A version is neither registered nor running; then nothing was stopped.
        """
        management = self._management_client()
        wanted = [
            _model_id(name, version)
            for name, versions in model_versions_dict.items()
            for version in check_list(f"the versions of '{name}'", versions)
        ]
        claimed = {claim.model_id: "" for claim in management.get_claims()}
        images = claimed | _images_by_version(management.get_models())
        for model_id in wanted:
            if model_id not in images and not self.cm.get_num_replicas(model_id):
                raise ModelNotFoundError(*model_id)
        self._unregister_and_stop(management, wanted, images)

    @needs_cluster
    def stop_inactive_model_versions(self, model_names: Sequence[str]) -> None:
        """Unregister and stop the versions of the named models that are not current and have no share of traffic."""
        wanted = check_list("model_names", model_names)
        applications = self._management_client().get_applications()
        with_traffic = {target.model for application in applications for target in application.traffic}
        with_traffic |= {application.policy.combine for application in applications if application.policy is not None}
        self._stop_versions(
            lambda model: model.name in wanted and not model.is_current and str(model.model_id) not in with_traffic
        )

    @needs_cluster
    def stop_all_model_containers(self) -> None:
        """Unregister all models and stop all replicas."""
        self._stop_versions(lambda model: True, lambda model_id: True)
        self.cm.stop_all_model_containers()

    # ------------------------------------------------------------------------------------- backing up, moving house

    @needs_cluster
    def export_configuration(self, path: str | os.PathLike[str], *, include_environment: bool = True) -> None:
        """Write everything that the cluster is configured to serve into one file, for ``import_configuration``.

        It has the applications with their links and digests of their tokens, and all versions of all models with their
        options, numbers of replicas and bundles: the function or model, its modules, files and samples. Not in it:
        metrics, logs, the cluster's own tokens, packages that pip installs, and images that you built without
        clipper_nb; of those two it has the names.

        Parameters
        ----------
        path : str
            A file in a folder that exists; one that is there is replaced when the new one is complete. Only this user
            may read it.
        include_environment : bool
            Whether it has the values of the versions' ``environment_variables``, which may be secrets. Without them an
            import takes the values from its own ``os.environ``.

        Raises
        ------
        ConfigurationFileError
            The file cannot be written, or models are being deployed all the time.
        ImageNotFoundError
            The image of a version is gone.

        Examples
        --------
        >>> conn.export_configuration("serving-2026-11-29.tar")
        """
        target = user_path("path", path)
        check_flag("include_environment", include_environment)
        export_configuration(
            self._management_client(), self._builder(), self.cm.cluster_name, target,
            include_environment=include_environment,
        )  # fmt: skip

    @needs_cluster
    def import_configuration(
        self, path: str | os.PathLike[str], *, existing: Existing = "refuse", timeout_s: float = 60.0
    ) -> ImportedConfiguration:
        """Deploy everything that a file of ``export_configuration`` has: all of it, or nothing.

        The cluster may be of another kind, on another machine, of a later release. Images are built from the bundles;
        versions start the numbers of replicas that they had, and those that were current become current. Tokens of
        applications stay good, if the cluster asks for tokens, until they would have expired. Import only
        files that you trust: replicas run the functions in it. This process loads none of them.

        Parameters
        ----------
        path : str
        existing : str
            What to do if the cluster has an application or a version of the same name: ``"refuse"``, before anything
            is changed, or ``"skip"``, which keeps the cluster's own, with its link or current version. After an import
            that was killed, ``"skip"`` does the rest of it: an application to which nothing is linked gets the file's
            link and tokens, if it is the same.
        timeout_s : float
            Seconds that the replicas of each version may take to load the model.

        Returns
        -------
        ImportedConfiguration
            ``applications``, ``models``, ``skipped``: their names.

        Raises
        ------
        ConfigurationFileError
            It is no such file, is damaged, or of a format that this release does not know; nothing was changed.
        ExistsError
            The cluster has something of that name, and *existing* is ``"refuse"``; nothing was changed.
        IncompatibleEnvironmentError
            A function was pickled by another minor version of Python; nothing was changed.
        DeploymentError
            A version cannot be deployed here; what was imported before it has been removed again.

        Examples
        --------
        >>> conn.import_configuration("serving-2026-11-29.tar")
        ImportedConfiguration(applications=('sums',), models=('sum-model:1',), skipped=())
        """
        source = user_path("path", path)
        check_timeout(timeout_s)
        return import_configuration(
            self, source, existing=existing, timeout_s=timeout_s, has_base_images=self._builder().has_base_images,
            add_token=self._management_client().create_token,
        )  # fmt: skip

    # --------------------------------------------------------------------------------------------------- inspecting

    def doctor(self) -> Diagnosis:
        """Check the machine and the cluster, and report what to do; takes seconds, and needs no cluster.

        Returns
        -------
        Diagnosis
            A table when it is the last line of a cell or is printed, ``to_dict()`` in code: Docker Engine, clock, disk,
            base images, ports, or redis-server and supervisor; versions of notebook and cluster, both frontends,
            Redis, replicas, applications.

        Examples
        --------
        >>> conn.doctor()
        ✔ Notebook             clipper_nb 0.1.0, Python 3.11.7.
        ✔ redis-server         Version 7.0.15 in /usr/bin/redis-server.
        ...
        All is well.
        """
        return examine(self.cm, self._management if self.connected else None)

    @needs_cluster
    def why(self, query_id: int | Prediction) -> QueryHistory:
        """Return what happened to a query: when it was received, sent with how many others to which replica, answered.

        Each query frontend keeps the last 4096 queries that it answered, until it ends. Ids begin anew when it starts
        again, so an old id may then be that of a newer query: see ``received_at``.

        Parameters
        ----------
        query_id : int or Prediction
            An answer of :meth:`predict`, or the ``query_id`` in any client's answer.

        Returns
        -------
        QueryHistory
            Its text is a short report. ``queued_after_s``, ``sent_after_s`` and ``answered_after_s`` are seconds since
            the query was received.

        Raises
        ------
        NotFoundError
            No query frontend keeps that query.

        Examples
        --------
        >>> print(conn.why(conn.predict("digits", [0.1, 0.7])))  # doctest: +SKIP
        Query 17 of application 'digits', digits-net:3:
              0.00 ms  received 2026-11-29 10:21:07.310+00:00 by query-frontend-0
              0.41 ms  sent to replica 0, alone
              2.95 ms  answered with the model's output
        """
        number = query_id.query_id if isinstance(query_id, Prediction) else query_id
        return self._management_client().get_query_history(number)

    @needs_cluster
    def get_clipper_logs(self, logging_dir: str | None = None) -> list[str]:
        """Copy the log of every process into a folder, created if needed, and return the files' paths.

        Only you can read the files, and enter a folder that is created: what models write may be your clients' inputs.
        By default the folder is in the cluster's own, which ``stop_all()`` removes; where the cluster has no folder on
        this machine, as with a remote Docker Engine, it is ``clipper_logs/``.
        """
        return self.cm.get_logs(self.cm.get_log_folder() if logging_dir is None else logging_dir)

    @needs_cluster
    def logs(self, model: str, *, max_lines: int = 1000) -> LogText:
        """Return what the replicas of a version wrote, as text.

        Parameters
        ----------
        model : str
            ``"name:version"``, or a model's name for its current version.
        max_lines : int
            The most lines of each replica, from the end.

        Raises
        ------
        NotFoundError
            There is no such version, or the model has no current one.

        Examples
        --------
        >>> conn.logs("digits-net:2")
        digits-net_2-03a1c5:
        loaded 812 words
        """
        name, _, version = names.known_name("model", model).partition(":")
        check_whole("max_lines", max_lines, 1)
        management = self._management_client()
        return read_logs(self.cm, management, self._version_or_current(management, name, version or None), max_lines)

    @needs_cluster
    def inspect_instance(self) -> dict[str, list[dict[str, Any]]]:
        """Return the metrics of all query frontends together, the same numbers as ``/metrics?of=cluster`` shows.

        ``{name: [{"labels": {...}, "value": ...}]}``; histograms have ``count``, ``sum``, and ``p50``, ``p95``, ``p99``
        estimated from their buckets. Units are in the names.
        """
        url, trust = self.cm.get_query_url(), self.cm.get_trust()
        with closing(FrontendClient.at(url, "query frontend", self.query_token, trust)) as frontend:
            return parse_metrics(frontend.metrics())

    @needs_cluster
    def export_monitoring(self, folder: str | os.PathLike[str]) -> list[str]:
        """Write what a Prometheus and a Grafana need to watch this cluster, and return the paths of the files.

        ``prometheus.yml`` with the cluster's ports, files of targets that Prometheus reads again when they change, the
        query token with mode 0600, alert rules; a data source and a dashboard for Grafana. Nothing is started. Call it
        again when the cluster's ports have changed.

        Parameters
        ----------
        folder : str
            Created if it is missing; files of an earlier export in it are replaced.

        Raises
        ------
        InvalidRequestError
            A file cannot be written.

        Examples
        --------
        >>> conn.export_monitoring("monitoring")
        >>> # then, in a shell: prometheus --config.file=monitoring/prometheus.yml
        """
        return write_export(user_path("folder", folder), self._scrape_targets())

    @needs_cluster
    def start_monitoring(
        self,
        *,
        prometheus_port: int | None = None,
        grafana_port: int | None = None,
        prometheus_image: str | None = None,
        grafana_image: str | None = None,
    ) -> Monitoring:
        """Start a Prometheus that watches this cluster, and a Grafana if there is one; return where they answer.

        The embedded cluster runs the programs ``prometheus`` and ``grafana-server`` that are on the ``PATH``, Docker
        images that the engine has: neither downloads anything. They listen on loopback, have no rights of root, keep
        at most 1 GB, and end with ``stop_all()``. If the cluster asks for a token, Prometheus asks for the user
        ``clipper`` with that token as password.

        Parameters
        ----------
        prometheus_port, grafana_port : int, optional
            By default 9090 and 3000. A busy one is replaced by a free one; 0 is any.
        prometheus_image, grafana_image : str, optional
            On Docker; by default ``prom/prometheus`` and ``grafana/grafana``.

        Raises
        ------
        InvalidRequestError
            There is no program ``prometheus``, or a port is none.
        ImageNotFoundError
            The engine has no image of Prometheus.
        ClusterStartError
            It does not start; the error has the end of its log.

        Examples
        --------
        >>> conn.start_monitoring().prometheus_url
        'http://127.0.0.1:9090'
        """
        check_port_numbers(prometheus_port=prometheus_port, grafana_port=grafana_port)
        monitoring = self.cm.make_monitoring()
        if monitoring is None:
            raise InvalidRequestError(
                f"A {type(self.cm).__name__} starts no Prometheus. conn.export_monitoring(folder) writes the files for "
                "one of your own."
            )
        options = MonitoringOptions(prometheus_port, grafana_port, prometheus_image, grafana_image)
        with show_progress("Start monitoring") as progress:
            return monitoring.start(self._scrape_targets(), options, progress)

    def _scrape_targets(self) -> ScrapeTargets:
        cm = self.cm
        return ScrapeTargets(
            cm.cluster_name, cm.get_query_addr(), cm.get_admin_addr(), cm.get_query_token(), cm.get_tls_identity()
        )

    def dashboard(self) -> Frame:
        """Show the cluster live: applications, models, traffic, metrics, a query to try, and events, in tabs.

        It is shown when it is the last line of a cell, goes on while other cells run, and acts on the cluster.

        Raises
        ------
        DeploymentError
            A package that it needs is not installed.
        """
        return self.panels.all()

    def __repr__(self) -> str:
        """Return one line: address, numbers of applications, models, versions and replicas."""
        try:
            return format_text(self._snapshot())
        except UnconnectedException:
            return f"<ClipperConnection {self.cm.cluster_name!r}: not connected>"
        except ClipperException:
            return f"<ClipperConnection {self.cm.cluster_name!r}: out of reach>"

    def _repr_html_(self) -> str | None:
        try:
            return format_html(self._snapshot())
        except ClipperException:
            return None  # the text shows the problem

    # --------------------------------------------------------------------------------------------------- predicting

    @needs_cluster
    def predict(
        self, app_name: str, input: Any, *, version: int | str | None = None, key: int | str | None = None
    ) -> Prediction:
        """Query an application over REST, as any client does.

        Parameters
        ----------
        app_name : str
        input : array, list, text or bytes
            One input of the application's type: a 1-D array or list of numbers, ``str``, or ``bytes``. For floats and
            doubles ``None``, ``pandas.NA`` and masked elements are NaN.
        version : str, optional
            A version of the linked model instead of the current one, or of those that ``set_traffic`` named; of several
            models, as ``"model:version"``.
        key : str or int, optional
            Whose query it is, for an application with traffic to several versions: equal keys get the same version.

        Returns
        -------
        Prediction
            ``output, default, reason, explanation, query_id, latency_s``.

        Raises
        ------
        InvalidInputError
            The input does not fit; the message names the first bad element.
        NotFoundError
            There is no such application; the message names those that there are.

        Examples
        --------
        >>> conn.predict("digits", X[0]).output
        0
        """
        return self._predict(app_name, input, is_batch=False, version=version, key=key)[0]

    @needs_cluster
    def get_client(self) -> Client:
        """Return a client of the applications, with the cluster's address, token and authority.

        It is what a program without the notebook makes itself: ``Client(url, token=..., ca=...)``. It needs no
        connection to the cluster, and answers as long as the cluster does.

        Examples
        --------
        >>> with conn.get_client() as client:
        ...     client.predict("digits", X[0]).output
        """
        return Client(self.cm.get_query_url(), token=self.cm.get_query_token(), ca=self.cm.get_trust())

    @needs_cluster
    def predict_batch(
        self, app_name: str, inputs: Any, *, version: int | str | None = None, key: int | str | None = None
    ) -> list[Prediction]:
        """Query an application with several inputs in one request; answers come in the order of *inputs*.

        One version answers all of them.

        Parameters and errors are those of ``predict``, except *inputs*: a list, a 2-D array, a Series, an iterator, or
        a data frame of pandas, polars or Arrow. A data frame's row is one input: a vector of its numbers; or for
        ``strings`` the text of a JSON object. If the model was fitted or tried with columns that have names, the
        numbers go by these, further columns are left out, and one that is missing is an ``InvalidInputError``;
        otherwise they go in the order of the columns.
        """
        return self._predict(app_name, check_batch(inputs, "inputs"), is_batch=True, version=version, key=key)

    @needs_cluster
    def feedback(
        self,
        app_name: str,
        query: Prediction | int | None = None,
        *,
        key: int | str | None = None,
        label: Any = UNSET,
        score: float | None = None,
    ) -> Feedback:
        """Say how good an answer was: ``set_traffic``'s policies learn from it, ``get_traffic`` shows it.

        It is counted for the version that answered, once for each query, whichever query frontend it reaches. No answer
        is scored by itself: if default outputs should count against a version, send ``score=0`` for them.

        Parameters
        ----------
        app_name : str
        query : Prediction or int
            The answer, or its ``query_id``.
        key : str or int, optional
            In place of *query*: the last query with this key. Needs a policy.
        label : object, optional
            The right output, which is compared with the one that was answered: as JSON values, numbers also with texts
            that are numbers. A missing value (NaN, ``pandas.NA``) is refused. Needs a policy.
        score : float, optional
            In place of a label: from 0 (useless) to 1 (perfect).

        Returns
        -------
        Feedback
            ``counted, query_id, scores, cause``: what was counted, or why not.

        Raises
        ------
        InvalidRequestError, InvalidInputError
            An argument is wrong, or no output was kept for a label, or several models answered and there is no label.
        NotFoundError
            There is no such application, it has not answered that query, or the query is not kept any more: with a
            policy, the last 100,000 for 24 hours; without one, the last 4,096 of each query frontend.

        Examples
        --------
        >>> prediction = conn.predict("digits", X[0])
        >>> conn.feedback("digits", prediction, label=0)
        Feedback(counted=True, query_id=17, scores={'digits-net:2': 1.0}, cause='')
        """
        body = format_feedback(query, check_key(key), label, score)
        return self._query_client().feedback(_application_name(app_name), body)

    @needs_cluster
    def predict_dataframe(
        self, name: str, df: Any, input_col: str, output_col: str, *, version: int | str | None = None
    ) -> Any:
        """Score a Spark DataFrame with what is deployed: the same function in the same replicas, so the same numbers.

        The rows pass through this process, 64 at a time, and queries of applications are served before them. The result
        is computed when this returns, and is held by this process.

        Parameters
        ----------
        name : str
            An application, whose linked model predicts; or a model. An application with traffic to several versions
            needs a *version*.
        df : pyspark.sql.DataFrame
        input_col : str
            Its column of inputs: vectors, arrays or numbers, text or binary. For floats and doubles a number that is
            ``null`` is NaN.
        output_col : str
            The column to add. Whole numbers become ``bigint``, others ``double``, lists of them ``array<double>``,
            booleans ``boolean``, text ``string``; what is none of these for all rows becomes JSON text.
        version : str, optional
            A version of the model instead of the current one.

        Returns
        -------
        pyspark.sql.DataFrame
            The rows of *df* with one more column.

        Raises
        ------
        PredictionError
            The model failed on a row, or has no replica; the message says which row and why.
        NotFoundError
            There is no such application or model.
        InvalidRequestError
            There is no such column, or a row's vector, array, text or binary is null.
        InvalidInputError
            An input does not fit.

        Examples
        --------
        >>> conn.predict_dataframe("species", flowers, "features", "predicted").show()
        """
        from clipper_nb.cluster.dataframe_scoring import score_dataframe

        return score_dataframe(self, name, df, input_col, output_col, version)

    def test_predict_function(
        self,
        query: Mapping[str, Any],
        func: Callable[[list[Any]], Any],
        input_type: str,
        *,
        sample_inputs: Any = None,
    ) -> Any:
        """Run *func* here as a replica would, on the inputs of a request body, and return what it returns.

        Parameters
        ----------
        query : dict
            ``{"input": ...}`` or ``{"input_batch": [...]}``, as sent to ``/<application>/predict``.
        func : callable
            ``func(inputs)``, or a fitted estimator; it is pickled and unpickled first.
        input_type : str
        sample_inputs : pandas.DataFrame, optional
            For a function that takes a data frame: rows of one with its columns and dtypes.

        Raises
        ------
        InvalidInputError
            The query does not fit the input type, or what the function takes.
        SerializationError
            The function cannot be pickled.
        PredictionError
            It raises, which is the error's ``__cause__``, or does not return one output per input that JSON can have.
        """
        from clipper_nb.closures.trial import try_function  # brings cloudpickle and NumPy

        return try_function(query, func, input_type, sample_inputs)

    # ----------------------------------------------------------------------------------------------------- internal

    def records(self, method: str) -> Records:
        """Return the client that handles and panels read records with; the error without a cluster names *method*."""
        if not self.connected:
            raise UnconnectedException(method)
        return self._management_client()

    def _management_client(self) -> ManagementClient:
        if self._management is None:  # another thread stopped the cluster meanwhile
            raise UnconnectedException
        return self._management

    def _build(self, request: ImageRequest) -> str:
        with show_progress(f"Build {request.model_id}") as progress:
            return self._builder().build(request, progress)

    def _deployed(self, new: NewVersion) -> VersionHandle:
        if new.takes_next_number:
            announce(f"Deployed {new.model_id}.")
        return VersionHandle(self, new.model_id)

    def _builder(self) -> ImageBuilder:
        return self._image_builder or self.cm.make_image_builder()

    def _query_client(self) -> QueryClient:
        if self._queries is None:  # another thread stopped the cluster meanwhile
            raise UnconnectedException
        return self._queries

    def _use_cluster(self) -> None:
        self._forget_cluster()
        trust = self.cm.get_trust()
        self._management = ManagementClient.at(self.cm.get_admin_endpoint(), self.cm.get_admin_token(), trust)
        self._queries = QueryClient.at(
            self.cm.get_query_url(),
            self._management.find_application,
            self._management.get_model,
            self.cm.get_query_token(),
            trust,
        )
        self.connected = True

    def _forget_cluster(self) -> None:
        self.connected = self._is_owner = False
        for client in (self._management, self._queries):
            if client is not None:
                client.close()
        self._management = self._queries = None

    @needs_cluster
    def _snapshot(self) -> ClusterSnapshot:
        management = self._management_client()
        return ClusterSnapshot(
            cluster_name=self.cm.cluster_name,
            query_url=self.cm.get_query_url(),
            applications=management.get_applications(),
            models=management.get_models(),
            replicas=management.get_replicas(),
        )

    def _files_of(self, name: str, version: int | str | None) -> tuple[str, FileReader]:
        management = self._management_client()
        model_id = self._version_or_current(management, name, version)
        record = management.get_model(model_id)
        if record is None:
            raise ModelNotFoundError(*model_id)
        if record.image == CONTAINERLESS_IMAGE:
            raise InvalidRequestError(f"{model_id} is a containerless model: it has no image to be read.")
        return str(model_id), partial(self._builder().read_model_files, record.image)

    def _version_or_current(self, management: ManagementClient, name: str, version: int | str | None) -> ModelId:
        if version is None:
            return ModelId(name, management.get_current_model_version(_model_name(name)))
        return _model_id(name, version)

    def _stop_versions(
        self,
        is_wanted: Callable[[VersionInfo], bool],
        is_deploy_unwanted: Callable[[ModelId], bool] = lambda model_id: False,
    ) -> None:
        """Stop registered versions, and deploys that are under way."""
        management = self._management_client()
        models = management.get_models()
        wanted = [model.model_id for model in models if is_wanted(model)]
        wanted += filter(is_deploy_unwanted, (claim.model_id for claim in management.get_claims()))
        images = dict.fromkeys(wanted, "") | _images_by_version(models)
        self._unregister_and_stop(management, list(dict.fromkeys(wanted)), images)

    def _unregister_and_stop(
        self, management: ManagementClient, wanted: Sequence[ModelId], images: Mapping[ModelId, str]
    ) -> None:
        """Stop the wanted versions and remove their images; *images* has those of all known versions, or ``""``."""
        unregister_and_stop(self.cm, management, wanted, images.keys())
        self._remove_unused_images({model_id: images.get(model_id, "") for model_id in wanted})

    def _remove_unused_images(self, stopped: Mapping[ModelId, str], claimed_here: ModelId | None = None) -> None:
        management = self._management_client()
        remove_unused_images(self._builder(), self.cm, management, stopped, claimed_here=claimed_here)

    def _predict(
        self, app_name: str, inputs: Any, *, is_batch: bool, version: int | str | None, key: int | str | None
    ) -> list[Prediction]:
        checked = None if version is None else names.known_version(version)
        return self._query_client().predict(
            _application_name(app_name), inputs, is_batch=is_batch, version=checked, key=check_key(key)
        )


def _check_manager(manager: object) -> None:
    """Raise ``InvalidRequestError`` for what starts no cluster, such as the class in place of an object."""
    if hasattr(manager, "start_clipper") and not isinstance(manager, type):
        return
    found = f"the class {manager.__name__}, without ()" if isinstance(manager, type) else repr(manager)
    raise InvalidRequestError(
        "ClipperConnection needs a container manager, such as LocalContainerManager() or DockerContainerManager(); got "
        f"{found:.200}."
    )


def _complete(builder: ImageBuilder, folder: Path, meanwhile: Meanwhile, image: str) -> None:
    files = meanwhile()
    write_files(files, folder)
    builder.complete(image, files)


def _application_name(name: str) -> str:
    return names.known_name("application name", name)


def _model_name(name: str) -> str:
    return names.known_name("model name", name)


def _model_id(name: str, version: int | str) -> ModelId:
    return ModelId(_model_name(name), names.known_version(version))


def _next_version(management: ManagementClient, model_name: str) -> str:
    return names.next_version(model.version for model in management.get_models() if model.name == model_name)


def _images_by_version(models: Sequence[VersionInfo]) -> dict[ModelId, str]:
    return {model.model_id: model.image for model in models}

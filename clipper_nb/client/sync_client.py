"""``Client``: predictions for a program that waits for them."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from clipper_nb.client.address import Authority
from clipper_nb.client.calls import DEFAULT_PART_INPUTS, DEFAULT_PART_SIZE_BYTES, WHAT, Call, make_steps, read_target
from clipper_nb.protocol.feedback_call import UNSET, Feedback, format_feedback
from clipper_nb.protocol.input_batches import check_batch
from clipper_nb.protocol.records import Prediction


class Client:
    """Asks the applications of a cluster at a URL, as ``conn.predict`` does, without a connection to the cluster.

    It keeps its connections for the next call, and may be used by several threads. A request whose connection breaks is
    sent once more: a prediction changes nothing.

    Parameters
    ----------
    url : str
        The query frontend's address, which ``conn.get_query_url()`` returns, or the one of any of its applications.
    token : str, optional
        The cluster's token (``conn.query_token``), or an application's (``conn.create_token``). It is sent to this
        address alone: redirects are not followed.
    ca : str or path, optional
        The certificate in PEM, or a file with it, of the authority that the frontend's own is signed by
        (``conn.get_tls_authority()``); by default those that the system trusts.
    part_inputs : int
        A longer batch is sent in several requests, one after the other, each of which has the SLO for itself. At most
        16384.
    part_size_bytes : int
        The same for the size of the inputs as JSON. An input that is larger is sent alone.

    Raises
    ------
    InvalidRequestError
        An argument is wrong. Nothing is sent before the first call.

    Examples
    --------
    >>> with Client("https://models.example.org", token=token, ca="authority.pem") as client:
    ...     client.predict("digits", x)
    ...     client.predict_batch("prices", frame)
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        ca: Authority = None,
        part_inputs: int = DEFAULT_PART_INPUTS,
        part_size_bytes: int = DEFAULT_PART_SIZE_BYTES,
    ) -> None:
        from clipper_nb.clients.http_client import HttpClient  # brings urllib3
        from clipper_nb.clients.query_client import QueryClient

        target = read_target(url, token, ca)
        self._root = target.root
        http = HttpClient(target.root, WHAT, token=target.token, trust=target.trust)
        self._queries = QueryClient(http, make_steps(part_inputs, part_size_bytes))

    def predict(
        self,
        app_name: str,
        input: Any,
        *,
        version: int | str | None = None,
        key: int | str | None = None,
        timeout_s: float | None = None,
    ) -> Prediction:
        """Query an application with one input.

        Parameters
        ----------
        app_name : str
        input : array, list, text, bytes or object
            One input of the application's type, as for ``conn.predict``.
        version : str, optional
            A version of the linked model instead of the current one.
        key : str or int, optional
            Of a user or a session: where queries are divided among versions, those with one key stay with one version.
        timeout_s : float, optional
            Seconds after which the call is given up; by default the application's SLO and 5 s for the way.

        Returns
        -------
        Prediction
            ``output, default, reason, explanation, query_id, latency_s, model``. With ``default`` the output is the
            application's default output, and ``reason`` says why.

        Raises
        ------
        InvalidInputError
            The input does not fit; the message names the first bad element.
        ApplicationNotFoundError
            There is no such application; the message names those that there are.
        UnauthorizedError
            The token is missing, or is not good for this application.
        ClusterUnreachableError
            No answer in time, or no connection.
        """
        return self._predict(Call.of(app_name, version, key, timeout_s), input, is_batch=False)[0]

    def predict_batch(
        self,
        app_name: str,
        inputs: Any,
        *,
        version: int | str | None = None,
        key: int | str | None = None,
        timeout_s: float | None = None,
    ) -> list[Prediction]:
        """Query an application with several inputs; answers come in the order of *inputs*.

        Parameters and errors are those of ``predict``, except *inputs*: a list, a 2-D array, a Series, an iterator, or
        a data frame of pandas, polars or Arrow, as for ``conn.predict_batch``; and *timeout_s*, which is for the whole
        batch, while by default each of its requests may take the SLO and 5 s. An error is that of the first request
        that failed.
        """
        batch = check_batch(inputs, "inputs", is_one_request=False)
        return self._predict(Call.of(app_name, version, key, timeout_s), batch, is_batch=True)

    def feedback(
        self,
        app_name: str,
        query: Prediction | int | None = None,
        *,
        key: int | str | None = None,
        label: Any = UNSET,
        score: float | None = None,
        timeout_s: float | None = None,
    ) -> Feedback:
        """Say how good an answer was; each query counts once.

        Parameters
        ----------
        app_name : str
        query : Prediction or int
            The answer, or its ``query_id``.
        key : str or int, optional
            In place of *query*: the last query with this key.
        label : object, optional
            The right output, which is compared with the one that was answered.
        score : float, optional
            In place of a label: from 0 (useless) to 1 (perfect).
        timeout_s : float, optional
            By default 10.

        Returns
        -------
        Feedback
            ``counted, query_id, scores, cause``.

        Raises
        ------
        InvalidRequestError, InvalidInputError
            An argument is wrong, or this query's answer has no output that was kept for a label.
        NotFoundError
            The application has not answered that query, or it is not kept any more.
        """
        call = Call.of(app_name, None, key, timeout_s)
        return self._queries.feedback(call.app_name, format_feedback(query, call.key, label, score), timeout_s)

    def close(self) -> None:
        """Close the connections. A later call opens them again."""
        self._queries.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._root!r})"

    def _predict(self, call: Call, inputs: Any, *, is_batch: bool) -> list[Prediction]:
        return self._queries.predict(
            call.app_name, inputs, is_batch=is_batch, version=call.version, key=call.key, timeout_s=call.timeout_s
        )

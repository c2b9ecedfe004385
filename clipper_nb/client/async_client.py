"""``AsyncClient``: predictions for a program with an event loop."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from clipper_nb.client.address import Authority
from clipper_nb.client.calls import DEFAULT_PART_INPUTS, DEFAULT_PART_SIZE_BYTES, Call, Target, make_steps, read_target
from clipper_nb.clients.query_steps import Steps
from clipper_nb.errors import ClipperException
from clipper_nb.protocol.feedback_call import UNSET, Feedback, format_feedback
from clipper_nb.protocol.input_batches import check_batch
from clipper_nb.protocol.records import Prediction

if TYPE_CHECKING:
    from clipper_nb.client.async_http import AsyncHttp


_AnswerT = TypeVar("_AnswerT")


class AsyncClient:
    """Awaits what ``Client`` waits for, with the same arguments, answers and errors.

    It needs aiohttp: ``pip install 'clipper-nb[async]'``. One client is for one event loop, where hundreds of calls can
    be awaited at once; 256 of them have a connection each, the others wait for one, within their time. A call that is
    cancelled closes its connection.

    Examples
    --------
    >>> async with AsyncClient("http://127.0.0.1:1337", token=token) as client:
    ...     await client.predict("digits", x)
    ...     await asyncio.gather(*(client.predict("digits", x) for x in X))
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
        target = read_target(url, token, ca)
        self._steps = make_steps(part_inputs, part_size_bytes)
        self._root = target.root
        self._http = _open(target)

    async def predict(
        self,
        app_name: str,
        input: Any,
        *,
        version: int | str | None = None,
        key: int | str | None = None,
        timeout_s: float | None = None,
    ) -> Prediction:
        """Query an application with one input; see ``Client.predict``."""
        return (await self._predict(Call.of(app_name, version, key, timeout_s), input, is_batch=False))[0]

    async def predict_batch(
        self,
        app_name: str,
        inputs: Any,
        *,
        version: int | str | None = None,
        key: int | str | None = None,
        timeout_s: float | None = None,
    ) -> list[Prediction]:
        """Query an application with several inputs; see ``Client.predict_batch``."""
        batch = check_batch(inputs, "inputs", is_one_request=False)
        return await self._predict(Call.of(app_name, version, key, timeout_s), batch, is_batch=True)

    async def feedback(
        self,
        app_name: str,
        query: Prediction | int | None = None,
        *,
        key: int | str | None = None,
        label: Any = UNSET,
        score: float | None = None,
        timeout_s: float | None = None,
    ) -> Feedback:
        """Say how good an answer was; see ``Client.feedback``."""
        call = Call.of(app_name, None, key, timeout_s)
        body = format_feedback(query, call.key, label, score)
        return await self._take(self._steps.feedback(call.app_name, body, timeout_s))

    async def close(self) -> None:
        """Close the connections. A later call opens them again."""
        await self._http.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self._root!r})"

    async def _predict(self, call: Call, inputs: Any, *, is_batch: bool) -> list[Prediction]:
        steps = self._steps.predict(
            call.app_name, inputs, is_batch=is_batch, version=call.version, key=call.key, timeout_s=call.timeout_s
        )
        return await self._take(steps)

    async def _take(self, steps: Steps[_AnswerT]) -> _AnswerT:
        try:
            request = next(steps)
            while True:
                try:
                    reply = await self._http.send(request)
                except ClipperException as exc:
                    request = steps.throw(exc)
                else:
                    request = steps.send(reply)
        except StopIteration as end:
            answer: _AnswerT = end.value
            return answer


def _open(target: Target) -> AsyncHttp:
    try:
        from clipper_nb.client.async_http import AsyncHttp
    except ModuleNotFoundError as exc:
        if exc.name != "aiohttp":
            raise
        raise ClipperException("AsyncClient needs aiohttp: pip install 'clipper-nb[async]'.") from exc
    return AsyncHttp(target.root, target.token, target.trust)

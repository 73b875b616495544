"""Labels that callers send back: written down like answers, and told as accuracy while it is fresh.

The last label of a request counts, and saying it again changes nothing. Which answer it is about is
found out in S3, where those of all servers come together; here only the latest answers of this
server are remembered, for its metrics.
"""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson
from starlette.types import Receive, Scope, Send

from serving import bodies, contract
from serving.contract import Answer, FeedbackRequest, Refusal
from serving.envelope import send_whole
from serving.headers import headers_of
from serving.metrics import Metrics, Readings
from training import capture

if TYPE_CHECKING:
    from serving.capture import Capture
    from serving.predictions import Handler

PATH = "/feedback"
# What /invocations takes it as: of SageMaker's endpoints no other path can be reached.
KIND = b"application/vnd.perennial.feedback+json"
_MOST_BYTES = 4096
_REMEMBERED = 20_000
_FEW = 30
_LATER = {"Retry-After": "30", "retry-after-ms": "30000"}


@dataclass(slots=True)
class _Answered:
    version: str
    label: str
    right: bool | None = None  # None: nobody has said


class Recent:
    """The latest answers of this server, and which of them were right by their labels."""

    def __init__(self, most: int = _REMEMBERED) -> None:
        self._most = most
        self._known: OrderedDict[str, _Answered] = OrderedDict()
        self._counts: Counter[tuple[str, bool]] = Counter()

    def answered(self, request_id: str, version: str, answers: Sequence[Answer]) -> None:
        """Remember the answers to one request; the oldest ones make room."""
        known = self._known
        for name, answer in zip(capture.ids(request_id, len(answers)), answers, strict=True):
            self._forget(known.pop(name, None))
            known[name] = _Answered(version, answer.label)
        while len(known) > self._most:
            self._forget(known.popitem(last=False)[1])

    def labelled(self, request_id: str, label: str) -> None:
        """Note what an answer should have been; a later label takes the place of an earlier one."""
        if found := self._known.get(request_id):
            self._forget(found)
            found.right = found.label == label
            self._counts[found.version, found.right] += 1

    def labels(self, version: str) -> int:
        return self._counts[version, True] + self._counts[version, False]

    def accuracy(self, version: str) -> float | None:
        """None while there are fewer than 30 labels."""
        labels = self.labels(version)
        return self._counts[version, True] / labels if labels >= _FEW else None

    def _forget(self, gone: _Answered | None) -> None:
        if gone and gone.right is not None:
            self._counts[gone.version, gone.right] -= 1


class Feedback:
    """Answers POST /feedback: 202 is said only of a label that is written down."""

    def __init__(
        self,
        log: "Capture | None",
        admit: Callable[[], None],
        labels: Callable[[], Iterable[str]],
        recent: Recent,
    ) -> None:
        """`labels` are those of all versions that answer; `admit` refuses when the server ends."""
        self._log = log
        self._admit = admit
        self._labels = labels
        self._recent = recent
        self._outcomes = dict.fromkeys(("accepted", "rejected", "failed"), 0)

    def tell(self, metrics: Metrics) -> None:
        """Let the metrics tell what became of the labels that were sent here."""

        def outcomes() -> Readings:
            return [({"outcome": name}, count) for name, count in self._outcomes.items()]

        metrics.counter(
            "mlops_feedback", "Labels; rejected: the caller's mistake, failed: not ours", outcomes
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await self._taken(scope, receive)
        except Refusal as refusal:
            self._outcomes["rejected" if refusal.status < 500 else "failed"] += 1
            raise
        self._outcomes["accepted"] += 1
        await send_whole(send, 202, bodies.JSON.encode(), body)

    def or_else(self, predict: "Handler") -> "Handler":
        """A handler that takes labels by their media type, and passes on all other requests."""

        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            if headers_of(scope).get(b"content-type") != KIND:
                await predict(scope, receive, send)
                return
            scope["path"] = scope["route"] = PATH  # it is counted as what it is
            await self(scope, receive, send)

        return handle

    async def _taken(self, scope: Scope, receive: Receive) -> bytes:
        self._admit()
        if self._log is None:
            message = "This server keeps no log of its answers: start it with CAPTURE_URI"
            raise Refusal(503, "feedback_off", message)
        headers = headers_of(scope)
        if headers.get(b"content-type") != KIND:
            bodies.kind_of(headers)
        given = contract.feedback_of(bodies.parse(await bodies.read(receive, headers, _MOST_BYTES)))
        self._check(given)
        row = capture.Feedback(
            request_id=given.request_id,
            timestamp=time.time_ns() // 10**6,
            classifier=self._log.classifier,
            label=given.label,
        )
        if not self._log.spool.append("feedback", [orjson.dumps(row)]):
            message = "The label could not be written down: send it again later"
            raise Refusal(503, "feedback_not_written", message, _LATER)
        self._recent.labelled(given.request_id, given.label)
        return orjson.dumps({**given.model_dump(), "status": "accepted"})

    def _check(self, given: FeedbackRequest) -> None:
        labels = list(dict.fromkeys(self._labels()))
        if not labels:
            raise Refusal(503, "starting", "The model is starting", _LATER)
        if given.label not in labels:
            contract.invalid(f"label must be one of {', '.join(labels)}")

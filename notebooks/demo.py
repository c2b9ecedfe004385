"""The main job on real input: two digit classifiers behind one endpoint, switched under load, rolled back, slowed down.

Run it with ``make demo``, or with ``make demo-docker``, where every process is a container. Every number was measured
in that run, and the exit status is 1 when a promise was broken.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import numpy as np
import urllib3
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from clipper_nb import ClipperConnection, ClipperException, DockerContainerManager, LocalContainerManager
from clipper_nb.deployers.python import deploy_python_closure

APPLICATION = MODEL = "digits"
SLO_MS = 300  # also where other programs keep every core busy, and a process waits a tenth of a second for its turn
SLOW_MODEL_MS = 10 * SLO_MS
NOISE_MS = 250  # what a busy machine may add to what a client measures
IMAGES_PER_BATCH_REQUEST = 60
NUM_CLIENTS = 8
NUM_LOAD_REQUESTS = 6000
LOAD_LIMIT_S = 20.0
SWITCH_INTERVAL_S = 0.2


class BrokenPromiseError(Exception):
    """What the demo saw is not what the documentation promises."""


@dataclass(frozen=True)
class Reply:
    """One HTTP reply, to a request of one image or of many."""

    status: int
    body: dict[str, Any]
    latency_ms: float


@dataclass(frozen=True)
class Digits:
    """The test images, their labels, and what each version says of them when asked in this process."""

    images: list[list[float]]
    labels: list[int]
    expected: dict[int, list[int]]

    def accuracy(self, outputs: Sequence[int]) -> float:
        return float(np.mean(np.equal(outputs, self.labels)))


class RestClient:
    """A plain HTTP client that keeps its connections open, as one in any language would."""

    def __init__(self, address: str) -> None:
        host, port = address.split(":")
        self._pool = urllib3.HTTPConnectionPool(host, int(port), maxsize=NUM_CLIENTS, timeout=10, retries=False)

    def predict(self, **body: Any) -> Reply:
        encoded = json.dumps(body)
        started_s = time.perf_counter()
        reply = self._pool.request("POST", f"/{APPLICATION}/predict", body=encoded)
        return Reply(reply.status, json.loads(reply.data), (time.perf_counter() - started_s) * 1000)


# --- the steps


def train_classifiers() -> tuple[dict[int, Any], Digits]:
    """Return the two fitted versions and the test images, which neither has seen."""
    x, y = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.3, random_state=0, stratify=y)
    classifiers = {
        1: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x_train, y_train),
        2: SVC(gamma=0.001).fit(x_train, y_train),
    }
    expected = {version: classifier.predict(x_test).tolist() for version, classifier in classifiers.items()}
    digits = Digits(x_test.tolist(), y_test.tolist(), expected)
    say(f"{len(x_train)} images to train on, {len(x_test)} to test with, 8 x 8 pixels each")
    say(f"version 1  logistic regression     accuracy {digits.accuracy(expected[1]):.1%}, asked in this process")
    say(f"version 2  support vector machine  accuracy {digits.accuracy(expected[2]):.1%}, asked in this process")
    return classifiers, digits


def make_manager(*, on_docker: bool) -> DockerContainerManager | LocalContainerManager:
    """Return what runs the cluster; nothing else in the demo depends on it, except what an image must hold."""
    return DockerContainerManager("demo") if on_docker else LocalContainerManager("demo")


def list_images(conn: ClipperConnection) -> dict[str, int]:
    """Return the images on the Docker Engine that this library built, and their sizes in bytes; none without Docker."""
    if not isinstance(conn.cm, DockerContainerManager):
        return {}
    return {image.tags[-1]: image.size_bytes for image in conn.cm.get_images()}


def packages_of_classifiers(conn: ClipperConnection) -> list[str]:
    """Return what an image must hold for the classifiers: the version that they were fitted with.

    Replicas of an embedded cluster have the packages of this process already.
    """
    if not isinstance(conn.cm, DockerContainerManager):
        return []
    return [f"scikit-learn=={importlib.metadata.version('scikit-learn')}"]


def deploy(conn: ClipperConnection, version: int, classifier: Any) -> None:
    """Deploy a fitted classifier as a version of the model; that version is current afterwards."""

    def predict(images: list[np.ndarray]) -> list[int]:
        return classifier.predict(np.stack(images)).tolist()

    images = list_images(conn)
    started_s = time.perf_counter()
    deploy_python_closure(conn, MODEL, version, "doubles", predict, pkgs_to_install=packages_of_classifiers(conn))
    say(f"deployed in {time.perf_counter() - started_s:.2f} s; version {version} is now current")
    say_new_images(conn, images)


def send_all_images(conn: ClipperConnection, client: RestClient, digits: Digits, version: int) -> None:
    """Send every test image, one per request and many per request, and compare with the model asked directly."""
    size = IMAGES_PER_BATCH_REQUEST
    batches_of_images = [digits.images[i : i + size] for i in range(0, len(digits.images), size)]
    say(f"{'':<12}{'requests':>9}{'accuracy':>10}{'p50':>10}{'p95':>10}{'p99':>10}{'batches':>10}{'images/batch':>14}")
    for key, values in (("input", digits.images), ("input_batch", batches_of_images)):
        before = count_batches(conn, version)
        replies = [client.predict(**{key: value}) for value in values]
        batches, images = np.subtract(count_batches(conn, version), before)
        outputs = checked_outputs(replies)
        if outputs != digits.expected[version]:
            raise BrokenPromiseError(f"Over REST, version {version} says something else than asked directly.")
        percentiles = "".join(f"{ms:7.1f} ms" for ms in percentiles_ms(replies))
        say(
            f"{key:<12}{len(replies):9d}{digits.accuracy(outputs):10.1%}{percentiles}"
            f"{batches:10d}{images / max(batches, 1):14.1f}"
        )


def switch_under_load(conn: ClipperConnection, client: RestClient, digits: Digits) -> None:
    """Switch versions back and forth while clients query, and see that none of them is harmed."""
    before = {version: count_batches(conn, version) for version in (1, 2)}
    order = [i % len(digits.images) for i in range(NUM_LOAD_REQUESTS)]
    switches_ms: list[float] = []
    started_s = time.perf_counter()
    with ThreadPoolExecutor(NUM_CLIENTS) as clients:
        pending = {clients.submit(client.predict, input=digits.images[i]): i for i in order}
        while wait(pending, timeout=SWITCH_INTERVAL_S).not_done and time.perf_counter() - started_s < LOAD_LIMIT_S:
            switch_began_s = time.perf_counter()
            conn.set_model_version(MODEL, 1 + len(switches_ms) % 2)
            switches_ms.append((time.perf_counter() - switch_began_s) * 1000)
        clients.shutdown(cancel_futures=True)
    took_s = time.perf_counter() - started_s

    answered = {future: i for future, i in pending.items() if not future.cancelled()}
    replies = [future.result() for future in answered]
    outputs = checked_outputs(replies)
    for i, output in zip(answered.values(), outputs, strict=True):
        if output not in (digits.expected[1][i], digits.expected[2][i]):
            raise BrokenPromiseError(f"Test image {i} got the output {output}, which neither version gives.")
    p50_ms, p95_ms, p99_ms = percentiles_ms(replies)
    say(f"{NUM_CLIENTS} clients sent {len(replies)} requests in {took_s:.1f} s, {len(replies) / took_s:.0f} per second")
    say(f"latency  p50 {p50_ms:.1f} ms   p95 {p95_ms:.1f} ms   p99 {p99_ms:.1f} ms")
    say(f"{len(switches_ms)} switches meanwhile; set_model_version took {np.median(switches_ms):.1f} ms (median)")
    for version in (1, 2):
        batches, images = np.subtract(count_batches(conn, version), before[version])
        say(f"version {version} answered {images:5d} images, on average {images / max(batches, 1):.1f} in a batch")
    say("every reply was 200, none a default output, and each is what one of the two versions says")


def show_slow_model(conn: ClipperConnection, client: RestClient, digits: Digits) -> None:
    """Deploy a model that takes ten times the SLO, show what its clients get and when, and roll back."""

    def predict_slowly(images: list[np.ndarray]) -> list[int]:
        time.sleep(SLOW_MODEL_MS / 1000)
        return [0 for _ in images]

    deploy_python_closure(conn, MODEL, 3, "doubles", predict_slowly)
    for number in (1, 2):
        reply = client.predict(input=digits.images[number])
        if reply.status != 200 or not reply.body["default"] or reply.latency_ms > SLO_MS + NOISE_MS:
            raise BrokenPromiseError(f"With a slow model, a reply came after {reply.latency_ms:.0f} ms: {reply.body}")
        say(f"query {number}: default output {reply.body['output']} after {reply.latency_ms:.1f} ms")
        say(f"{reply.body['default_reason']}: {reply.body['default_explanation']}", indent=6)
    conn.set_model_version(MODEL, 1)
    (output,) = checked_outputs([client.predict(input=digits.images[0])])
    say(f"rolled back to version 1: the next query gets {output}, no default")


# --- what the steps share


def checked_outputs(replies: Sequence[Reply]) -> list[int]:
    """Return the outputs in order; every reply must be 200 and none a default output."""
    outputs = []
    for reply in replies:
        if reply.status != 200:
            raise BrokenPromiseError(f"A reply had status {reply.status}: {reply.body}")
        for answer in reply.body.get("batch_predictions", [reply.body]):
            if answer["default"]:
                raise BrokenPromiseError(f"A query got the default output. {answer['default_explanation']}")
            outputs.append(answer["output"])
    return outputs


def count_batches(conn: ClipperConnection, version: int) -> tuple[int, int]:
    """Return how many batches a version has answered so far, and how many images were in them."""
    for series in conn.inspect_instance()["clipper_model_batch_size"]:
        if series["labels"] == {"model": MODEL, "version": str(version)}:
            return series["count"], int(series["sum"])
    return 0, 0


def percentiles_ms(replies: Sequence[Reply]) -> np.ndarray:
    """Return p50, p95 and p99 of the latencies that the clients saw."""
    return np.percentile([reply.latency_ms for reply in replies], (50, 95, 99))


def say_new_images(conn: ClipperConnection, known: Mapping[str, int]) -> None:
    """Say which images were built that were not known before: those of the cluster only once per machine."""
    for tag, size_bytes in list_images(conn).items():
        if tag not in known:
            say(f"built the image {tag}, {size_bytes / 1e6:.0f} MB with what it stands on")


def say(text: str, *, indent: int = 3) -> None:
    print(textwrap.fill(text, 110, initial_indent=" " * indent, subsequent_indent=" " * indent), flush=True)


def begin_step(number: int, title: str) -> None:
    print(f"\n{number}  {title}", flush=True)


def run_demo(*, on_docker: bool) -> None:
    """Do the whole job once; raise when a promise is broken."""
    begin_step(1, "Train two classifiers of handwritten digits")
    classifiers, digits = train_classifiers()
    begin_step(2, "Start a cluster of containers" if on_docker else "Start a cluster")
    conn = ClipperConnection(make_manager(on_docker=on_docker))
    images = list_images(conn)
    started_s = time.perf_counter()
    conn.start_clipper(cache_size=0)
    with conn:  # stops the cluster whatever happens
        say(f"it answers at http://{conn.get_query_addr()} after {time.perf_counter() - started_s:.2f} s")
        say_new_images(conn, images)
        say("its prediction cache is off, so that every query below reaches a model")
        client = RestClient(conn.get_query_addr())
        begin_step(
            3, f"Register an application with an SLO of {SLO_MS} ms, deploy version 1, link, send all test images"
        )
        conn.register_application(APPLICATION, "doubles", "-1", slo_micros=SLO_MS * 1000)
        deploy(conn, 1, classifiers[1])
        conn.link_model_to_app(APPLICATION, MODEL)
        send_all_images(conn, client, digits, 1)
        begin_step(4, "Deploy version 2, send the same images to the same address")
        deploy(conn, 2, classifiers[2])
        send_all_images(conn, client, digits, 2)
        begin_step(5, "Switch between the versions under load")
        switch_under_load(conn, client, digits)
        begin_step(6, "Roll back to version 1, send all images again")
        conn.set_model_version(MODEL, 1)
        send_all_images(conn, client, digits, 1)
        begin_step(7, f"Deploy a version 3 that takes {SLOW_MODEL_MS} ms, ten times the SLO")
        show_slow_model(conn, client, digits)
        begin_step(8, "Stop the cluster")
        started_s = time.perf_counter()
    say(f"stopped in {time.perf_counter() - started_s:.2f} s")


def main() -> int:
    """Run the demo and return the exit status."""
    parser = argparse.ArgumentParser(description="Two digit classifiers behind one endpoint, as a demonstration.")
    parser.add_argument("--docker", action="store_true", help="every process of the cluster is a container")
    on_docker = parser.parse_args().docker
    started_s = time.perf_counter()
    try:
        run_demo(on_docker=on_docker)
    except (BrokenPromiseError, ClipperException, urllib3.exceptions.HTTPError) as exc:
        print(f"\nThe demo failed: {exc}", file=sys.stderr)
        return 1
    print(f"\nEverything held. The demo took {time.perf_counter() - started_s:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

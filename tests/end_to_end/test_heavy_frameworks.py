"""Frameworks that are too large for ``make test``: TensorFlow, and Keras on it; ``make test-frameworks`` has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipper_nb import ClipperConnection
from clipper_nb.errors import InvalidRequestError

pytestmark = [
    pytest.mark.frameworks,
    pytest.mark.cluster,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),  # the frameworks' own
]

SLO_MICROS = 60_000_000
ROWS = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")


@pytest.fixture(scope="module")
def kind() -> str:
    """Images of gigabytes are not built in tests."""
    return "local"


def served(conn: ClipperConnection, application: str, inputs: Any) -> list[Any]:
    predictions = conn.predict_batch(application, inputs)
    assert not any(prediction.default for prediction in predictions), predictions[0].default_explanation
    return [prediction.output for prediction in predictions]


def make_keras_model() -> Any:
    import keras

    @keras.saving.register_keras_serializable(package="mine")
    class Scaled(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self, factor: float, **options: Any) -> None:
            super().__init__(**options)
            self.factor = factor

        def call(self, x: Any) -> Any:
            return x * self.factor

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "factor": self.factor}

    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(4, activation="relu"), keras.layers.Dropout(0.5), Scaled(2.0), keras.layers.Dense(3)]
    return keras.Sequential([keras.Input((2, 2)), keras.layers.Flatten(), *layers])


@pytest.mark.parametrize("is_file", [False, True], ids=["object", "file"])
def test_keras_model_with_a_registered_class(shared: ClipperConnection, tmp_path: Path, is_file: bool) -> None:
    from clipper_nb.deployers.keras import create_endpoint

    model = make_keras_model()
    model.save(tmp_path / "model.keras")
    name = f"keras-{is_file}".lower()
    create_endpoint(
        shared, name, "floats", None, tmp_path / "model.keras" if is_file else model, slo_micros=SLO_MICROS,
        sample_inputs=ROWS[:3],
    )  # fmt: skip
    expected = pytest.approx(model.predict_on_batch(ROWS.reshape(-1, 2, 2)), rel=1e-6, abs=1e-6)
    assert np.array(served(shared, name, ROWS)) == expected


def test_clippers_keras_script_runs(shared: ClipperConnection) -> None:
    """As Clipper's own test has it, with positional arguments."""
    import keras

    from clipper_nb.deployers.keras import deploy_keras_model

    inputs = keras.Input(shape=(4,))
    model = keras.Model(inputs=inputs, outputs=keras.layers.Dense(1)(inputs))

    def predict(model: Any, inputs: Any) -> list[str]:
        return [str(row[0]) for row in model.predict(np.array(inputs), verbose=0)]

    shared.register_application("clippers-keras", "floats", "-1", SLO_MICROS)
    deploy_keras_model(shared, "clippers-keras", "1", "floats", predict, model)
    shared.link_model_to_app("clippers-keras", "clippers-keras")
    expected = pytest.approx(model.predict(ROWS, verbose=0)[:, 0], rel=1e-6, abs=1e-6)
    assert np.array(served(shared, "clippers-keras", ROWS)) == expected


def test_saved_model_and_module_of_tensorflow(shared: ClipperConnection, tmp_path: Path) -> None:
    import tensorflow as tf

    from clipper_nb.deployers.tensorflow import create_endpoint, deploy_tensorflow_model

    class Doubling(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.factor = tf.Variable(2.0)

        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32)])  # type: ignore[untyped-decorator]
        def double(self, x: Any) -> Any:
            return {"doubled": x * self.factor}

    def predict(model: Any, inputs: Any) -> Any:
        import tensorflow as tf

        return model.double(tf.constant(np.stack(inputs)))["doubled"].numpy()

    module = Doubling()
    create_endpoint(shared, "tf", "floats", predict, module, slo_micros=SLO_MICROS, sample_inputs=ROWS[:2])
    assert np.array(served(shared, "tf", ROWS)) == pytest.approx(2 * ROWS, rel=1e-6)
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=module.double)

    def by_signature(model: Any, inputs: Any) -> Any:
        import tensorflow as tf

        return model.signatures["serving_default"](x=tf.constant(np.stack(inputs)))["doubled"].numpy()

    deploy_tensorflow_model(shared, "tf", None, "floats", by_signature, str(tmp_path / "saved"))
    assert np.array(served(shared, "tf", ROWS)) == pytest.approx(2 * ROWS, rel=1e-6)
    with tf.compat.v1.Session() as session, pytest.raises(InvalidRequestError, match="simple_save"):
        deploy_tensorflow_model(shared, "tf", None, "floats", predict, session)
    with pytest.raises(InvalidRequestError, match=r"saved_model\.pb"):
        deploy_tensorflow_model(shared, "tf", None, "floats", predict, tmp_path)

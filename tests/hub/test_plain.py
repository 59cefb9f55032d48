"""In ordinary operators every model gives the features that it gave."""

import pytest

from foresay.hub.plain import as_function
from reference.tiny_exports import KINDS, assert_equal, tiny_model


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_encoded_otherwise(kind: str) -> None:
    model = tiny_model(kind)
    assert_equal(as_function(model, model.layer_names), model, model.layer_names)

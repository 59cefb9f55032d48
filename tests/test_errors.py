"""Words of messages."""

import pytest

from foresay.errors import with_article


@pytest.mark.parametrize("name", ["an MFCC", "an ACPC", "a CPC", "a HuBERT", "a LogMel", "an Attention", "an NGram", "a KMeansUnits"])
def test_the_article_is_the_one_that_is_spoken(name: str) -> None:
    assert with_article(type(name.split()[1], (), {})) == name

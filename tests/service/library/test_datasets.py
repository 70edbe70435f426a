"""The facts about a data set that are known before it is loaded are correct."""

import pytest

from landscape.data import BUILT_IN, load
from service.errors import InvalidError
from service.library.datasets import DATASETS, dataset_facts


@pytest.mark.parametrize("name", DATASETS)
def test_the_facts_of_a_built_in_data_set_agree_with_its_samples(name: str) -> None:
    facts = dataset_facts(name)
    for split, count in facts.splits.items():
        samples = load(name, split)
        assert len(samples) == count
        assert samples.classes == facts.classes
        assert tuple(samples.images.shape[1:]) == facts.shape


def test_every_built_in_data_set_has_facts() -> None:
    assert set(DATASETS) == set(BUILT_IN)


def test_an_unknown_data_set_is_refused_with_a_list_of_the_known_ones() -> None:
    with pytest.raises(InvalidError, match="Known: digits"):
        dataset_facts("imagenet")

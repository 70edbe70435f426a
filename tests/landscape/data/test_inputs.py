"""Data passed by callers: the landscape is over exactly these samples, in a deterministic order."""

import random
import subprocess
import sys
from collections import UserDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import (
    DataLoader,
    IterableDataset,
    RandomSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

import landscape as ls
from landscape.data import Dataset, load
from landscape.errors import DataError, LandscapeError
from tests.support.small_models import convolutional, gaussian, perceptron, pictures, stirred, vectors

GRID = ls.Grid(ls.Axis(-1, 1, 3), ls.Axis(0, 1, 2))


def loader(**options: Any) -> DataLoader[Any]:
    return DataLoader(TensorDataset(*pictures()), **options)


def losses(images: Any, labels: Any = None, **options: Any) -> Any:
    return ls.surface(convolutional(), images, labels, grid=GRID, progress=False, **options).losses


@pytest.fixture(scope="module")
def expected() -> Any:
    return losses(*pictures())


@pytest.mark.parametrize(
    "make",
    [
        lambda: loader(batch_size=5),
        lambda: loader(batch_size=5, shuffle=True),
        lambda: loader(batch_size=5, shuffle=True, drop_last=True),
        lambda: loader(batch_sampler=[[*range(k, min(k + 4, 23))] for k in range(0, 23, 4)]),
        lambda: TensorDataset(*pictures()),
        lambda: [(images, labels) for images, labels in loader(batch_size=6)],
        lambda: (pair for pair in loader(batch_size=6)),
        lambda: Dataset("mine", "train", *pictures(), 3, (), ()),
    ],
    ids=["in order", "shuffled", "dropping", "batches given", "data set", "list", "generator", "ours"],
)
def test_any_source_of_batches_gives_the_same_surface_as_its_tensors(make: Any, expected: Any) -> None:
    assert losses(make()).tolist() == expected.tolist()


def test_arrays_are_taken_as_tensors(expected: Any) -> None:
    images, labels = pictures()
    assert losses(images.numpy(), labels.numpy()).tolist() == expected.tolist()


def test_the_provenance_says_what_the_samples_were_and_in_which_order() -> None:
    model, grid = convolutional(), ls.Grid.line(2)
    shuffled = ls.slice(model, loader(batch_size=5, shuffle=True), grid=grid).provenance
    assert (shuffled["dataset"], shuffled["order"]) == ("TensorDataset", "of the data set (the loader shuffles)")
    assert ls.slice(model, list(loader(batch_size=6)), grid=grid).provenance["order"] == "as they came, once"
    digits = load("digits", "test").subset(20)
    named = ls.slice(ls.shipped("resnet20-w8-skip"), digits, grid=grid)
    assert "digits, 20 test samples" in named.caption
    assert named.provenance["data_sha256"] == digits.digest


def test_a_loader_with_workers_and_random_transforms_is_read_once() -> None:
    images, labels = pictures()

    class Noisy(torch.utils.data.Dataset[Any]):
        read = 0

        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, index: int) -> Any:
            Noisy.read += 1
            noise = torch.rand(()) + np.random.random() + random.random()
            return images[index] + 0.1 * noise, labels[index]

    model = convolutional()  # making one draws random numbers
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    result = ls.surface(model, DataLoader(Noisy(), batch_size=4), grid=GRID)
    assert Noisy.read == 23
    assert all(check.passed for check in result.checks)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == states[1:]
    again = ls.surface(model, DataLoader(Noisy(), batch_size=4), grid=GRID)
    assert again.losses.tolist() == result.losses.tolist()  # the random state was the same
    two = DataLoader(TensorDataset(images, labels), batch_size=4, num_workers=1, multiprocessing_context="fork")
    assert losses(two).tolist() == losses(images, labels).tolist()


def test_a_random_subset_keeps_the_order_of_its_data_set() -> None:
    images, labels = pictures()
    chosen = loader(batch_size=4, sampler=SubsetRandomSampler([7, 3, 11, 5]))
    assert losses(chosen).tolist() == losses(images[[3, 5, 7, 11]], labels[[3, 5, 7, 11]]).tolist()
    subset = DataLoader(Subset(TensorDataset(images, labels), [7, 3, 11, 5]), shuffle=True)
    assert losses(subset).tolist() == losses(images[[7, 3, 11, 5]], labels[[7, 3, 11, 5]]).tolist()


@pytest.mark.parametrize(
    "sampler",
    [
        RandomSampler(range(23), replacement=True, num_samples=9),
        RandomSampler(range(23), num_samples=9),
        WeightedRandomSampler([1.0] * 23, 9),
    ],
    ids=["with replacement", "a part", "weighted"],
)
def test_samples_drawn_at_random_are_refused(sampler: Any) -> None:
    with pytest.raises(DataError, match=r"draws its samples by chance \(\w+RandomSampler|\(RandomSampler"):
        losses(loader(sampler=sampler))


class Streamed(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        images, labels = pictures()
        return iter(zip(images, labels, strict=True))


def test_a_stream_is_taken_as_it_comes(expected: Any) -> None:
    assert losses(DataLoader(Streamed(), batch_size=7)).tolist() == expected.tolist()


def test_further_data_sets_may_be_loaders_too() -> None:
    images, labels = pictures()
    both = ls.surface(convolutional(), images, labels, grid=GRID, also={"test": loader(batch_size=5)})
    assert both.array("test_losses").tolist() == both.losses.tolist()


@dataclass
class Output:
    """An output like that of Hugging Face's models."""

    logits: Tensor
    loss: Tensor | None = None


class Reader(nn.Module):
    """A classifier like Hugging Face's: tokens and a mask by keyword in, class scores out."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.classifier = nn.Embedding(11, 6), nn.Linear(6, 3)
        self.norm = nn.BatchNorm1d(6)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, weight: Tensor | None = None, labels: Tensor | None = None
    ) -> Output:
        mask = attention_mask[..., None].to(self.classifier.weight.dtype)
        mean = (self.embedding(input_ids) * mask).sum(1) / mask.sum(1)
        mean = mean if weight is None else mean * weight
        return Output(self.classifier(self.norm(mean)))


def reader() -> nn.Module:
    return stirred(Reader())


def texts(count: int = 17) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(2)
    return {
        "input_ids": torch.randint(0, 11, (count, 7), generator=generator),
        "attention_mask": (torch.rand(count, 7, generator=generator) > 0.2).long().index_fill_(1, torch.tensor([0]), 1),
        "labels": torch.randint(0, 3, (count,), generator=generator),
    }


def of_batch(outputs: Output, batch: dict[str, Tensor]) -> Tensor:
    return F.cross_entropy(outputs.logits.double(), batch["labels"], reduction="none")


@pytest.mark.parametrize(
    "make",
    [
        texts,
        lambda: UserDict(texts()),
        lambda: DataLoader([{k: v[i] for k, v in texts().items()} for i in range(17)], batch_size=5, shuffle=True),
        lambda: [{k: v[i : i + 4] for k, v in texts().items()} for i in range(0, 17, 4)],
    ],
    ids=["whole", "like a dictionary", "loader", "list"],
)
def test_a_network_that_takes_dictionaries_has_the_losses_of_a_plain_loop(make: Any) -> None:
    model = reader()
    result = ls.slice(model, make(), grid=ls.Grid.line(5), loss=of_batch, seed=3)
    [direction] = directions(model)
    for index, alpha in enumerate(result.alphas):
        moved = reader().double().eval()
        with torch.no_grad():
            for name, parameter in moved.named_parameters():
                parameter += float(alpha) * direction[name].double()
            batch = texts()
            outputs = moved(**batch)
        each = of_batch(outputs, batch)
        assert result.losses[index, 0] == pytest.approx(float(each.mean()), rel=1e-5)
        right = (outputs.logits.argmax(1) == batch["labels"]).double().mean()
        assert result.accuracies[index, 0] == pytest.approx(float(right))
    assert all(check.passed for check in result.checks)


def directions(model: nn.Module) -> Any:
    from landscape.directions.random import random_directions

    center = {name: parameter.detach() for name, parameter in model.named_parameters()}
    return random_directions(center, seed=3, count=1)


def test_a_dictionary_with_labels_of_its_own_goes_to_a_loss_of_outputs_and_labels() -> None:
    batch = texts()
    labels = batch.pop("labels")
    apart = ls.slice(
        reader(), batch, labels, grid=ls.Grid.line(3), loss=lambda o, y: F.cross_entropy(o.logits, y, reduction="none")
    )
    together = ls.slice(reader(), texts(), grid=ls.Grid.line(3), loss=of_batch)
    assert apart.losses == pytest.approx(together.losses, rel=1e-6)
    pairs = DataLoader([({k: v[i] for k, v in batch.items()}, labels[i]) for i in range(17)], batch_size=5)
    paired = ls.slice(
        reader(), pairs, grid=ls.Grid.line(3), loss=lambda o, y: F.cross_entropy(o.logits, y, reduction="none")
    )
    assert paired.losses.tolist() == apart.losses.tolist()


def test_floating_entries_take_the_precision_and_every_kind_of_result_works_with_dictionaries() -> None:
    batch = {**texts(), "weight": gaussian(17, 6).double()}
    exact = ls.surface(reader(), batch, grid=GRID, loss=of_batch, precision="float64")
    single = ls.surface(reader(), batch, grid=GRID, loss=of_batch)
    assert single.losses == pytest.approx(exact.losses, rel=1e-5)
    more = {"loss": of_batch, "progress": False}
    others = [stirred(Reader(), seed) for seed in (2, 3, 4)]
    assert ls.interpolation(reader(), others[0], batch, grid=ls.Grid.line(3), **more).checks[1].passed
    assert ls.trajectory(reader(), [*others, reader()], batch, grid=ls.Grid.square(3), **more).path
    assert np.isfinite(ls.curvature(reader(), batch, grid=ls.Grid.line(2), steps=5, **more).array("lambda_max")).all()
    assert ls.surface(reader(), batch, grid=GRID, batch_norm="recalibrated", **more).computed.all()
    changed = {**batch, "weight": batch["weight"] + 1}
    digests = {ls.slice(reader(), b, grid=ls.Grid.line(2), **more).provenance["data_sha256"] for b in (batch, changed)}
    assert len(digests) == 2


def test_hooks_of_a_network_that_takes_dictionaries_see_its_keywords() -> None:
    model, seen = reader(), []
    model.register_forward_pre_hook(lambda module, args, kwargs: seen.append(sorted(kwargs)), with_kwargs=True)
    ls.slice(model, texts(), grid=ls.Grid.line(2), loss=of_batch)
    assert set(map(tuple, seen)) == {("attention_mask", "input_ids", "labels")}


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        (pictures()[0], None, "Labels are missing"),
        (3, None, "Labels are missing: got int alone"),
        ([], None, "gave no batch"),
        (
            [(torch.zeros(2, 5), torch.zeros(2), torch.zeros(2))],
            None,
            r"must be \(inputs, labels\) or a mapping.*3 parts",
        ),
        ([("a", torch.zeros(2))], None, "'images' is of type str"),
        (
            [(torch.zeros(2, 5), torch.zeros(2)), (torch.zeros(2, 4), torch.zeros(2))],
            None,
            r"shapes \(4,\) and \(5,\) in the inputs",
        ),
        ([{"a": torch.zeros(2, 3)}, {"a": torch.zeros(2, 4)}], None, "in 'a'. Make all samples equal"),
        ([{"a": torch.zeros(2)}, {"b": torch.zeros(2)}], None, "different entries"),
        ({"a": torch.zeros(2), "b": torch.zeros(3)}, None, r"a, b have \[2, 3\] samples"),
        ({"a": ["x", "y"]}, None, "'a' is of type list"),
        ({"a": torch.zeros(2)}, None, "say what their loss is"),
        (Dataset("mine", "train", *pictures(), 3, (), ()), torch.zeros(23), "brings its own labels"),
    ],
)
def test_data_that_do_not_fit_are_refused_in_a_sentence(images: Any, labels: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        ls.slice(perceptron(), images, labels, grid=ls.Grid.line(2))


def test_keywords_that_the_network_does_not_take_are_named() -> None:
    with pytest.raises(LandscapeError, match="cannot take batches with tokens"):
        ls.slice(reader(), {"tokens": torch.zeros(3, 2)}, grid=ls.Grid.line(2), loss=of_batch)


def test_a_network_that_keeps_a_tensor_of_its_last_pass_can_be_plotted() -> None:
    class Remembering(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            self.features = self[0](x)
            return self[2](self[1](self.features))

    model = Remembering(*perceptron())
    images, labels = vectors()
    F.cross_entropy(model(images), labels).backward()
    kept = model.features
    assert kept.grad_fn is not None
    result = ls.slice(model, images, labels, grid=ls.Grid.line(3))
    assert result.losses == pytest.approx(ls.slice(perceptron(), images, labels, grid=ls.Grid.line(3)).losses, rel=1e-6)
    assert model.features is kept


def test_the_library_works_with_torch_and_numpy_alone() -> None:
    others = ("rich", "typer", "plotly", "h5py", "safetensors", "sklearn", "scipy", "matplotlib", "pandas", "trimesh")
    script = f"""
import sys
for name in {others}: sys.modules[name] = None
import torch, landscape as ls
model = torch.nn.Sequential(torch.nn.Linear(4, 3))
images, labels = torch.randn(20, 4), torch.arange(20) % 3
result = ls.surface(model, images, labels, grid=ls.Grid.square(5))
ls.curvature(model, images, labels, grid=ls.Grid.line(3), steps=4)
again = ls.Result.from_json(result.to_json())
assert again.losses.tolist() == result.losses.tolist() and all(check.passed for check in result.checks)
for ending in ("json", "npz", "csv", "vtp"): assert result.to_bytes(ending)
assert "<svg" in result._repr_mimebundle_()["text/html"] and ls.numbers(result)
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr

"""Benchmark of pb-tensor: a batch of token sequences and one of audio frames, against PyTorch's own pieces."""

from tutor.worker.case import Case


def tokens(rng):
    """256 documents of 16 to 256 token ids."""
    import torch

    lengths = rng.integers(16, 257, 256)
    return ([torch.from_numpy(rng.integers(0, 50_000, n)) for n in lengths],)


def frames(rng):
    """32 utterances of 100 to 400 frames with 80 channels."""
    import numpy as np
    import torch

    lengths = rng.integers(100, 401, 32)
    return ([torch.from_numpy(rng.random((n, 80), dtype=np.float32)) for n in lengths],)


def mask(rng):
    """256 rows of 512, about half of them filled."""
    import torch

    return (torch.arange(512)[None] < torch.from_numpy(rng.integers(1, 513, 256))[:, None],)


def usual(sequences):
    """What collate functions say: pad_sequence, and a mask by comparing positions with lengths."""
    import torch

    padded = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True)
    lengths = torch.tensor([len(one) for one in sequences])
    return padded, torch.arange(padded.shape[1])[None] < lengths[:, None]


def same(inputs, got, want):
    import torch

    for name, mine, theirs in zip(("padded", "mask"), got, want, strict=True):
        assert torch.equal(mine, theirs), f"{name} differs from pad_sequence's"


def same_places(inputs, got, want):
    import torch

    assert torch.equal(got, want), "the places differ from nonzero's"


def collate(make):
    return Case(make=make, learner=lambda built, sequences: built.collate(sequences), baseline=usual, verify=same)


CASES = {
    "tokens-256": collate(tokens),
    "frames-32": collate(frames),
    "places-256x512": Case(
        make=mask,
        learner=lambda built, mask: built.places(mask),
        baseline=lambda mask: mask.flatten().nonzero().flatten(),
        verify=same_places,
    ),
}

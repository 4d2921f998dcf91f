"""Benchmarks of capi-buffer: one image of 224 x 224 into its slot of a batch, against two ways in NumPy."""

from __future__ import annotations

from tutor.worker.case import Case

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # those of ImageNet, as torchvision's models want them
SIZE = 224


def image_and_slot(rng):
    """A decoded image, and its place in a batch that is allocated once."""
    import numpy as np

    batch = np.zeros((2, 3, SIZE, SIZE), np.float32)
    return rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8), batch[1]


def crop_and_slot(rng):
    """A crop of a larger image, flipped: strides in every dimension."""
    import numpy as np

    whole = rng.integers(0, 256, (SIZE + 32, SIZE + 32, 3), np.uint8)
    return whole[16:-16, 16:-16][:, ::-1], np.zeros((3, SIZE, SIZE), np.float32)


def learner(built, image, out):
    built.normalize(image, MEAN, STD, out)
    return out


def numpy_formula(image, out):
    """The formula as one writes it."""
    import numpy as np

    mean, std = np.array(MEAN, np.float32), np.array(STD, np.float32)
    out[...] = ((image.astype(np.float32) / 255 - mean) / std).transpose(2, 0, 1)
    return out


def numpy_tuned(image, out):
    """No temporaries: one multiplication and one addition, into the output."""
    import numpy as np

    mean, std = np.array(MEAN, np.float32), np.array(STD, np.float32)
    np.multiply(image.transpose(2, 0, 1), (1 / (255 * std))[:, None, None], out=out)
    out -= (mean / std)[:, None, None]
    return out


def verify(inputs, got, want):
    import numpy as np

    assert got.shape == want.shape, f"the output has shape {got.shape}, want {want.shape}"
    worst = float(np.max(np.abs(got - want)))
    assert worst < 1e-5, f"values differ by up to {worst:.2g}"


CASES = {
    "image-224": Case(make=image_and_slot, learner=learner, baseline=numpy_formula, verify=verify, mutates=True),
    "flipped-crop": Case(make=crop_and_slot, learner=learner, baseline=numpy_formula, verify=verify, mutates=True),
    "numpy-tuned": Case(make=image_and_slot, learner=learner, baseline=numpy_tuned, verify=verify, mutates=True),
}

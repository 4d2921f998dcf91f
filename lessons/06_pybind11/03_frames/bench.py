"""Benchmark of pb-owner: handing out the frames of a clip, and decoding one, against NumPy and a copy."""

import struct

from tutor.worker.case import Case

COUNT, HEIGHT, WIDTH = 16, 270, 480


def clip(rng):
    """A file of long runs: (file,)."""
    import numpy as np

    total = COUNT * HEIGHT * WIDTH
    runs = np.full((-(-total // 250), 4), 250, np.uint8)
    runs[:, 1:] = rng.integers(0, 256, (len(runs), 3))
    runs[-1, 0] = total - 250 * (len(runs) - 1)
    return (b"FRM1" + struct.pack("<3I", COUNT, HEIGHT, WIDTH) + runs.tobytes(),)


def with_numpy(file):
    """The whole clip by np.repeat: what one would write in Python."""
    import numpy as np

    runs = np.frombuffer(file, np.uint8, offset=16).reshape(-1, 4)
    return np.repeat(runs[:, 1:], runs[:, 0], axis=0).reshape(COUNT, HEIGHT, WIDTH, 3)


def copies(frames):
    """What a binding without an owner must do."""
    return [frame.copy() for frame in frames]


def same(inputs, got, want):
    import numpy as np

    for number, (mine, theirs) in enumerate(zip(got, want, strict=True)):
        assert np.array_equal(mine, theirs), f"frame {number} differs"


CASES = {
    "frames-16": Case(
        make=clip,
        prepare=lambda built, inputs: (built.Clip(inputs[0]),),
        learner=lambda built, clip: [clip.frame(index) for index in range(COUNT)],
        prepare_baseline=lambda inputs: (with_numpy(inputs[0]),),
        baseline=copies,
        verify=same,
    ),
    "decode-16": Case(make=clip, learner=lambda built, file: built.decode(file), baseline=with_numpy, verify=same),
}

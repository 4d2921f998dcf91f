"""Benchmarks of capi-evt1: a shard of 20,000 records (1.2 MB) against two ways to read it in Python."""

from __future__ import annotations

import struct

from tutor.worker.case import Case

RECORDS, MOST_FEATURES, MOST_TOKENS = 20_000, 8, 24


def shard(rng):
    """A fresh shard. Its sizes of records are those of click logs: a few features, a short list of tokens."""
    parts = [b"EVT1", struct.pack("<I", RECORDS)]
    counts = zip(
        rng.integers(0, MOST_FEATURES + 1, RECORDS).tolist(),
        rng.integers(0, MOST_TOKENS + 1, RECORDS).tolist(),
        rng.integers(1 << 40, size=RECORDS).tolist(),
        rng.integers(1 << 32, size=RECORDS).tolist(),
        strict=True,
    )
    floats = rng.standard_normal(RECORDS + MOST_FEATURES).astype("<f4").tobytes()
    ids = rng.integers(50_000, size=RECORDS + MOST_TOKENS).astype("<u2").tobytes()
    for i, (features, tokens, time, user) in enumerate(counts):
        body = struct.pack("<QIBBH", time, user, i & 1, features, tokens)
        body += floats[4 * i : 4 * (i + features)] + ids[2 * i : 2 * (i + tokens)]
        parts += (body, struct.pack("<I", sum(body) & 0xFFFFFFFF))
    return (b"".join(parts),)


def learner(built, data):
    return built.parse(data)


def struct_loop(data):
    """What one writes first: struct.unpack_from, and lists that grow."""
    import numpy as np

    magic, count = struct.unpack_from("<4sI", data, 0)
    if magic != b"EVT1":
        raise ValueError("not an EVT1 shard")
    times, users, labels, features, tokens, feature_ends, token_ends = [], [], [], [], [], [0], [0]
    at = 8
    for _ in range(count):
        start = at
        time, user, label, n_features, n_tokens = struct.unpack_from("<QIBBH", data, at)
        at += 16
        features.extend(struct.unpack_from(f"<{n_features}f", data, at))
        at += 4 * n_features
        tokens.extend(struct.unpack_from(f"<{n_tokens}H", data, at))
        at += 2 * n_tokens
        if sum(data[start:at]) & 0xFFFFFFFF != struct.unpack_from("<I", data, at)[0]:
            raise ValueError("wrong checksum")
        at += 4
        times.append(time)
        users.append(user)
        labels.append(label)
        feature_ends.append(len(features))
        token_ends.append(len(tokens))
    columns = (times, users, labels, feature_ends, features, token_ends, tokens)
    return tuple(map(np.array, columns, ("u8", "u4", "u1", "i8", "f4", "i8", "u2")))


def numpy_assisted(data):
    """The tuned Python: only the lengths are read in a loop, the payload is joined and viewed, sums come from NumPy."""
    import numpy as np

    magic, count = struct.unpack_from("<4sI", data, 0)
    if magic != b"EVT1":
        raise ValueError("not an EVT1 shard")
    view, lengths, starts = memoryview(data), struct.Struct("<BH").unpack_from, []
    features, tokens, feature_ends, token_ends = [], [], [0], [0]
    at = 8
    for _ in range(count):
        n_features, n_tokens = lengths(data, at + 13)
        middle = at + 16 + 4 * n_features
        end = middle + 2 * n_tokens
        features.append(view[at + 16 : middle])
        tokens.append(view[middle:end])
        starts.append(at)
        feature_ends.append(n_features)
        token_ends.append(n_tokens)
        at = end + 4
    raw, begin = np.frombuffer(data, "u1"), np.array(starts)
    sums = np.append(begin[1:], at) - 4
    found = np.add.reduceat(raw, np.stack([begin, sums], 1).ravel(), dtype="u4")[::2]
    fixed = raw[begin[:, None] + np.arange(16)].view([("t", "<u8"), ("u", "<u4"), ("l", "u1"), ("n", "V3")]).ravel()
    if (found != raw[sums[:, None] + np.arange(4)].view("<u4").ravel()).any():
        raise ValueError("wrong checksum")
    ends = np.cumsum(feature_ends), np.cumsum(token_ends)
    payload = np.frombuffer(b"".join(features), "f4"), np.frombuffer(b"".join(tokens), "u2")
    return fixed["t"], fixed["u"], fixed["l"], ends[0], payload[0], ends[1], payload[1]


NAMES = ("timestamps", "users", "labels", "feature offsets", "features", "token offsets", "tokens")


def verify(inputs, got, want):
    """Types, lengths and every bit."""
    assert len(got) == len(want), f"want {len(want)} columns, got {len(got)}"
    for name, mine, right in zip(NAMES, got, want, strict=True):
        assert (mine.dtype, mine.shape) == (right.dtype, right.shape), f"{name}: {mine.dtype} of shape {mine.shape}"
        assert mine.tobytes() == right.tobytes(), f"{name} differ from those of the Python reader"


CASES = {
    "struct-loop": Case(make=shard, learner=learner, baseline=struct_loop, verify=verify),
    "numpy-assisted": Case(make=shard, learner=learner, baseline=numpy_assisted, verify=verify),
}

# SPDX-License-Identifier: Apache-2.0
"""Made vectors of any number that are as hard to search as descriptors of images.

    x = (c + B_c z + noise) / |...|,    z ~ N(0, 1) in 32 dimensions,

around 4,096 centres c whose shares fall as 1 / (rank + 10). Centres and directions B_c have
variance j^-1 along the j-th axis of a random basis, and z falls as j^-1/2 within a group. Of
100,000 such rows the local intrinsic dimension (maximum likelihood, 100 neighbours) is 11 at the
median and 15 in the mean; for deep1B 12 is reported (Li et al., IEEE TKDE 2020).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vectorloom.progress import progress

DIM = 96
_RANK = 32
_CENTRES = 4096
_LOCAL, _NOISE = 0.9, 0.1
_BLOCK = 100_000


class DeepLike:
    """The distribution; rows are drawn block by block, the same for any number of them."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        spectrum = np.arange(1, DIM + 1) ** -0.5
        basis, _ = np.linalg.qr(rng.standard_normal((DIM, DIM)))
        centres = (rng.standard_normal((_CENTRES, DIM)) * spectrum) @ basis.T
        centres /= np.linalg.norm(centres, axis=1).mean()
        inside = rng.standard_normal((_CENTRES, _RANK, DIM))
        inside = (inside * spectrum) @ basis.T
        inside /= np.linalg.norm(inside, axis=2, keepdims=True)
        scale = np.arange(1, _RANK + 1) ** -0.5
        inside *= (_LOCAL * scale / np.linalg.norm(scale))[None, :, None]
        shares = 1.0 / (np.arange(_CENTRES) + 10.0)
        self._centres = centres.astype(np.float32)
        self._inside = inside.astype(np.float32)
        self._shares = shares / shares.sum()
        self._seed = seed

    def block(self, number: int, n: int = _BLOCK) -> NDArray[np.float32]:
        """Return the n rows of a block; block -1 is for queries."""
        rng = np.random.default_rng((self._seed, number + 1))
        group = rng.choice(_CENTRES, n, p=self._shares)
        order = np.argsort(group, kind="stable")
        starts = np.searchsorted(group[order], np.arange(_CENTRES + 1))
        z = rng.standard_normal((n, _RANK), dtype=np.float32)
        x = np.empty((n, DIM), np.float32)
        for c in range(_CENTRES):
            rows = order[starts[c] : starts[c + 1]]
            if len(rows):
                x[rows] = self._centres[c] + z[rows] @ self._inside[c]
        x += _NOISE / DIM**0.5 * rng.standard_normal(x.shape, dtype=np.float32)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        return x

    def write(self, path: Path, n: int) -> None:
        """Write n rows to a .npy file, unless it is there."""
        if path.exists():
            return
        made = path.with_suffix(".part")
        out = np.lib.format.open_memmap(made, mode="w+", dtype=np.float32, shape=(n, DIM))
        with progress("making rows", total=n, unit="rows") as bar:
            for first in range(0, n, _BLOCK):
                last = min(n, first + _BLOCK)
                out[first:last] = self.block(first // _BLOCK)[: last - first]
                bar.advance(last - first)
        out.flush()
        made.rename(path)

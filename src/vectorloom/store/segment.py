# SPDX-License-Identifier: Apache-2.0
"""A sealed segment as it is searched: mapped vectors, the graph derived from them, what is damaged.

A block of vectors is held against its checksum before the first answer out of it is given. The
graph is a file of its own that can be lost: it is built from the segment again.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import FormatError, VectorloomError
from vectorloom.index.proximity import ProximityGraph
from vectorloom.index.store import RowStore
from vectorloom.io.container import open_container, write_container
from vectorloom.store.rows import norms_of, row_store
from vectorloom.store.schema import FieldSchema
from vectorloom.store.segment_file import FOLDER, SegmentRecord, open_segment

DERIVED = "derived"
KIND = "store.graph"
#: Fewer rows are searched whole faster than they are walked through.
GRAPH_MIN_ROWS = 4096
DEGREE = 32

log = logging.getLogger("vectorloom.store")


class Segment:
    """One sealed file, opened.

    Parameters
    ----------
    folder : Path
        Of the collection.
    schema : FieldSchema
    record : SegmentRecord
    id_type : {"int64", "str"}
    own : bool, default=True
        Whether a graph file that cannot be used may be removed.

    Attributes
    ----------
    store : RowStore
    rows : ndarray of shape (n,), int64
        Ascending.
    graph : ProximityGraph or None
    damaged : set of int
        Blocks that differ from their checksums.

    Raises
    ------
    FormatError, OSError
        The file is missing, or damaged outside its vectors.
    """

    def __init__(
        self,
        folder: Path,
        schema: FieldSchema,
        record: SegmentRecord,
        id_type: str,
        own: bool = True,
    ) -> None:
        self.record = record
        self._own = own
        self.schema = schema
        self.path = folder / FOLDER / record.file
        self.graph_path = folder / DERIVED / f"{Path(record.file).stem}.graph"
        arrays = open_segment(folder, schema, record, id_type)
        self.rows = arrays.rows
        self.block_rows: int = record.layout["block_rows"]
        self._sums = np.frombuffer(record.checksums, "<u4")
        self._verified = np.zeros(len(self._sums), np.bool_)
        self.damaged: set[int] = set()
        self._lock = threading.Lock()
        self.graph: ProximityGraph | None = None
        norms = self._open_graph(arrays.values, arrays.scales, arrays.ids)
        if norms is None:
            norms = norms_of(schema, arrays.values, arrays.scales)
            self.store = row_store(schema, arrays.ids, arrays.values, arrays.scales, norms)

    store: RowStore

    def __len__(self) -> int:
        return self.record.n

    @property
    def wants_graph(self) -> bool:
        """Whether a graph is worth it and not there."""
        return self.graph is None and len(self) >= GRAPH_MIN_ROWS

    # ---- checksums -----------------------------------------------------------------------------

    def check_positions(self, positions: NDArray[np.int64]) -> bool:
        """Verify the blocks of these positions, once each; False where a new one is damaged."""
        if self._verified.all():
            return True
        blocks = positions // self.block_rows
        fresh = np.unique(blocks[~self._verified[blocks]])
        return not any([self._is_bad(int(block)) for block in fresh])

    def check_block(self, block: int) -> bool:
        """Verify one block; False where it is damaged."""
        if self._verified[block]:
            return block not in self.damaged
        return not self._is_bad(block)

    def require_sound(self, positions: NDArray[np.int64]) -> None:
        """Refuse to copy rows whose blocks are damaged.

        Raises
        ------
        FormatError
        """
        self.check_positions(positions)
        bad = set((positions // self.block_rows).tolist()) & self.damaged
        if bad:
            raise FormatError(self.describe_damage(bad))

    def scrub(self, most: int) -> bool | None:
        """Verify a few blocks more; None where all were, else whether one is damaged."""
        blocks = np.flatnonzero(~self._verified)[:most]
        if len(blocks) == 0:
            return None
        return any([self._is_bad(int(block)) for block in blocks])

    @property
    def n_blocks(self) -> int:
        """Blocks of vectors."""
        return len(self._sums)

    def rows_of_block(self, block: int) -> slice:
        """Return the positions of a block."""
        return slice(block * self.block_rows, min(len(self), (block + 1) * self.block_rows))

    def _is_bad(self, block: int) -> bool:
        values = self.store.values[self.rows_of_block(block)]
        bad = zlib.crc32(values.reshape(-1).view(np.uint8)) != int(self._sums[block])
        with self._lock:
            if bad and block not in self.damaged:
                self.damaged.add(block)
                log.error("%s", self.describe_damage([block]))
            self._verified[block] = True
        return bad

    def describe_damage(self, blocks: Any) -> str:
        """Return what is wrong, for people."""
        names = ", ".join(map(str, sorted(blocks)))
        n = sum(len(range(*self.rows_of_block(b).indices(len(self)))) for b in blocks)
        return (
            f"{self.path}: block {names} differs from its checksum; {n} vectors are left out of "
            "answers. Restore them with `vectorloom repair`."
        )

    def damaged_mask(self) -> NDArray[np.bool_] | None:
        """Return True at positions in damaged blocks; None where there are none."""
        if not self.damaged:
            return None
        mask = np.zeros(len(self), np.bool_)
        for block in self.damaged:
            mask[self.rows_of_block(block)] = True
        return mask

    # ---- the derived graph ---------------------------------------------------------------------

    def _open_graph(self, values: Any, scales: Any, ids: Any) -> NDArray[np.float64] | None:
        """Open the graph file; whatever is wrong with it, it counts as missing."""
        if not self.graph_path.exists():
            return None
        try:
            file = open_container(self.graph_path, verify=True)
            if file.kind != KIND or file.meta["segment"] != self.record.file:
                raise FormatError(f"{self.graph_path}: belongs to another segment.")
            norms = file.array("norms", "<f8", (len(self),))
            self.store = row_store(self.schema, ids, values, scales, norms)
            self.graph = ProximityGraph.from_file(file, file.meta["graph"], self.store)
        except (VectorloomError, OSError, KeyError, TypeError, ValueError) as error:
            if self._own:
                log.warning(
                    "%s: is built again, for it cannot be used (%s)", self.graph_path, error
                )
                with contextlib.suppress(OSError):
                    self.graph_path.unlink()
            return None
        return norms

    def build_graph(self, n_jobs: int | None, room: int | None) -> None:
        """Build the graph and write its file; searches go on meanwhile and then use it.

        Raises
        ------
        CapacityError, OSError
            No memory or no disk; the segment is then searched whole.
        """
        graph = ProximityGraph.build(self.store, DEGREE, 0, n_jobs, room)
        graph.on_disk = False
        self.graph = graph
        meta, arrays = graph.to_file()
        self.graph_path.parent.mkdir(exist_ok=True)
        norms = self.store.norms
        assert norms is not None  # rows are numbers
        write_container(
            self.graph_path,
            KIND,
            {"segment": self.record.file, "graph": dict(meta)},
            {"norms": norms, **arrays},
        )

# SPDX-License-Identifier: Apache-2.0
"""A sealed segment as it is searched: mapped vectors, what is derived from them, what is damaged.

A block of vectors is held against its checksum before the first answer out of it is given. Derived
are a graph (dense), inverted lists (sparse) or norms (several vectors a row), in a file of its own
that can be lost: it is built from the segment again.
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
from vectorloom.index.dense.proximity import ProximityGraph
from vectorloom.index.dense.store import RowStore
from vectorloom.index.multivector.token_vectors import run_offsets
from vectorloom.index.sparse.sparse_index import read_postings
from vectorloom.index.sparse.sparse_rows import SparseStore
from vectorloom.io.container import Container, open_container, write_container
from vectorloom.store.rows import Lists, Store, searchable
from vectorloom.store.schema import FieldSchema
from vectorloom.store.segment_file import FOLDER, SegmentRecord, open_segment
from vectorloom.store.stored import Stored, norms_of

DERIVED = "derived"
KIND = "store.graph"
LISTS, NORMS = "store.lists", "store.norms"
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
    held : Stored
    store : RowStore, SparseStore or ItemStore
    rows : ndarray of shape (n,), int64
        Ascending.
    graph : ProximityGraph or None
        Of a dense field.
    lists : Lists or None
        Of a sparse field.
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
        self.held: Stored = arrays.held
        self.block_rows: int = record.layout["block_rows"]
        self._sums = np.frombuffer(record.checksums, "<u4").reshape(len(self.held.runs), -1)
        self._verified = np.zeros(self._sums.shape[1], np.bool_)
        self.damaged: set[int] = set()
        self._lock = threading.Lock()
        self._sifting = threading.Lock()
        self._is_sifted = False
        self.graph: ProximityGraph | None = None
        self.lists = Lists() if schema.kind == "sparse" else None
        self.is_indexed = self._open_derived(arrays.ids)
        if not self.is_indexed:
            self.store = searchable(schema, arrays.ids, self.held, norms_of(schema, self.held))

    store: Store

    def __len__(self) -> int:
        return self.record.n

    @property
    def wants_graph(self) -> bool:
        """Whether what is derived is worth it and not there."""
        return not self.is_indexed and len(self) >= GRAPH_MIN_ROWS

    def remove(self) -> None:
        """Remove its files; who has it open goes on with them."""
        for path in (self.path, self.graph_path):
            with contextlib.suppress(OSError):
                path.unlink()

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
        return self._sums.shape[1]

    def rows_of_block(self, block: int) -> slice:
        """Return the positions of a block."""
        return slice(block * self.block_rows, min(len(self), (block + 1) * self.block_rows))

    def _is_bad(self, block: int) -> bool:
        part = self.rows_of_block(block)
        starts = self.held.starts
        if starts is not None:
            part = slice(int(starts[part.start]), int(starts[part.stop]))
        bad = any(
            zlib.crc32(run[part].reshape(-1).view(np.uint8)) != int(sums[block])
            for run, sums in zip(self.held.runs, self._sums, strict=True)
        )
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

    # ---- what is derived -----------------------------------------------------------------------

    def _open_derived(self, ids: Any) -> bool:
        """Open the derived file; whatever is wrong with it, it counts as missing."""
        if not self.graph_path.exists():
            return False
        kind = {"dense": KIND, "sparse": LISTS, "multi": NORMS}[self.schema.kind]
        try:
            file = open_container(self.graph_path, verify=True)
            if file.kind != kind or file.meta["segment"] != self.record.file:
                raise FormatError(f"{self.graph_path}: belongs to another segment.")
            if kind == LISTS:
                self._open_lists(file, ids)
                return True
            n = len(self.held.runs[0])
            norms = file.array("norms", "<f8", (n,))
            self.store = searchable(self.schema, ids, self.held, norms)
            if isinstance(self.store, RowStore):
                self.graph = ProximityGraph.from_file(file, file.meta["graph"], self.store)
        except (VectorloomError, OSError, KeyError, TypeError, ValueError) as error:
            if self._own:
                log.warning(
                    "%s: is built again, for it cannot be used (%s)", self.graph_path, error
                )
                with contextlib.suppress(OSError):
                    self.graph_path.unlink()
            return False
        return True

    def _open_lists(self, file: Container, ids: Any) -> None:
        store = searchable(self.schema, ids, self.held, np.empty(0, np.float64))
        assert isinstance(store, SparseStore)
        self.lists = Lists(read_postings(file, store, store.core))
        self.store = store

    def sparse_rows(self) -> SparseStore:
        """Return the rows of a sparse field that lists are over; damaged ones have no entries.

        Lists go by the terms of rows, which damage can turn into terms that there are not: before
        new ones are built all blocks are held against their checksums.
        """
        with self._sifting:
            if not self.is_indexed and not self._is_sifted:
                for block in range(self.n_blocks):
                    self.check_block(block)
                bad = self.damaged_mask()
                if bad is not None:
                    assert self.held.starts is not None  # of a sparse field
                    lengths = np.where(bad, 0, np.diff(self.held.starts))
                    at = self.held.entries(np.flatnonzero(~bad))
                    kept = Stored(
                        tuple(run[at] for run in self.held.runs), None, run_offsets(lengths)
                    )
                    none = np.empty(0, np.float64)
                    self.store = searchable(self.schema, self.store.ids, kept, none)
                self._is_sifted = True
        assert isinstance(self.store, SparseStore)
        return self.store

    def build_graph(self, n_jobs: int | None, room: int | None) -> None:
        """Build what is derived and write its file; searches go on meanwhile and then use it.

        Raises
        ------
        CapacityError, OSError
            No memory or no disk; the segment is then searched whole.
        """
        store = self.store
        meta: dict[str, Any] = {"segment": self.record.file}
        if isinstance(store, SparseStore):
            assert self.lists is not None
            made = self.lists.ready(self.sparse_rows(), n_jobs).arrays()
            kind, arrays = LISTS, {f"postings.{name}": array for name, array in made.items()}
        elif isinstance(store, RowStore):
            graph = ProximityGraph.build(store, DEGREE, 0, n_jobs, room)
            graph.on_disk = False
            self.graph = graph
            about, links = graph.to_file()
            assert store.norms is not None  # rows are numbers
            meta["graph"] = dict(about)
            kind, arrays = KIND, {"norms": store.norms, **links}
        else:
            assert store.rows.norms is not None  # rows are numbers
            kind, arrays = NORMS, {"norms": store.rows.norms}
        self.is_indexed = True
        self.graph_path.parent.mkdir(exist_ok=True)
        write_container(self.graph_path, kind, meta, arrays)

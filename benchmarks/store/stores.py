# SPDX-License-Identifier: Apache-2.0
"""The stores, each behind the same five steps.

``create`` an empty store in a folder; ``add`` a batch (ids 0 …, vectors, a tag a row); ``finish``:
everything indexed and durable; ``open`` it again; ``settings``, from cheap to dear, and ``query``
one vector, all rows or those of one tag. No step may lean on what another one left in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

K = 10


class Store:
    settings: Sequence[Any] = (None,)
    note = ""

    def __init__(self, folder: Path, dim: int, jobs: int) -> None:
        self.folder, self.dim, self.jobs = folder, dim, jobs

    def finish(self) -> None:
        pass

    def set(self, setting: Any) -> None:
        pass

    def close(self) -> None:
        pass


class Vectorloom(Store):
    settings = (16, 24, 32, 48, 64, 96, 128, 192)
    note = "ef; payloads left out of answers, as of the others"
    dtype = "float32"

    def create(self) -> None:
        import vectorloom as vl

        self.c = vl.collection(
            self.folder, self.dim, index=["tag"], dtype=self.dtype, n_jobs=self.jobs
        )

    def add(self, ids: Any, vectors: Any, tags: Any) -> None:
        self.c.upsert(ids, vectors, payloads=[{"tag": tag} for tag in tags])

    def finish(self) -> None:
        self.c.optimize()

    def open(self) -> None:
        import vectorloom as vl

        self.c = vl.collection(self.folder, n_jobs=1)

    def set(self, setting: Any) -> None:
        self.ef = setting

    def query(self, vector: Any, tag: int | None) -> list[int]:
        where = None if tag is None else {"tag": tag}
        hits = self.c.search(vector, k=K, ef=self.ef, where=where, payloads=False)
        found: list[int] = hits.ids[0].tolist()
        return found

    def close(self) -> None:
        self.c.close()


class VectorloomInt8(Vectorloom):
    dtype = "int8"
    note = "ef; vectors stored as int8"


class LanceDB(Store):
    settings = ((5, 50), (10, 60), (20, 100), (40, 150), (80, 200))
    note = "IVF_HNSW_SQ; (nprobes, ef); a scalar index on tag"
    table: Any = None

    def create(self) -> None:
        import lancedb

        self.db = lancedb.connect(str(self.folder))

    def add(self, ids: Any, vectors: Any, tags: Any) -> None:
        import pyarrow as pa

        flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), self.dim)
        batch = pa.table({"id": pa.array(ids), "tag": pa.array(tags), "vector": flat})
        if self.table is None:
            self.table = self.db.create_table("t", batch)
        else:
            self.table.add(batch)

    def finish(self) -> None:
        self.table.create_index(
            metric="cosine", index_type="IVF_HNSW_SQ", vector_column_name="vector"
        )
        self.table.create_scalar_index("tag")

    def open(self) -> None:
        import lancedb

        self.table = lancedb.connect(str(self.folder)).open_table("t")

    def set(self, setting: Any) -> None:
        self.nprobes, self.ef = setting

    def query(self, vector: Any, tag: int | None) -> list[int]:
        search = self.table.search(vector).distance_type("cosine").limit(K)
        search = search.nprobes(self.nprobes).ef(self.ef)
        if tag is not None:
            search = search.where(f"tag = {tag}", prefilter=True)
        return [row["id"] for row in search.select(["id"]).to_list()]


class Chroma(Store):
    settings = (20, 40, 60, 100, 160)
    note = "HNSW; ef_search"

    def _client(self) -> Any:
        import chromadb
        from chromadb.config import Settings

        return chromadb.PersistentClient(
            str(self.folder), settings=Settings(anonymized_telemetry=False)
        )

    def create(self) -> None:
        self.c = self._client().create_collection("test", metadata={"hnsw:space": "cosine"})

    def add(self, ids: Any, vectors: Any, tags: Any) -> None:
        names = [str(i) for i in ids]
        self.c.add(ids=names, embeddings=vectors, metadatas=[{"tag": tag} for tag in tags])

    def open(self) -> None:
        self.c = self._client().get_collection("test")

    def set(self, setting: Any) -> None:
        from chromadb.api.shared_system_client import SharedSystemClient

        self.c.modify(configuration={"hnsw": {"ef_search": setting}})
        SharedSystemClient.clear_system_cache()  # an open index keeps the setting it began with
        self.open()

    def query(self, vector: Any, tag: int | None) -> list[int]:
        where = None if tag is None else {"tag": tag}
        found = self.c.query(query_embeddings=[vector], n_results=K, where=where, include=[])
        return [int(i) for i in found["ids"][0]]


class Qdrant(Store):
    note = "local mode: exact, in NumPy"

    def create(self) -> None:
        from qdrant_client import QdrantClient, models

        self.models = models
        self.c = QdrantClient(path=str(self.folder))
        params = models.VectorParams(size=self.dim, distance=models.Distance.COSINE)
        self.c.create_collection("t", vectors_config=params)

    def add(self, ids: Any, vectors: Any, tags: Any) -> None:
        payloads = [{"tag": tag} for tag in tags]
        batch = self.models.Batch(ids=list(ids), vectors=vectors.tolist(), payloads=payloads)
        self.c.upsert("t", points=batch)

    def open(self) -> None:
        from qdrant_client import QdrantClient, models

        self.models = models
        self.c = QdrantClient(path=str(self.folder))

    def query(self, vector: Any, tag: int | None) -> list[int]:
        m = self.models
        only = None
        if tag is not None:
            only = m.Filter(must=[m.FieldCondition(key="tag", match=m.MatchValue(value=tag))])
        found = self.c.query_points(
            "t", query=vector.tolist(), limit=K, query_filter=only, with_payload=False
        )
        return [point.id for point in found.points]

    def close(self) -> None:
        self.c.close()


class MilvusLite(Store):
    settings = (32, 64, 128)
    note = "HNSW M 16, efConstruction 200; ef"

    def _client(self) -> Any:
        from pymilvus import MilvusClient

        self.folder.mkdir(exist_ok=True)
        return MilvusClient(str(self.folder / "milvus.db"))

    def create(self) -> None:
        from pymilvus import DataType

        self.c = self._client()
        schema = self.c.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("tag", DataType.INT64)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self.dim)
        self.c.create_collection("t", schema=schema)

    def add(self, ids: Any, vectors: Any, tags: Any) -> None:
        rows = [
            {"id": int(i), "tag": int(tag), "vector": vector}
            for i, tag, vector in zip(ids, tags, vectors, strict=True)
        ]
        self.c.insert("t", rows)

    def finish(self) -> None:
        self.c.flush("t")
        index = self.c.prepare_index_params()
        index.add_index(
            "vector", index_type="HNSW", metric_type="COSINE",
            params={"M": 16, "efConstruction": 200},
        )  # fmt: skip
        if self.c.list_indexes("t"):  # it made one of its own choice
            self.c.release_collection("t")
            for name in self.c.list_indexes("t"):
                self.c.drop_index("t", name)
        self.c.create_index("t", index)
        self.c.load_collection("t")

    def open(self) -> None:
        self.c = self._client()
        self.c.load_collection("t")

    def set(self, setting: Any) -> None:
        self.ef = setting

    def query(self, vector: Any, tag: int | None) -> list[int]:
        params = {"metric_type": "COSINE", "params": {"ef": self.ef}}
        only = "" if tag is None else f"tag == {tag}"
        found = self.c.search("t", [vector], limit=K, filter=only, search_params=params)
        return [hit["id"] for hit in found[0]]

    def close(self) -> None:
        self.c.close()


STORES: dict[str, type[Store]] = {
    "vectorloom": Vectorloom,
    "vectorloom-int8": VectorloomInt8,
    "lancedb": LanceDB,
    "chroma": Chroma,
    "qdrant-local": Qdrant,
    "milvus-lite": MilvusLite,
}


def version(name: str) -> str:
    """The version of the package behind a store, without importing it."""
    from importlib.metadata import version as installed

    package = {"qdrant-local": "qdrant-client"}.get(name, name.partition("-int8")[0])
    package = {"chroma": "chromadb"}.get(package, package)
    return installed(package)

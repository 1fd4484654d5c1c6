# SPDX-License-Identifier: Apache-2.0
"""What can be asked about whole collections: settings, aliases, snapshots, long operations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vectorloom.errors import ParameterError
from vectorloom.serve import backups
from vectorloom.serve.calls import TAR, Answer, Call
from vectorloom.serve.home import ExistsError, UnknownCollectionError, check_name
from vectorloom.serve.keys import NAME
from vectorloom.serve.refusals import Refusal, conflict, not_found, packed
from vectorloom.serve.taking import take, whole, word

# ---- collections --------------------------------------------------------------------------------


def list_collections(call: Call) -> Any:
    """Return the names of the collections that the key is for."""
    names = call.service.home.names()
    return {"collections": [name for name in names if call.grant.covers(name)]}


def create(call: Call) -> Any:
    """Create a collection."""
    body = call.body
    word(body, "metric")
    word(body, "dtype")
    names = body.get("index")
    if names is not None and not (
        isinstance(names, list) and all(isinstance(each, str) for each in names)
    ):
        raise ParameterError(f"index must be a list of names; got {names!r:.40}.")
    settings = {key: value for key, value in body.items() if value is not None}
    call.service.home.create(call.name, settings)
    return describe(call)


def describe(call: Call) -> Any:
    """Return what a collection holds; no path of the machine."""
    info = call.collection().info()
    for field in info["fields"]:
        if field["encoder"] is not None:
            field["encoder"].pop("canaries", None)
    left = {key: value for key, value in info.items() if key not in ("path", "lost")}
    return left | {"name": call.name, "lost_segments": len(info["lost"])}


def remove(call: Call) -> Any:
    """Remove a collection with all that is in it; its snapshots stay."""
    call.service.home.remove(call.name)
    call.service.recall.forget(call.name)
    return {"removed": call.name}


# ---- aliases ------------------------------------------------------------------------------------


def list_aliases(call: Call) -> Any:
    """Return the collection that each alias leads to."""
    found = call.service.home.aliases()
    return {"aliases": {alias: to for alias, to in found.items() if call.grant.covers(alias)}}


def switch(call: Call) -> Any:
    """Let an alias lead to a collection, in one step."""
    alias, target = call.path["alias"], word(call.body, "collection", NAME) or ""
    _require(call, alias, target)
    call.service.home.switch(alias, target)
    return {"alias": alias, "collection": target}


def forget(call: Call) -> Any:
    """Remove an alias; the collection stays."""
    alias = call.path["alias"]
    _require(call, alias)
    if not call.service.home.forget(alias):
        raise not_found("alias")
    return {"removed": alias}


def _require(call: Call, *names: str) -> None:
    if not all(call.grant.covers(name) for name in names):
        raise Refusal(403, "Forbidden", "this key is not for that collection.")


# ---- long work ----------------------------------------------------------------------------------


def optimize(call: Call) -> Answer:
    """Seal, merge and index all now."""
    return _begun(call, "optimize", {})


def verify(call: Call) -> Answer:
    """Check every checksum."""
    return _begun(call, "verify", {})


def take_snapshot(call: Call) -> Answer:
    """Copy the collection as it is when the operation runs."""
    call.collection()
    name = word(call.body, "snapshot", NAME) or backups.new_name()
    path = call.service.backups.path(call.name, name)
    if path.exists():
        raise conflict("there is a snapshot of this name already.")
    return _begun(call, "snapshot", {"snapshot": name})


def restore(call: Call) -> Answer:
    """Make a collection of a snapshot, after checking every checksum in it."""
    check_name(call.name)
    source = word(call.body, "from", NAME) or ""
    snapshot = word(call.body, "snapshot", NAME) or ""
    _require(call, source)
    if call.service.home.is_there(call.name):
        raise ExistsError(call.name)
    if not call.service.backups.path(source, snapshot).is_dir():
        raise not_found("snapshot")
    return _begun(call, "restore", {"from": source, "snapshot": snapshot})


def import_(call: Call) -> Answer:
    """Upsert all rows of a file that lies in the folder of imports."""
    call.collection()
    whole(call.body, "batch", 16_384, 1_000_000)
    for name in ("file", "ids", "vectors", "text"):
        word(call.body, name)
    call.service.import_path(call.body["file"])
    request = {key: value for key, value in call.body.items() if value is not None}
    return _begun(call, "import", request)


def list_snapshots(call: Call) -> Any:
    """Return the snapshots of a collection, the newest first."""
    return {"snapshots": call.service.backups.listed(call.name)}


def remove_snapshot(call: Call) -> Any:
    """Remove a snapshot."""
    call.service.backups.remove(call.name, call.path["snapshot"])
    return {"removed": call.path["snapshot"]}


def load_snapshot(call: Call) -> Answer:
    """Return a snapshot as a tar file."""
    snapshot = call.path["snapshot"]
    pieces = call.service.backups.packed(call.name, snapshot)
    name = f'attachment; filename="{call.name}-{snapshot}.tar"'
    return Answer(200, pieces, TAR, (("content-disposition", name),))


def put_snapshot(call: Call) -> Any:
    """Take in a tar file as `load_snapshot` gives it; it is checked when it is restored."""
    snapshot = call.path["snapshot"]
    size = call.service.backups.unpack(call.name, snapshot, Path(call.body["file"]))
    return {"snapshot": snapshot, "bytes": size}


def list_operations(call: Call) -> Any:
    """Return the operations on the collections that the key is for, the newest first."""
    found = call.service.operations.listed()
    return {"operations": [each for each in found if call.grant.covers(each["collection"])]}


def operation(call: Call) -> Any:
    """Return how far an operation is."""
    found = call.service.operations.get(call.path["id"])
    if not call.grant.covers(found["collection"]):
        raise not_found("operation")
    return found


def retry(call: Call) -> Answer:
    """Queue an operation again that failed or was interrupted."""
    operation(call)
    return _accepted(call.service.operations.retry(call.path["id"]))


def cancel(call: Call) -> Answer:
    """Take an operation from the queue, or ask the running one to end."""
    operation(call)
    return _accepted(call.service.operations.cancel(call.path["id"]))


def _begun(call: Call, kind: str, request: dict[str, Any]) -> Answer:
    if kind in ("optimize", "verify"):
        call.collection()
        take(call.body, ())
    elif not NAME.fullmatch(call.name):
        raise UnknownCollectionError(call.name)
    return _accepted(call.service.operations.submit(kind, call.name, request))


def _accepted(record: dict[str, Any]) -> Answer:
    place = (("location", f"/v1/operations/{record['id']}"),)
    return Answer(202, packed(record), headers=place)

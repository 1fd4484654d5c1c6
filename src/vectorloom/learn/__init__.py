# SPDX-License-Identifier: Apache-2.0
"""Learn vectors from raw data: text today, graphs and records to come."""

from __future__ import annotations

import importlib
from functools import partial
from typing import TYPE_CHECKING, Any

from vectorloom.io.container import Container, register_loader

if TYPE_CHECKING:
    from vectorloom.learn.corpus import Corpus, EncodedCorpus
    from vectorloom.learn.documents.byte_steady import ByteSteady
    from vectorloom.learn.documents.cmow import CMOW
    from vectorloom.learn.documents.dual_encoder import DualEncoder
    from vectorloom.learn.documents.expansion_encoder import ExpansionEncoder
    from vectorloom.learn.documents.paragraph_vectors import ParagraphVectors
    from vectorloom.learn.documents.sent2vec import Sent2Vec
    from vectorloom.learn.documents.sif import SIF
    from vectorloom.learn.documents.supervised_esa import SupervisedESA
    from vectorloom.learn.documents.text_classifier import TextClassifier
    from vectorloom.learn.encode import encode
    from vectorloom.learn.latent_semantic import LatentSemantic
    from vectorloom.learn.steps import EarlyStop
    from vectorloom.learn.topics.doc_nade import DocNADE
    from vectorloom.learn.topics.lda2vec import Lda2Vec
    from vectorloom.learn.topics.top2vec import Top2Vec
    from vectorloom.learn.words.bit_cipher import BitCipher
    from vectorloom.learn.words.entity_vectors import EntityVectors
    from vectorloom.learn.words.fasttext import FastText
    from vectorloom.learn.words.few_shot import FewShot
    from vectorloom.learn.words.glove import GloVe
    from vectorloom.learn.words.keyed_vectors import KeyedVectors
    from vectorloom.learn.words.phrases import Phrases
    from vectorloom.learn.words.pmi_svd import PMISVD
    from vectorloom.learn.words.queries import UnknownWordError
    from vectorloom.learn.words.retrofit import retrofit
    from vectorloom.learn.words.sense_skipgram import SenseSkipGram
    from vectorloom.learn.words.swivel import Swivel
    from vectorloom.learn.words.word2vec import Word2Vec

# Public name -> module; imported at first use, since some bring scikit-learn along.
_LAZY = {
    "BitCipher": "vectorloom.learn.words.bit_cipher",
    "CMOW": "vectorloom.learn.documents.cmow",
    "ByteSteady": "vectorloom.learn.documents.byte_steady",
    "Corpus": "vectorloom.learn.corpus",
    "DocNADE": "vectorloom.learn.topics.doc_nade",
    "DualEncoder": "vectorloom.learn.documents.dual_encoder",
    "EarlyStop": "vectorloom.learn.steps",
    "encode": "vectorloom.learn.encode",
    "EncodedCorpus": "vectorloom.learn.corpus",
    "EntityVectors": "vectorloom.learn.words.entity_vectors",
    "ExpansionEncoder": "vectorloom.learn.documents.expansion_encoder",
    "FastText": "vectorloom.learn.words.fasttext",
    "FewShot": "vectorloom.learn.words.few_shot",
    "GloVe": "vectorloom.learn.words.glove",
    "KeyedVectors": "vectorloom.learn.words.keyed_vectors",
    "LatentSemantic": "vectorloom.learn.latent_semantic",
    "ParagraphVectors": "vectorloom.learn.documents.paragraph_vectors",
    "Lda2Vec": "vectorloom.learn.topics.lda2vec",
    "Phrases": "vectorloom.learn.words.phrases",
    "PMISVD": "vectorloom.learn.words.pmi_svd",
    "retrofit": "vectorloom.learn.words.retrofit",
    "Sent2Vec": "vectorloom.learn.documents.sent2vec",
    "SIF": "vectorloom.learn.documents.sif",
    "SenseSkipGram": "vectorloom.learn.words.sense_skipgram",
    "SupervisedESA": "vectorloom.learn.documents.supervised_esa",
    "Swivel": "vectorloom.learn.words.swivel",
    "TextClassifier": "vectorloom.learn.documents.text_classifier",
    "Top2Vec": "vectorloom.learn.topics.top2vec",
    "UnknownWordError": "vectorloom.learn.words.queries",
    "Word2Vec": "vectorloom.learn.words.word2vec",
}

# Kind of file -> the public name whose module reads it, in its `load_container`.
_KINDS = {
    "learn.bit_cipher": "BitCipher",
    "learn.cmow": "CMOW",
    "learn.byte_steady": "ByteSteady",
    "learn.doc_nade": "DocNADE",
    "learn.dual_encoder": "DualEncoder",
    "learn.entity_vectors": "EntityVectors",
    "learn.expansion_encoder": "ExpansionEncoder",
    "learn.fasttext": "FastText",
    "learn.glove": "GloVe",
    "learn.keyed_vectors": "KeyedVectors",
    "learn.latent_semantic": "LatentSemantic",
    "learn.paragraph_vectors": "ParagraphVectors",
    "learn.lda2vec": "Lda2Vec",
    "learn.pmi_svd": "PMISVD",
    "learn.sent2vec": "Sent2Vec",
    "learn.sif": "SIF",
    "learn.sense_skipgram": "SenseSkipGram",
    "learn.supervised_esa": "SupervisedESA",
    "learn.swivel": "Swivel",
    "learn.text_classifier": "TextClassifier",
    "learn.top2vec": "Top2Vec",
    "learn.word2vec": "Word2Vec",
}

__all__ = [
    "CMOW",
    "PMISVD",
    "SIF",
    "BitCipher",
    "ByteSteady",
    "Corpus",
    "DocNADE",
    "DualEncoder",
    "EarlyStop",
    "EncodedCorpus",
    "EntityVectors",
    "ExpansionEncoder",
    "FastText",
    "FewShot",
    "GloVe",
    "KeyedVectors",
    "LatentSemantic",
    "Lda2Vec",
    "ParagraphVectors",
    "Phrases",
    "SenseSkipGram",
    "Sent2Vec",
    "SupervisedESA",
    "Swivel",
    "TextClassifier",
    "Top2Vec",
    "UnknownWordError",
    "Word2Vec",
    "encode",
    "retrofit",
]


def _load(name: str, container: Container) -> Any:
    return importlib.import_module(_LAZY[name]).load_container(container)


for _kind, _name in _KINDS.items():
    register_loader(_kind, partial(_load, _name))


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'vectorloom.learn' has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

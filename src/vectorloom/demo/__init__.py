# SPDX-License-Identifier: Apache-2.0
"""The main job on real text: gather, learn, index, answer, measure, report."""

from __future__ import annotations

from vectorloom.demo.result import DemoResult
from vectorloom.demo.run import DEFAULT_QUESTIONS, run_demo

__all__ = ["DEFAULT_QUESTIONS", "DemoResult", "run_demo"]

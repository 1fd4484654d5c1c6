// SPDX-License-Identifier: Apache-2.0
// Search of inverted lists: rows grouped around centroids, and each query looks at a few groups.
//
// Rows are coded list by list in a Screen (screen.h), each list from a multiple of 32 places on.
// For a query q with probed lists L(q), the answer is the exact one among their rows:
//   top k of { score(q, x) : x in a list of L(q) },   score in float64, ties by key,
// since whatever the codes propose under their bound is settled from the rows. Only the choice of
// lists is approximate.
//
// Queries are grouped by list, so that a list is read once for all queries that probe it and every
// scan is a block product. Nearest lists come first: they set thresholds that rule out most of the
// others' rows by the head of their codes.
// Cost: sum over q of |rows of L(q)| * rotated dim int8 multiply-adds at most; codes are read once
// a batch, with some 64 bytes of stored rows for each of the few rows that are settled.
#pragma once

#include <cstdint>

#include "index/exact.h"

namespace vl {

struct ListQuery {
  // `screen` holds the rows in list order; `mask`, `ties` and answers count rows as stored.
  ExactQuery exact;
  const std::int64_t* order = nullptr;   // place in the screen -> row; -1 between lists
  const std::int64_t* starts = nullptr;  // n_lists + 1 places, multiples of 32
  std::int64_t n_lists = 0;
  const std::int64_t* probes = nullptr;  // (n_queries, n_probes) lists, nearest first; -1: none
  std::int64_t n_probes = 0;
};

// As exact_search, over the probed lists alone.
void list_search(const ListQuery& query, std::int64_t k, std::int64_t* positions, double* scores,
                 std::int64_t* counts);

}  // namespace vl

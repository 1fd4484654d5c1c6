// SPDX-License-Identifier: Apache-2.0
// A proximity graph built in bulk, searched with short codes, and changed in place.
//
// Space: y = M (x - m) of points x (points.h), m their mean and M a rotation whose first rows keep
// most of the spread (principal components, mixed so that no element is longer than the others).
// Rows that are the same are one node.
//
// Build (graph_knn, graph_prune): rows are put in the order of k-means lists; each list meets the
// rows of the `probes` nearest lists in int8 block products and keeps its `candidates` nearest,
//   |y_p - y_c|^2 = |y_p|^2 - 2 (<y_p, y_c> - |y_c|^2 / 2).
// Of these, nearest first, c stays unless a kept s has  alpha |y_s - y_c|^2 <= |y_p - y_c|^2; then
// edges are reversed, joined, pruned again to `degree`, and what the entries do not reach is linked
// and, for the first thousand islands, made an entry. A second round takes the candidates from
// walks on the first graph: what near lists missed is a few edges away. Cost: n probes 256 dim
// products for the candidates, n candidates^2 dim for pruning.
//
// Search (graph_search): best first over a sorted buffer of at most `effort` nodes, scored by the
// codes of the head (graph_codes). With d the distance of codes, it ends when the nearest node not
// yet opened has
//   d > reach^2 d_k,   d_k the k-th least so far,
// or when all nodes of the buffer were opened: so a query in a dense place looks further than one
// whose neighbours stand apart. What it found is scored again from the rows in float64. Error of a
// code of four bits against its head: about 0.1 |y| / sqrt(head) a unit of |q|.
//
// Range search (graph_range): the same walk, which goes on until the nearest node not yet opened
// has
//   d > reach^2 max(d_k, d_r),   d_r the range, k = 10,
// so that it is as thorough about what lies within the range as a search for as many nearest.
//
// Change (graph_change): new rows walk to their neighbours, are pruned like the others and linked
// back; of removed ones each edge goes to the nearest living neighbour of what it led to.
//
// Subramanya et al., "DiskANN", NeurIPS 2019 (the rule with alpha); Fu et al., "Fast approximate
// nearest neighbor search with the navigating spreading-out graph", VLDB 2019; Al-Jazzazi et al.,
// "Distance adaptive beam search for provably accurate graph-based nearest neighbor search", 2025
// (the end of a search).
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "base/scratch.h"
#include "index/exact.h"
#include "index/graph_codes.h"
#include "index/points.h"
#include "index/table.h"

namespace vl {

struct GraphOptions {
  int degree = 48;
  int candidates = 48;
  int probes = 48;               // lists each list meets
  std::int64_t list_rows = 256;  // rows a list has on average
  int refined = 64;              // candidates found by a walk from each node; 0: no second round
  int first_degree = 32;         // of the graph that is walked
  int entries = 256;
  float alpha = 1.1f;  // of squared distances
  std::int64_t head_dim = 240;
  int head_bits = 4;
  std::uint64_t seed = 0;
  int n_jobs = 0;
  // Of what is needed for a while, more bytes than `room` are in files of this folder.
  std::string folder;
  std::size_t room = std::numeric_limits<std::size_t>::max();
};

struct GraphTimes {
  double cluster = 0, encode = 0, knn = 0, prune = 0, join = 0, refine = 0, link = 0;
};

inline constexpr std::uint32_t kNoNode = 0xFFFFFFFFu;

// Neighbour lists of fixed width, nearest first where built; unused places at the end hold kNoNode.
using Adjacency = Table<std::uint32_t>;

// Lists of rows, and nodes: rows numbered in the order of the lists.
struct GraphLists {
  std::vector<std::int64_t> first;  // (n_lists + 1) first node of each
  Table<std::int32_t> row_of;       // (n) node -> row
  std::vector<float> centroids;     // (n_lists, dim)
  std::vector<std::int32_t> near;   // (n_lists, probes), itself first
  std::int64_t n_lists = 0;
  std::int64_t probes = 0;
};

struct WalkPlace {
  float value;
  std::uint32_t node;
};

// Nearest candidates of each node: d ascending, then node.
struct Neighbour {
  float d;
  std::uint32_t node;
  bool operator<(const Neighbour& o) const { return d < o.d || (d == o.d && node < o.node); }
};

// `first_twin` (n): a row that is not its own first twin is in no list.
GraphLists graph_lists(const float* points, std::int64_t n, std::int64_t dim,
                       const std::vector<std::int32_t>& first_twin, const GraphOptions& options,
                       int n_threads);
// out: (n, k); places left over have node kNoNode.
void graph_candidates(const GraphLists& lists, const BlockCodes& codes, std::int64_t k,
                      int n_threads, Neighbour* out);
void graph_prune(const BlockCodes& codes, Neighbour* candidates, std::int64_t k, int degree,
                 float alpha, int n_threads, Scratch& scratch, Adjacency& out, GraphTimes& times);
// Links what cannot be reached from the entries; returns the nodes linked, one an island.
std::vector<std::uint32_t> graph_link(const std::vector<std::uint32_t>& entries, Adjacency& graph);
std::int64_t graph_reached(const std::vector<std::uint32_t>& entries, const Adjacency& graph,
                           std::vector<std::uint8_t>& seen);

// What is asked, in the terms of ExactQuery, and how hard to look.
struct GraphQuery {
  const void* queries = nullptr;  // float32 (n_queries, rows.dim)
  std::int64_t n_queries = 0;
  const std::uint8_t* mask = nullptr;  // 1 = may be returned; null = all
  std::int64_t n_matches = 0;          // ones in the mask
  const std::int64_t* ties = nullptr;
  const std::int64_t* without = nullptr;  // a node a query that is not there; null: none
  std::int64_t effort = 0;
  float reach = 0.0F;       // of distances, not squared; 0: go on until the buffer is opened
  bool on_disk = false;     // rows may have to be read: all of a group are asked for at once
  std::int64_t budget = 0;  // nodes scored after which to give up; 0: none
  int n_jobs = 0;
};

class Graph {
 public:
  // `matrix` (m, dim) and `origin` (dim): the space.
  Graph(const Points& points, const float* matrix, std::int64_t m, const float* origin,
        const GraphOptions& options);

  // What a file holds; tables may be views of it. Checked by the caller.
  struct Parts {
    Adjacency links;
    Table<std::uint8_t> codes;
    Table<std::int32_t> row_of;
    Table<std::int32_t> twins;
    std::vector<std::uint32_t> entries;
    std::int64_t head_dim = 0;
    int head_bits = 4;
  };
  Graph(Parts&& parts, const float* matrix, std::int64_t m, std::int64_t dim, const float* origin);
  Graph(const Graph&) = delete;
  ~Graph();

  // positions (n_queries, k) padded with -1, scores padded with -inf; counts[q] is -1 where the
  // budget ran out.
  void search(const Points& points, const GraphQuery& query, std::int64_t k,
              std::int64_t* positions, double* scores, std::int64_t* counts) const;

  // Rows whose score is at least least[q], best first, among at most `effort` nodes; query.reach
  // must be above 0. done[q] is 0, and the answer empty, where those or the budget did not do.
  RangeResult range(const Points& points, const GraphQuery& query, const double* least,
                    std::uint8_t* done) const;

  // Rows [first, last) of the points, which follow those there are.
  void insert(const Points& points, std::int64_t first, std::int64_t last, float alpha, int n_jobs);
  // Rows moved: new position of each, -1 for those removed. Returns false, and is of no more use,
  // where nothing is left.
  bool compact(const std::int64_t* moved, std::int64_t n_rows, int n_jobs);

  std::int64_t n() const { return row_of_.n(); }
  std::int64_t dim() const { return dim_; }
  const GraphTimes& times() const { return times_; }
  std::size_t bytes() const;
  std::int64_t unreached() const;
  const Adjacency& links() const { return links_; }
  const HeadCodes& head() const { return head_; }
  const Table<std::int32_t>& row_of() const { return row_of_; }
  const Table<std::int32_t>& twins() const { return twins_; }
  const std::vector<std::uint32_t>& entries() const { return entries_; }

 private:
  struct Worker;
  class Lease;
  struct Batch;
  void choose_entries(const float* points, std::int64_t n_rows, const GraphLists& lists,
                      const GraphOptions& options, int n_threads);
  void set_entries(std::vector<std::uint32_t> entries, const std::vector<std::uint32_t>& islands);
  void search_one(const Points& points, const GraphQuery& query, std::int64_t q, const float* y,
                  std::int64_t k, Worker& worker, std::int64_t* positions, double* scores,
                  std::int64_t* count) const;
  // Readies the worker for a query that is y in the space.
  void prepare(const Points& points, const GraphQuery& query, std::int64_t q, const float* y,
               std::int64_t k, std::int64_t effort, Worker& worker) const;
  // Calls one(q, y, worker) for each query, in parallel.
  template <class One>
  void each_query(const Points& points, const GraphQuery& query, const One& one) const;
  bool range_one(const Points& points, const GraphQuery& query, std::int64_t q, const float* y,
                 double least, Worker& worker) const;
  // Appends the scores of nodes [first, last) of what was kept to worker.found.
  void score_nodes(const Scorer& scorer, const Points& points, const GraphQuery& query,
                   std::int64_t first, std::int64_t last, Worker& worker) const;
  void enter(const GraphQuery* query, Worker& worker) const;
  void start(const GraphQuery* query, const WalkPlace& place, Worker& worker) const;
  template <bool Filtered>
  bool walk(const GraphQuery* query, Worker& worker) const;
  bool matches(const GraphQuery& query, std::uint32_t node) const;
  void check_rows(const Points& points, const GraphQuery& query, const void* values, std::int64_t k,
                  Worker& worker) const;
  // The `k` nearest nodes of each node that a walk from it finds, measured on the block codes.
  void refine(const BlockCodes& block, std::int64_t k, int n_threads, Neighbour* out) const;
  void chain(std::int64_t position, std::int64_t twin_of);
  void insert_batch(const Points& points, Batch& batch, float alpha, int n_threads);
  void find_neighbours(const Points& points, Batch& batch, std::int64_t i, float alpha,
                       Worker& worker) const;
  void append(Batch& batch);
  void link_back(const Points& points, const Batch& batch, float alpha, int n_threads);

  std::int64_t dim_;
  Space space_;
  HeadCodes head_;
  Adjacency links_;
  Table<std::int32_t> row_of_;
  Table<std::int32_t> twins_;  // of each position the next that is the same row; empty: none are
  std::vector<std::uint32_t> entries_;
  AlignedBuffer<std::uint8_t> entry_codes_;
  GraphTimes times_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Worker>> idle_;
};

}  // namespace vl

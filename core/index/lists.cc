// SPDX-License-Identifier: Apache-2.0
#include "index/lists.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/aligned.h"
#include "base/mapped.h"
#include "base/threads.h"
#include "index/candidates.h"
#include "index/lists_probes.h"
#include "index/lists_queries.h"
#include "simd/levels.h"
#include "simd/panel.h"

namespace vl {
namespace {

constexpr std::int64_t kMostQueries = 4096;  // of a block: their candidates stay in memory
constexpr std::int64_t kPair = 2 * kPanelRows;
constexpr std::size_t kRoom = 16;  // thresholds rise early: a query meets few rows in all
constexpr int kFew = 4;      // kernels take 12 queries at once, then 4, and are slow with fewer
constexpr int kGroup = 192;  // queries whose heads stay in the first-level cache
constexpr std::size_t kFirst = 32;  // heads that a query's first list is completed for at once
constexpr double kNone = -std::numeric_limits<double>::infinity();
constexpr std::int64_t kHits = 8192;  // pairs that the head left before they are completed

// Queries of a list, side by side as the kernels want them.
class Group {
 public:
  explicit Group(std::int64_t head)
      : row_bytes_(head), codes_(static_cast<std::size_t>(kGroup * head)) {
    std::fill_n(codes_.data(), codes_.size(), std::int8_t{0});
  }

  // `plus` is the query's factor of the term that the head's bound adds to a row's product.
  void put(int i, const std::int8_t* codes, std::int32_t start, float plus, float limit) {
    std::memcpy(codes_.data() + i * row_bytes_, codes, static_cast<std::size_t>(row_bytes_));
    start_[i] = start;
    plus_[i] = plus;
    limit_[i] = limit;
  }
  float plus(int i) const { return plus_[i]; }

  PanelQueries queries(int n, bool with_plus) {
    const int padded = std::min(kGroup, (n + 2 * kQueryPad - 1) / kQueryPad * kQueryPad);
    std::fill(limit_ + n, limit_ + padded, std::numeric_limits<float>::infinity());
    PanelQueries queries;
    queries.row_bytes = row_bytes_;
    queries.codes = codes_.data();
    queries.n = (n + kFew - 1) / kFew * kFew;
    queries.start = start_;
    queries.bias = with_plus ? plus_ : nullptr;
    queries.limit = limit_;
    return queries;
  }

 private:
  std::int64_t row_bytes_;
  AlignedBuffer<std::int8_t> codes_;
  std::int32_t start_[kGroup] = {};
  float plus_[kGroup] = {};
  float limit_[kGroup] = {};
};

// A block of queries, searched by one thread.
class Block {
 public:
  Block(const Lists& lists, const ExactQuery& query, const Probing& probing, std::int64_t first,
        std::int64_t n)
      : lists_(lists),
        codes_(lists.codes()),
        shape_(codes_.shape()),
        arrays_(codes_.arrays()),
        query_(query),
        probing_(probing),
        first_(first),
        n_(n),
        values_(static_cast<const float*>(query.queries) + first * query.rows.dim),
        queries_(codes_, lists.rotation(), values_, n, probing.caution >= 1.0, shape_.final),
        probes_(n, shape_.n_lists),
        group_(shape_.head),
        enough_(std::min<std::int64_t>(kHits, 512 * n)),
        hits_(static_cast<std::size_t>(enough_ + std::min<std::int64_t>(kGroup, n + kFew) * kPair)),
        sorted_(hits_.size()),
        candidates_(static_cast<std::size_t>(n)),
        guesses_(static_cast<std::size_t>(n), kNone) {
    for (std::int64_t list = 0; list < shape_.n_lists; ++list) {
      const BlockMaxima& one = arrays_.maxima[list];
      overall_.reach = std::max(overall_.reach, one.reach);
      overall_.error = std::max(overall_.error, one.error);
      overall_.bias = std::max(overall_.bias, one.bias);
    }
    scorers_.reserve(static_cast<std::size_t>(n));
    for (std::int64_t q = 0; q < n; ++q) {
      scorers_.emplace_back(query.rows, query.norms, query.metric, values_ + q * query.rows.dim);
    }
  }

  void search(std::int64_t k) {
    k_ = static_cast<std::size_t>(k);
    for (std::int64_t q = 0; q < n_; ++q) at(q).start_top(k, ties(), value_scale(q), kRoom);
    sweep_lists();
  }

  void search_range(const double* least) {
    k_ = std::numeric_limits<std::size_t>::max();
    least_ = least;
    for (std::int64_t q = 0; q < n_; ++q) at(q).start_range(least[q], ties(), value_scale(q));
    sweep_lists();
  }
  // Rows that finish() will score come from anywhere in memory, or on disk.
  void prefetch(std::int64_t q) {
    if (shape_.final || q >= n_) return;
    if (probing_.on_disk) {
      at(q).narrow();
      at(q).each_pending(
          [&](std::int64_t row) { will_need(query_.rows.row(row), query_.rows.stride()); });
      return;
    }
    constexpr std::size_t kBytes = 512;  // the hardware sees a stream in these
    const std::size_t bytes = std::min(query_.rows.stride(), kBytes);
    at(q).each_pending([&](std::int64_t row) {
      const char* from = static_cast<const char*>(query_.rows.row(row));
      for (std::size_t byte = 0; byte < bytes; byte += 64) __builtin_prefetch(from + byte);
    });
  }
  // Best first; fewer than k where the guess hid rows that belong there.
  const std::vector<Scored>& finish(std::int64_t q) {
    return shape_.final ? finish_coded(q) : at(q).finish(scorer(q));
  }
  bool guessed_wrong(std::int64_t q, const std::vector<Scored>& best) const {
    const double guess = guesses_[static_cast<std::size_t>(q)];
    return guess > kNone && (best.size() < k_ || best[k_ - 1].score < guess);
  }

 private:
  struct Hit {
    std::int32_t place;
    float value;
  };

  const std::int64_t* ties() const { return shape_.final ? nullptr : query_.ties; }

  void sweep_lists() {
    choose();
    probes_.each_list([&](std::int64_t list, const std::int64_t* members, std::int64_t n) {
      for (std::int64_t i = 0; i < n; i += kGroup) {
        members_ = members + i;
        sweep(list, static_cast<int>(std::min<std::int64_t>(kGroup, n - i)));
      }
    });
  }

  void tighten(std::int64_t q) {
    if (at(q).tighten() && !shape_.final) at(q).settle(scorer(q));
  }

  // Scores of what the codes decode to: candidates are places, and the rotated query is at hand.
  const std::vector<Scored>& finish_coded(std::int64_t q) {
    at(q).drain(places_);
    best_.clear();
    row_.resize(static_cast<std::size_t>(shape_.rotated()));
    const float* u = queries_.rotated(q);
    for (const std::int64_t place : places_) {
      codes_.decode(place, row_.data());
      double sum = 0.0;
      for (std::int64_t j = 0; j < shape_.rotated(); ++j) {
        const double y = row_[static_cast<std::size_t>(j)];
        const double x = u[j];
        sum += l2() ? -(x - y) * (x - y) : x * y;
      }
      if (query_.metric == Metric::kCosine)
        sum = std::clamp(sum / scorer(q).query_norm(), -1.0, 1.0);
      if (least_ != nullptr && !(sum >= least_[q])) continue;
      const std::int64_t row = arrays_.order[place];
      best_.push_back({sum, query_.ties != nullptr ? query_.ties[row] : row, row});
    }
    const std::size_t keep = std::min(k_, best_.size());
    std::partial_sort(best_.begin(), best_.begin() + static_cast<std::ptrdiff_t>(keep), best_.end(),
                      better);
    best_.resize(keep);
    return best_;
  }

  Candidates& at(std::int64_t q) { return candidates_[static_cast<std::size_t>(q)]; }
  const Scorer& scorer(std::int64_t q) const { return scorers_[static_cast<std::size_t>(q)]; }
  bool l2() const { return query_.metric == Metric::kL2; }

  ValueScale value_scale(std::int64_t q) const {
    ValueScale scale;
    const double square = queries_.terms(q).square;
    if (query_.metric == Metric::kCosine) scale.multiply = std::sqrt(square);
    if (l2()) scale.add = square;
    scale.absolute = queries_.slack(q, overall_, probing_.caution);
    return scale;
  }

  // In terms of values; the score is kept.
  double guess(std::int64_t q, float reference) {
    if (probing_.guess == kNone) return kNone;
    const double norm = scorer(q).query_norm();
    double score = reference;
    if (query_.metric == Metric::kCosine) score = score / norm + probing_.guess;
    if (query_.metric == Metric::kIp) score += probing_.guess * norm;
    if (l2()) score += probing_.guess - norm * norm;
    guesses_[static_cast<std::size_t>(q)] = score;
    const ValueScale scale = value_scale(q);
    return score * scale.multiply + scale.add;
  }

  void choose() {
    Turn::Scratch scratch = lists_.scratch();
    for (std::int64_t first = 0; first < n_; first += kTurnRows) {
      const auto n = static_cast<int>(std::min<std::int64_t>(kTurnRows, n_ - first));
      lists_.nearness(values_ + first * query_.rows.dim, n, scratch);
      for (int i = 0; i < n; ++i) {
        const float* nearness = scratch.out.data() + i * lists_.stride();
        const float reference = probes_.reference(nearness);
        probes_.add(nearness, probing_.n_probes, least_near(first + i, reference));
        if (least_ == nullptr) at(first + i).raise(guess(first + i, reference));
      }
    }
  }

  // How near a list must be to be probed.
  float least_near(std::int64_t q, float reference) const {
    const double norm = scorer(q).query_norm();
    const double unit = l2() ? 1.0 : norm;
    const double near = reference - probing_.gap * unit;
    if (probing_.floors == nullptr) return static_cast<float>(near);
    const double shift = l2() ? norm * norm : 0.0;
    const double own = (reference - shift) / unit;
    const double far = unit * (probing_.floors[first_ + q] + probing_.along * own) + shift;
    return static_cast<float>(std::min(near, far));
  }

  // What the head of a row must reach.
  float limit_of(std::int64_t q, const BlockMaxima& maxima) {
    const ListTerms& terms = queries_.terms(q);
    double room = at(q).threshold() - queries_.slack(q, maxima, probing_.caution);
    const double reach = probing_.reach * terms.tail;
    if (l2()) room -= reach * reach;
    return static_cast<float>(room / terms.step);
  }

  // Offers a list's places to n queries from members_ on.
  void sweep(std::int64_t list, int n) {
    poll_interrupt();
    const BlockMaxima& maxima = arrays_.maxima[list];
    const bool with_rest = shape_.rest() > 0;
    for (int i = 0; i < n; ++i) {
      const std::int64_t q = members_[i];
      const ListTerms& terms = queries_.terms(q);
      const double plus = l2() ? 1.0 : probing_.reach * terms.tail * (1.0 + 0x1p-22);
      group_.put(i, queries_.head(q), terms.start, static_cast<float>(plus / terms.step),
                 limit_of(q, maxima));
    }
    const PanelQueries queries = group_.queries(n, l2() || with_rest);
    const auto groups = static_cast<int>(shape_.head / kGroupBytes);
    const float* plus = l2() ? arrays_.bias : arrays_.tail;
    std::int64_t n_hits = 0;
    for (std::int64_t place = arrays_.starts[list]; place < arrays_.starts[list + 1];
         place += kPair) {
      PanelPair pair;
      pair.data = arrays_.head + place * shape_.head;
      pair.scale = arrays_.scale + place;
      pair.bias = plus + place;
      PanelHit* out = hits_.data() + n_hits;
      const std::int64_t more = panel_kernels().filter_int8(queries, pair, groups, 0, out);
      for (std::int64_t h = 0; h < more; ++h) {
        out[h].row += static_cast<std::uint32_t>(place);
        // The rest is visited in no order the hardware foresees; it arrives during the sweep.
        const std::uint8_t* rest = arrays_.rest + out[h].row * shape_.rest_bytes();
        for (std::int64_t byte = 0; byte < shape_.rest_bytes(); byte += 64)
          __builtin_prefetch(rest + byte);
      }
      n_hits += more;
      if (n_hits >= enough_) {
        complete(list, n, n_hits);
        n_hits = 0;
      }
    }
    complete(list, n, n_hits);
  }

  // Adds the rest to hits of the heads, query by query.
  void complete(std::int64_t list, int n, std::int64_t n_hits) {
    if (n_hits == 0) return;
    std::int32_t ends[kGroup + 1] = {};
    for (std::int64_t h = 0; h < n_hits; ++h) ++ends[hits_[static_cast<std::size_t>(h)].query + 1];
    for (int i = 0; i < n; ++i) ends[i + 1] += ends[i];
    for (std::int64_t h = 0; h < n_hits; ++h) {
      const PanelHit& hit = hits_[static_cast<std::size_t>(h)];
      sorted_[static_cast<std::size_t>(ends[hit.query]++)] = {static_cast<std::int32_t>(hit.row),
                                                              hit.value};
    }
    std::int32_t begin = 0;
    for (int i = 0; i < n; ++i) {
      if (ends[i] > begin) complete_query(list, i, sorted_.data() + begin, ends[i] - begin);
      begin = ends[i];
    }
  }

  void complete_query(std::int64_t list, int i, const Hit* hits, std::int64_t n) {
    const std::int64_t q = members_[i];
    chosen_.clear();
    for (std::int64_t h = 0; h < n; ++h) {
      const std::int32_t place = hits[h].place;
      const std::int32_t row = arrays_.order[place];
      if (row < 0) continue;
      if (arrays_.other != nullptr && arrays_.other[place] != -1) {
        const std::int32_t other = arrays_.other[place];
        if (!probes_.looked_at_in(q, list, other < 0 ? -2 - other : other)) continue;
      }
      if (query_.mask != nullptr && query_.mask[row] == 0) continue;
      chosen_.push_back(hits[h]);
    }
    std::size_t done = 0;
    if (chosen_.size() > kFirst && at(q).threshold() == kNone && k_ <= kFirst / 2) {
      // Nothing is known yet: the best heads set a threshold that rules out most of the others.
      const auto cut = chosen_.begin() + static_cast<std::ptrdiff_t>(kFirst);
      std::nth_element(chosen_.begin(), cut, chosen_.end(),
                       [](const Hit& a, const Hit& b) { return a.value > b.value; });
      add(q, i, chosen_.data(), kFirst);
      tighten(q);
      const float limit = limit_of(q, arrays_.maxima[list]);
      const auto end =
          std::remove_if(cut, chosen_.end(), [&](const Hit& hit) { return hit.value < limit; });
      chosen_.erase(end, chosen_.end());
      done = kFirst;
    }
    add(q, i, chosen_.data() + done, chosen_.size() - done);
  }

  // Completes hits of one query and adds them to its candidates.
  void add(std::int64_t q, int i, const Hit* hits, std::size_t count) {
    if (count == 0) return;
    const ListTerms& terms = queries_.terms(q);
    const bool with_rest = shape_.rest() > 0;
    if (with_rest) {
      products_.resize(std::max(products_.size(), count));
      places_.resize(std::max(places_.size(), count));
      for (std::size_t j = 0; j < count; ++j) places_[j] = hits[j].place;
      level_kernels().dot[plane_kind(shape_.rest_bits)][0](
          arrays_.rest, shape_.rest_bytes(), places_.data(), static_cast<std::int64_t>(count),
          shape_.rest(), queries_.rest(q), products_.data());
    }
    const auto step = static_cast<float>(terms.step);
    const auto rest_step = static_cast<float>(terms.rest_step);
    const float zero = codes_.shift() * terms.rest_sum;
    const float plus = group_.plus(i) * step;
    for (std::size_t j = 0; j < count; ++j) {
      const std::int32_t place = hits[j].place;
      float value = hits[j].value * step;
      if (with_rest) {
        const float tail = arrays_.tail[place];
        value -= l2() ? 0.25F * tail * tail : plus * tail;
        value += rest_step * arrays_.rest_scale[place] * (static_cast<float>(products_[j]) - zero);
      }
      const std::int64_t what = shape_.final ? place : arrays_.order[place];
      if (at(q).add(what, static_cast<double>(value))) tighten(q);
    }
  }

  const Lists& lists_;
  const ListCodes& codes_;
  const ListShape& shape_;
  const ListArrays& arrays_;
  const ExactQuery& query_;
  const Probing& probing_;
  std::int64_t first_, n_;
  const float* values_;
  ListQueries queries_;
  Probes probes_;
  Group group_;
  BlockMaxima overall_{0, 0, 0, 0};
  std::int64_t enough_;  // hits
  std::vector<PanelHit> hits_;
  std::vector<Hit> sorted_;
  std::size_t k_ = 0;
  const double* least_ = nullptr;  // of a range search
  std::vector<Candidates> candidates_;
  std::vector<double> guesses_;  // scores
  std::vector<Scorer> scorers_;
  const std::int64_t* members_ = nullptr;
  std::vector<Hit> chosen_;
  std::vector<Scored> best_;  // of codes that are final
  std::vector<float> row_;
  std::vector<std::int64_t> places_;
  std::vector<std::int32_t> products_;
};

}  // namespace

Lists::Lists(const ListCodes& codes, const float* centroids)
    : codes_(codes),
      turn_(centroids, codes.shape().n_lists, codes.shape().dim,
            std::vector<float>(static_cast<std::size_t>(codes.shape().dim)).data()),
      rotation_(codes.arrays().rotation, codes.shape().rotated(), codes.shape().dim,
                std::vector<float>(static_cast<std::size_t>(codes.shape().dim)).data()) {
  if (codes.shape().metric != Metric::kL2) return;
  for (std::int64_t j = 0; j < n_lists(); ++j) {
    const double norm = vector_norm(centroids + j * codes.shape().dim, codes.shape().dim);
    squares_.push_back(static_cast<float>(norm * norm));
  }
}

void Lists::nearness(const float* queries, int n, Turn::Scratch& scratch) const {
  turn_.apply(queries, n, scratch);
  if (squares_.empty()) return;
  for (int i = 0; i < n; ++i) {
    float* out = scratch.out.data() + i * stride();
    for (std::int64_t j = 0; j < n_lists(); ++j)
      out[j] = 2.0F * out[j] - squares_[static_cast<std::size_t>(j)];
  }
}

void Lists::search(const ExactQuery& query, const Probing& probing, std::int64_t k,
                   std::int64_t* positions, double* scores, std::int64_t* counts) const {
  const std::int64_t n_queries = query.n_queries;
  std::fill_n(positions, n_queries * k, std::int64_t{-1});
  std::fill_n(scores, n_queries * k, -std::numeric_limits<double>::infinity());
  std::fill_n(counts, n_queries, std::int64_t{0});
  if (k == 0 || n_queries == 0 || n_lists() == 0) return;
  const int n_jobs = resolve_jobs(query.n_jobs);
  const std::int64_t share = (n_queries + n_jobs - 1) / n_jobs;
  const std::int64_t size = std::clamp<std::int64_t>(share, 1, kMostQueries);
  parallel_for((n_queries + size - 1) / size, n_jobs, [&](std::int64_t task, int) {
    const std::int64_t first = task * size;
    const std::int64_t n = std::min(size, n_queries - first);
    const auto keep = [&](std::int64_t q, const std::vector<Scored>& best) {
      for (std::size_t i = 0; i < best.size(); ++i) {
        positions[q * k + static_cast<std::int64_t>(i)] = best[i].row;
        scores[q * k + static_cast<std::int64_t>(i)] = best[i].score;
      }
      counts[q] = static_cast<std::int64_t>(best.size());
    };
    Block block(*this, query, probing, first, n);
    block.search(k);
    Probing plain = probing;
    plain.guess = kNone;
    if (probing.on_disk) block.prefetch(0);
    for (std::int64_t q = 0; q < n; ++q) {
      block.prefetch(q + 1);
      const std::vector<Scored>& best = block.finish(q);
      if (!block.guessed_wrong(q, best)) {
        keep(first + q, best);
        continue;
      }
      Block again(*this, query, plain, first + q, 1);
      again.search(k);
      if (probing.on_disk) again.prefetch(0);
      keep(first + q, again.finish(0));
    }
  });
}

RangeResult Lists::range(const ExactQuery& query, const Probing& probing,
                         const double* least) const {
  const std::int64_t n_queries = query.n_queries;
  std::vector<std::vector<Scored>> found(static_cast<std::size_t>(n_queries));
  if (n_queries == 0 || n_lists() == 0) return joined(found);
  const int n_jobs = resolve_jobs(query.n_jobs);
  const std::int64_t share = (n_queries + n_jobs - 1) / n_jobs;
  const std::int64_t size = std::clamp<std::int64_t>(share, 1, kMostQueries);
  parallel_for((n_queries + size - 1) / size, n_jobs, [&](std::int64_t task, int) {
    const std::int64_t first = task * size;
    const std::int64_t n = std::min(size, n_queries - first);
    Block block(*this, query, probing, first, n);
    block.search_range(least + first);
    if (probing.on_disk) block.prefetch(0);
    for (std::int64_t q = 0; q < n; ++q) {
      block.prefetch(q + 1);
      found[static_cast<std::size_t>(first + q)] = block.finish(q);
    }
  });
  return joined(found);
}

}  // namespace vl

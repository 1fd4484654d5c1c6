// SPDX-License-Identifier: Apache-2.0
// The character n-grams of a word, hashed, as fastText has them.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace vl {

// Appends the bucket of each n-gram of `<word>` with min_n to max_n characters (UTF-8), FNV-1a of
// its bytes modulo n_buckets; the bare marks `<` and `>` are none. (Bojanowski, Grave, Joulin,
// Mikolov, "Enriching word vectors with subword information", TACL 2017, doi:10.1162/tacl_a_00051.)
void subword_buckets(std::string_view word, int min_n, int max_n, std::uint32_t n_buckets,
                     std::vector<std::int32_t>& buckets);

}  // namespace vl

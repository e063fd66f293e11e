// Fixtures of tests/data/logits, a decoder with its cache, and paths of models.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "kv/page_pool.h"
#include "kv/sequence_kv.h"
#include "model/decoder.h"
#include "model/model.h"
#include "testing/paths.h"

namespace tidal::test {

struct FixtureRow {
  int64_t position = 0;
  std::vector<int32_t> top_ids;  // most likely first
  std::vector<double> top;       // their log-probabilities
  std::vector<double> sample;    // those of LogitsFixture::sample_ids
};

struct FixtureCase {
  std::string plan;  // empty: full attention
  std::vector<FixtureRow> rows;
};

struct LogitsFixture {
  std::vector<int32_t> tokens;
  std::vector<int32_t> sample_ids;
  int32_t n_prompt = 0;            // algorithm1 only
  std::vector<FixtureCase> cases;  // one, unless algorithm1
};

LogitsFixture read_fixture(const std::string& name);

// How far log-probabilities are from a fixture's, over its top and sampled tokens.
struct Distance {
  double max = 0;
  double mean = 0;
  int64_t same_top = 0;
  int64_t n_rows = 0;
};

// rows[i]: the logits [vocab_size] at the position of expected[i].
Distance distance(const LogitsFixture& fixture, std::span<const FixtureRow> expected,
                  std::span<const std::vector<float>> rows);

// The largest difference between corresponding elements.
double max_difference(std::span<const float> a, std::span<const float> b);

// A decoder over its own cache. The back end must outlive it.
class TestDecoder {
 public:
  TestDecoder(std::shared_ptr<const Model> model, Backend& backend, DType cache_type,
              int64_t max_context, int32_t max_rows = 512, int32_t max_sequences = 2)
      : decoder_(std::move(model), backend,
                 {.max_rows = max_rows,
                  .max_sequences = max_sequences,
                  .max_context = max_context,
                  .max_logit_rows = max_rows}),
        pool_(decoder_.kv_layout(cache_type, cache_type),
              max_sequences * (max_context / kPageRows + 2), backend.memory()) {}

  Decoder& decoder() { return decoder_; }
  PagePool& pool() { return pool_; }
  SequenceKv make_sequence() { return SequenceKv(pool_, decoder_.limits().max_context); }

  // Runs tokens after what kv holds, in chunks; returns the logits of all of them: [n, vocab_size].
  std::vector<float> run(SequenceKv& kv, std::span<const int32_t> tokens, int32_t chunk,
                         LogitRows logits = LogitRows::kAll);
  // One token with a method.
  std::vector<float> step(SequenceKv& kv, int32_t token, const AttentionMethod* method,
                          AttentionState* state);

 private:
  Decoder decoder_;
  PagePool pool_;
};

// The same, row by row.
std::vector<std::vector<float>> split_rows(const std::vector<float>& logits, int64_t vocab_size);

// K and V rows [first, last) of a layer as floats: [rows, 2, n_kv_heads * head_dim].
std::vector<float> cache_rows(const SequenceKv& kv, int32_t layer, int64_t first, int64_t last);

}  // namespace tidal::test

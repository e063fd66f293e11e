#include "model/model_test_util.h"

#include <algorithm>
#include <cmath>

namespace tidal::test {
namespace {

std::vector<FixtureRow> read_rows(const nlohmann::json& json) {
  std::vector<FixtureRow> rows;
  for (const nlohmann::json& row : json) {
    rows.push_back({row.at("position"), row.at("top_ids"), row.at("top"), row.at("sample")});
  }
  return rows;
}

double log_sum_exp(std::span<const float> logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  return largest + std::log(sum);
}

}  // namespace

LogitsFixture read_fixture(const std::string& name) {
  const nlohmann::json json = read_json_file(data_path("logits/" + name + ".json"));
  LogitsFixture fixture;
  fixture.tokens = json.at("tokens").get<std::vector<int32_t>>();
  fixture.sample_ids = json.at("sample_ids").get<std::vector<int32_t>>();
  if (json.contains("rows")) {
    fixture.cases.push_back({"", read_rows(json.at("rows"))});
    return fixture;
  }
  fixture.n_prompt = json.at("n_prompt");
  for (const nlohmann::json& one : json.at("cases")) {
    fixture.cases.push_back({one.at("plan"), read_rows(one.at("rows"))});
  }
  return fixture;
}

Distance distance(const LogitsFixture& fixture, std::span<const FixtureRow> expected,
                  std::span<const std::vector<float>> rows) {
  Distance result;
  double sum = 0;
  int64_t n = 0;
  EXPECT_EQ(expected.size(), rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::vector<float>& logits = rows[i];
    const double lse = log_sum_exp(logits);
    const auto compare = [&](std::span<const int32_t> ids, std::span<const double> logprobs) {
      for (size_t j = 0; j < ids.size(); ++j) {
        const double got = static_cast<double>(logits[static_cast<size_t>(ids[j])]) - lse;
        // A NaN must be noticed.
        const double error = std::isfinite(got) ? std::abs(got - logprobs[j]) : 1e30;
        result.max = std::max(result.max, error);
        sum += error;
        ++n;
      }
    };
    compare(expected[i].top_ids, expected[i].top);
    compare(fixture.sample_ids, expected[i].sample);
    const auto top = std::max_element(logits.begin(), logits.end()) - logits.begin();
    result.same_top += top == expected[i].top_ids[0];
  }
  result.mean = sum / static_cast<double>(n);
  result.n_rows = std::ssize(rows);
  return result;
}

double max_difference(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  double result = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    result = std::isfinite(difference) ? std::max(result, difference) : 1e30;
  }
  return result;
}

std::vector<float> TestDecoder::run(SequenceKv& kv, std::span<const int32_t> tokens, int32_t chunk,
                                    LogitRows logits) {
  std::vector<float> all;
  Batch batch;
  while (!tokens.empty()) {
    const auto n = std::min(tokens.size(), static_cast<size_t>(chunk));
    batch.clear();
    batch.tokens.assign(tokens.begin(), tokens.begin() + static_cast<ptrdiff_t>(n));
    batch.sequences.push_back({.kv = &kv,
                               .first_position = kv.length(),
                               .n_rows = static_cast<int32_t>(n),
                               .logits = logits});
    EXPECT_TRUE(kv.grow(static_cast<int64_t>(n)));
    const std::span<const float> got = decoder_.forward(batch);
    all.insert(all.end(), got.begin(), got.end());
    tokens = tokens.subspan(n);
  }
  return all;
}

std::vector<float> TestDecoder::step(SequenceKv& kv, int32_t token, const AttentionMethod* method,
                                     AttentionState* state) {
  Batch batch;
  batch.tokens = {token};
  batch.sequences.push_back({.kv = &kv,
                             .first_position = kv.length(),
                             .n_rows = 1,
                             .kind = AttendKind::kStep,
                             .method = method,
                             .state = state});
  EXPECT_TRUE(kv.grow(1));
  const std::span<const float> got = decoder_.forward(batch);
  return {got.begin(), got.end()};
}

std::vector<std::vector<float>> split_rows(const std::vector<float>& logits, int64_t vocab_size) {
  std::vector<std::vector<float>> rows;
  for (auto it = logits.begin(); it != logits.end(); it += vocab_size) {
    rows.emplace_back(it, it + vocab_size);
  }
  return rows;
}

std::vector<float> cache_rows(const SequenceKv& kv, int32_t layer, int64_t first, int64_t last) {
  const KvView view = kv.view(layer);
  const int64_t width = int64_t{view.n_kv_heads} * view.head_dim;
  std::vector<float> rows(static_cast<size_t>((last - first) * 2 * width));
  float* out = rows.data();
  for (int64_t position = first; position < last; ++position, out += 2 * width) {
    const auto read = [&](const KvPlane& plane, float* to) {
      std::vector<std::byte> row(plane.row_bytes);
      kv.pool().memory().copy_out(row.data(), view.row(plane, position), row.size());
      decode_row(plane.dtype, row.data(), to, width);
    };
    read(view.k, out);
    read(view.v, out + width);
  }
  return rows;
}

}  // namespace tidal::test

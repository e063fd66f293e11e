#include "bench/lockstep.h"

#include <algorithm>
#include <random>

#include "base/check.h"
#include "runtime/model_options.h"

namespace tidal {
namespace {

constexpr int64_t kFillRows = 512;
constexpr int64_t kBankRows = 4096;

// Normal rows; one in a hundred is four times as long, so a few scores stand out.
std::vector<float> make_bank(int64_t width, std::mt19937_64& random) {
  std::normal_distribution<float> normal(0.0f, 0.5f);
  std::vector<float> bank(static_cast<size_t>(kBankRows * width));
  for (int64_t row = 0; row < kBankRows; ++row) {
    const float scale = random() % 100 == 0 ? 4.0f : 1.0f;
    for (int64_t i = 0; i < width; ++i) {
      bank[static_cast<size_t>(row * width + i)] = scale * normal(random);
    }
  }
  return bank;
}

}  // namespace

Lockstep::Lockstep(std::shared_ptr<const Model> model, Backend& backend,
                   const EngineOptions& options, int32_t n_sequences, int64_t capacity)
    : backend_(backend),
      decoder_(std::move(model), backend,
               {std::max(options.prefill_chunk, n_sequences), n_sequences, capacity, n_sequences}),
      pool_(decoder_.kv_layout(cache_type(options.k_cache_type, "--cache-type-k"),
                               cache_type(options.v_cache_type, "--cache-type-v")),
            n_sequences * ((capacity + kPageRows - 1) / kPageRows)),
      chunk_(options.prefill_chunk) {
  kvs_.reserve(static_cast<size_t>(n_sequences));
  for (int32_t i = 0; i < n_sequences; ++i) kvs_.emplace_back(pool_, capacity);
  batch_.tokens.reserve(static_cast<size_t>(decoder_.limits().max_rows));
  batch_.sequences.reserve(static_cast<size_t>(n_sequences));
}

Contender Lockstep::enter(int32_t n, const MethodOptions& method) {
  TIDAL_CHECK(n >= 1 && static_cast<size_t>(n) <= kvs_.size(), "{} sequences", n);
  Contender contender;
  contender.method = method_for(model(), method, pool_.bytes_per_token(), chunk_);
  for (int32_t i = 0; i < n; ++i) {
    contender.states.push_back(contender.method->make_state(decoder_.attention_shape(), pool_));
  }
  contender.since_correction.reserve(static_cast<size_t>(contender.method->correct_every()));
  return contender;
}

void Lockstep::truncate(int64_t length) {
  for (SequenceKv& kv : kvs_) kv.truncate(std::min(length, kv.length()));
}

std::span<const float> Lockstep::decode(Contender& contender, int32_t token) {
  const auto stride = static_cast<size_t>(contender.method->correct_every());
  if (stride > 0) {
    if (contender.since_correction.size() >= stride) correct(contender);
    contender.since_correction.push_back(token);
  }
  return forward({&token, 1}, 0, static_cast<int32_t>(contender.states.size()), LogitRows::kLast,
                 &contender);
}

// The token stays among those since the last correction: whoever decodes next writes its row.
void Lockstep::step_back(Contender& contender) {
  for (size_t i = 0; i < contender.states.size(); ++i) {
    kvs_[i].truncate(kvs_[i].length() - 1);
    contender.states[i].truncate(kvs_[i].length());
  }
}

// The rows written by sparse steps are replaced by what full attention writes.
void Lockstep::correct(Contender& contender) {
  const auto n = static_cast<int64_t>(contender.since_correction.size());
  for (size_t i = 0; i < contender.states.size(); ++i) {
    kvs_[i].truncate(kvs_[i].length() - n);
    contender.states[i].truncate(kvs_[i].length());
    forward(contender.since_correction, static_cast<int32_t>(i), 1, LogitRows::kNone, nullptr);
  }
  contender.since_correction.clear();
}

std::span<const float> Lockstep::prefill(std::span<const int32_t> tokens) {
  std::span<const float> logits;
  for (size_t done = 0; done < tokens.size();) {
    const size_t n = std::min(tokens.size() - done, static_cast<size_t>(chunk_));
    const bool last = done + n == tokens.size();
    logits =
        forward(tokens.subspan(done, n), 0, 1, last ? LogitRows::kLast : LogitRows::kNone, nullptr);
    done += n;
  }
  return logits;
}

std::span<const float> Lockstep::forward(std::span<const int32_t> tokens, int32_t first, int32_t n,
                                         LogitRows logits, Contender* contender) {
  batch_.clear();
  for (int32_t i = first; i < first + n; ++i) {
    const auto index = static_cast<size_t>(i);
    SequenceKv& kv = kvs_[index];
    const int64_t position = kv.length();
    const bool grown = kv.grow(static_cast<int64_t>(tokens.size()));
    TIDAL_CHECK(grown, "the capacity of {} tokens is passed", kv.max_length());
    batch_.tokens.insert(batch_.tokens.end(), tokens.begin(), tokens.end());
    batch_.sequences.push_back(
        {.kv = &kv,
         .first_position = position,
         .n_rows = static_cast<int32_t>(tokens.size()),
         .logits = logits,
         .method = contender != nullptr ? contender->method.get() : nullptr,
         .state = contender != nullptr ? &contender->states[index] : nullptr});
  }
  return decoder_.forward(batch_);
}

bool Lockstep::fill(int64_t depth, uint64_t seed,
                    const std::function<bool(int64_t done, int64_t total)>& progress) {
  const Config& config = model().config();
  const int64_t width = int64_t{config.n_kv_heads} * config.head_dim;
  std::mt19937_64 random(seed);
  const std::vector<float> bank = make_bank(width, random);
  std::vector<float> k(static_cast<size_t>(kFillRows * width));
  std::vector<float> v(k.size());
  const auto slice = [&](std::vector<float>& out) {
    const auto start = static_cast<int64_t>(random() % (kBankRows - kFillRows)) * width;
    const float scale = 0.9f + 0.2f * static_cast<float>(random() >> 40) * 0x1p-24f;
    std::transform(bank.begin() + start, bank.begin() + start + kFillRows * width, out.begin(),
                   [scale](float x) { return scale * x; });
  };
  const int64_t total = static_cast<int64_t>(kvs_.size()) * std::max<int64_t>(0, depth - length());
  int64_t done = 0;
  for (SequenceKv& kv : kvs_) {
    while (kv.length() < depth) {
      const int64_t first = kv.length();
      const int64_t n = std::min(kFillRows, depth - first);
      const bool grown = kv.grow(n);
      TIDAL_CHECK(grown, "the capacity of {} tokens is passed", kv.max_length());
      for (int32_t layer = 0; layer < config.n_layers; ++layer) {
        slice(k);
        slice(v);
        const AppendItem item{k.data(), v.data(), n, first, kv.view(layer)};
        backend_.append({&item, 1});
      }
      done += n;
      if (!progress(done, total)) return false;
    }
  }
  return true;
}

RowsRead Contender::rows_read() const {
  RowsRead rows;
  for (const AttentionState& state : states) rows += state.rows;
  return rows;
}

RowsReport Contender::rows() const {
  RowsReport report;
  for (const AttentionState& state : states) {
    report.read += state.rows.k + state.rows.v;
    report.total += 2 * state.rows_total;
  }
  return report;
}

}  // namespace tidal

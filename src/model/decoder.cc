#include "model/decoder.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace tidal {
namespace {

BackendLimits backend_limits(const Config& config, const DecoderLimits& limits) {
  BackendLimits result;
  result.max_rows = limits.max_rows;
  result.max_features = std::max({int64_t{config.d_model}, int64_t{config.d_ff}, config.q_size()});
  result.max_context = limits.max_context;
  result.max_sequences = limits.max_sequences;
  result.n_heads = config.n_heads;
  result.n_kv_heads = config.n_kv_heads;
  result.head_dim = config.head_dim;
  return result;
}

int64_t logit_rows(const BatchSequence& sequence) {
  switch (sequence.logits) {
    case LogitRows::kNone:
      return 0;
    case LogitRows::kLast:
      return 1;
    case LogitRows::kAll:
      return sequence.n_rows;
  }
  return 0;
}

}  // namespace

Decoder::Decoder(std::shared_ptr<const Model> model, Backend& backend, const DecoderLimits& limits)
    : model_(std::move(model)),
      backend_(backend),
      weights_(model_->weights(backend.weight_layout(), backend.threads())),
      limits_(limits),
      rope_table_(model_->config().rope, model_->config().head_dim),
      attention_(backend, model_->config().n_heads, limits.max_context, limits.max_sequences) {
  const Config& c = model_->config();
  if (limits_.max_logit_rows == 0) limits_.max_logit_rows = limits_.max_sequences;
  backend_.reserve(backend_limits(c, limits_));
  const auto floats = [&](int64_t rows, int64_t width) {
    return backend_.allocate(static_cast<size_t>(rows * width) * sizeof(float));
  };
  const int64_t rows = limits_.max_rows;
  x_ = floats(rows, c.d_model);
  normed_ = floats(std::max<int64_t>(rows, limits_.max_logit_rows), c.d_model);
  q_ = floats(rows, c.q_size());
  k_ = floats(rows, c.kv_size());
  v_ = floats(rows, c.kv_size());
  attended_ = floats(rows, c.q_size());
  gate_ = floats(rows, c.d_ff);
  up_ = floats(rows, c.d_ff);
  cos_sin_ = floats(rows, c.head_dim);
  logits_ = floats(limits_.max_logit_rows, c.vocab_size);
  append_.reserve(static_cast<size_t>(limits_.max_sequences));
  items_.reserve(static_cast<size_t>(limits_.max_sequences));
}

AttentionShape Decoder::attention_shape() const {
  const Config& c = model_->config();
  return {c.n_layers, c.n_heads, c.n_kv_heads, c.head_dim, limits_.max_context};
}

KvLayout Decoder::kv_layout(DType k_dtype, DType v_dtype) const {
  const Config& c = model_->config();
  return {c.n_layers, c.n_kv_heads, c.head_dim, k_dtype, v_dtype};
}

std::span<const float> Decoder::forward(const Batch& batch) {
  check_fits(batch);
  const Config& c = model_->config();
  const int64_t n = std::ssize(batch.tokens);
  float* const x = x_.as<float>();
  float* const normed = normed_.as<float>();
  float* const q = q_.as<float>();
  float* const k = k_.as<float>();
  float* const v = v_.as<float>();
  float* const attended = attended_.as<float>();
  float* const gate = gate_.as<float>();
  float* const up = up_.as<float>();

  backend_.embed(weights_.embedding, batch.tokens, x);  // [n, d_model]
  fill_rope(batch);                                     // [n, 2, head_dim / 2]
  for (int32_t l = 0; l < c.n_layers; ++l) {
    const LayerWeights& layer = weights_.layers[static_cast<size_t>(l)];
    backend_.rms_norm(x, layer.attention_norm, n, c.d_model, c.rms_epsilon, normed);
    const Linear qkv[] = {{&layer.wq, layer.bq, q},   // [n, n_heads, head_dim]
                          {&layer.wk, layer.bk, k},   // [n, n_kv_heads, head_dim]
                          {&layer.wv, layer.bv, v}};  // [n, n_kv_heads, head_dim]
    backend_.matmul(normed, n, qkv);
    if (c.qk_norm) {
      backend_.rms_norm(q, layer.q_norm, n * c.n_heads, c.head_dim, c.rms_epsilon, q);
      backend_.rms_norm(k, layer.k_norm, n * c.n_kv_heads, c.head_dim, c.rms_epsilon, k);
    }
    backend_.rope(q, n, c.n_heads, c.head_dim, cos_sin_.as<float>(), c.rope.pairing);
    backend_.rope(k, n, c.n_kv_heads, c.head_dim, cos_sin_.as<float>(), c.rope.pairing);

    point_at_layer(l, batch);
    backend_.append(append_);
    attention_.run(l, items_);  // [n, n_heads, head_dim]
    if (observer_ != nullptr) observer_->on_attention(l, items_);
    const Linear output[] = {{&layer.wo, nullptr, x, true}};
    backend_.matmul(attended, n, output);  // [n, d_model]

    backend_.rms_norm(x, layer.ffn_norm, n, c.d_model, c.rms_epsilon, normed);
    const Linear gate_up[] = {{&layer.w_gate, nullptr, gate},  // [n, d_ff]
                              {&layer.w_up, nullptr, up}};     // [n, d_ff]
    backend_.matmul(normed, n, gate_up);
    backend_.swiglu(gate, up, n * c.d_ff);
    const Linear down[] = {{&layer.w_down, nullptr, x, true}};
    backend_.matmul(gate, n, down);  // [n, d_model]
  }
  return logits(batch);  // [n_logit_rows, vocab_size]
}

void Decoder::check_fits(const Batch& batch) const {
  int64_t n_rows = 0;
  int64_t n_logits = 0;
  for (const BatchSequence& sequence : batch.sequences) {
    TIDAL_CHECK(sequence.kv != nullptr && sequence.n_rows >= 1);
    TIDAL_CHECK(sequence.kv->length() == sequence.first_position + sequence.n_rows,
                "cache of {} rows for positions {} + {}", sequence.kv->length(),
                sequence.first_position, sequence.n_rows);
    TIDAL_CHECK(sequence.kv->length() <= limits_.max_context);
    TIDAL_CHECK(sequence.kind == AttendKind::kChunk || sequence.n_rows <= kMaxStepQueries);
    n_rows += sequence.n_rows;
    n_logits += logit_rows(sequence);
  }
  TIDAL_CHECK(n_rows == std::ssize(batch.tokens) && n_rows <= limits_.max_rows,
              "{} tokens, {} rows, room for {}", batch.tokens.size(), n_rows, limits_.max_rows);
  TIDAL_CHECK(std::ssize(batch.sequences) <= limits_.max_sequences);
  TIDAL_CHECK(n_logits <= limits_.max_logit_rows);
  for (const int32_t token : batch.tokens) {
    TIDAL_CHECK(token >= 0 && token < model_->config().vocab_size, "token {}", token);
  }
}

void Decoder::fill_rope(const Batch& batch) {
  float* out = cos_sin_.as<float>();
  for (const BatchSequence& sequence : batch.sequences) {
    for (int32_t i = 0; i < sequence.n_rows; ++i) {
      rope_table_.fill(sequence.first_position + i, out);
      out += model_->config().head_dim;
    }
  }
}

// The rows of each sequence and its cache in this layer, for append and attention.
void Decoder::point_at_layer(int32_t layer, const Batch& batch) {
  const Config& c = model_->config();
  append_.clear();
  items_.clear();
  int64_t row = 0;
  for (const BatchSequence& sequence : batch.sequences) {
    const KvView kv = sequence.kv->view(layer);
    append_.push_back({.k = k_.as<float>() + row * c.kv_size(),
                       .v = v_.as<float>() + row * c.kv_size(),
                       .n_rows = sequence.n_rows,
                       .first_position = sequence.first_position,
                       .kv = kv});
    items_.push_back({.kind = sequence.kind,
                      .q = q_.as<float>() + row * c.q_size(),
                      .out = attended_.as<float>() + row * c.q_size(),
                      .n_rows = sequence.n_rows,
                      .first_position = sequence.first_position,
                      .kv = kv,
                      .method = sequence.method,
                      .state = sequence.state});
    row += sequence.n_rows;
  }
}

std::span<const float> Decoder::logits(const Batch& batch) {
  const Config& c = model_->config();
  int64_t n = 0;
  int64_t row = 0;
  for (const BatchSequence& sequence : batch.sequences) {
    row += sequence.n_rows;
    const int64_t wanted = logit_rows(sequence);  // the last ones of the sequence
    if (wanted == 0) continue;
    backend_.rms_norm(x_.as<float>() + (row - wanted) * c.d_model, weights_.output_norm, wanted,
                      c.d_model, c.rms_epsilon, normed_.as<float>() + n * c.d_model);
    n += wanted;
  }
  const Linear output[] = {{&weights_.output, nullptr, logits_.as<float>()}};
  if (n > 0) backend_.matmul(normed_.as<float>(), n, output);
  return {logits_.as<float>(), static_cast<size_t>(n * c.vocab_size)};
}

}  // namespace tidal

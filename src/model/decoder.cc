#include "model/decoder.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace tidal {
namespace {

int64_t widest_feed_forward(const Config& config) {
  int32_t widest = 0;
  for (const LayerConfig& layer : config.layers) widest = std::max(widest, layer.d_ff);
  return widest;
}

BackendLimits backend_limits(const Config& config, const DecoderLimits& limits) {
  const AttentionConfig& attention = config.attention();
  BackendLimits result;
  result.max_rows = limits.max_rows;
  result.max_features =
      std::max({int64_t{config.d_model}, widest_feed_forward(config), attention.q_size()});
  result.max_context = limits.max_context;
  result.max_sequences = limits.max_sequences;
  result.n_heads = attention.n_heads;
  result.n_kv_heads = attention.n_kv_heads;
  result.head_dim = attention.head_dim;
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

void drop_stopped(Batch& batch) {
  while (!batch.sequences.empty()) {
    const BatchSequence& last = batch.sequences.back();
    if (last.stop == nullptr || !last.stop->load(std::memory_order_relaxed)) return;
    batch.tokens.resize(batch.tokens.size() - static_cast<size_t>(last.n_rows));
    batch.sequences.pop_back();
  }
}

StepShape step_shape(const Batch& batch) {
  const auto decodes = [](const BatchSequence& s) { return s.kind == AttendKind::kStep; };
  return {.n_rows = std::ssize(batch.tokens),
          .n_sequences = static_cast<int32_t>(batch.sequences.size()),
          .decode = std::ranges::all_of(batch.sequences, decodes)};
}

}  // namespace

Decoder::Decoder(std::shared_ptr<const Model> model, Backend& backend, const DecoderLimits& limits)
    : model_(std::move(model)),
      backend_(backend),
      weights_(model_->weights(backend)),
      limits_(limits),
      rope_table_(model_->config().rope, model_->config().attention().head_dim),
      attention_(backend, model_->config().attention().n_heads, limits.max_context,
                 limits.max_sequences) {
  const Config& c = model_->config();
  const AttentionConfig& attention = c.attention();
  if (limits_.max_logit_rows == 0) limits_.max_logit_rows = limits_.max_sequences;
  backend_.reserve(backend_limits(c, limits_));
  const auto bytes = [](int64_t rows, int64_t width) {
    return static_cast<size_t>(rows * width) * sizeof(float);
  };
  const auto floats = [&](int64_t rows, int64_t width) {
    return backend_.allocate(bytes(rows, width));
  };
  const int64_t rows = limits_.max_rows;
  x_ = floats(rows, c.d_model);
  normed_ = floats(std::max<int64_t>(rows, limits_.max_logit_rows), c.d_model);
  q_ = floats(rows, attention.q_size());
  k_ = floats(rows, attention.kv_size());
  v_ = floats(rows, attention.kv_size());
  attended_ = floats(rows, attention.q_size());
  gate_ = floats(rows, widest_feed_forward(c));
  up_ = floats(rows, widest_feed_forward(c));
  cos_sin_ = {bytes(rows, attention.head_dim), backend_.memory()};
  logits_ = {bytes(limits_.max_logit_rows, c.vocab_size), backend_.memory()};
  append_.reserve(static_cast<size_t>(limits_.max_sequences));
  items_.reserve(static_cast<size_t>(limits_.max_sequences));
}

AttentionShape Decoder::attention_shape() const {
  const Config& c = model_->config();
  const AttentionConfig& a = c.attention();
  return {c.n_layers(), a.n_heads, a.n_kv_heads, a.head_dim, limits_.max_context};
}

KvLayout Decoder::kv_layout(DType k_dtype, DType v_dtype) const {
  const Config& c = model_->config();
  return {c.n_layers(), c.attention().n_kv_heads, c.attention().head_dim, k_dtype, v_dtype};
}

std::span<const float> Decoder::forward(Batch& batch) {
  check_fits(batch);
  const Config& c = model_->config();
  float* const x = x_.as<float>();            // [n_rows, d_model]
  float* const normed = normed_.as<float>();  // [n_rows, d_model]

  backend_.begin_step(step_shape(batch));
  backend_.embed(weights_.embedding, batch.tokens, x);
  fill_rope(batch);
  for (int32_t l = 0; l < c.n_layers(); ++l) {
    drop_stopped(batch);
    const int64_t n = std::ssize(batch.tokens);
    if (n == 0) return {};
    const LayerWeights& layer = weights_.layers[static_cast<size_t>(l)];
    backend_.rms_norm(x, layer.attention_norm.data(), n, c.d_model, c.rms_epsilon, normed);
    add_attention(l, batch);
    backend_.rms_norm(x, layer.ffn_norm.data(), n, c.d_model, c.rms_epsilon, normed);
    add_feed_forward(l, n);
  }
  return logits(batch);  // [n_logit_rows, vocab_size]
}

// x += attention of the normed rows, whose K and V are appended to the cache.
void Decoder::add_attention(int32_t l, const Batch& batch) {
  const Config& c = model_->config();
  const AttentionConfig& a = c.layers[static_cast<size_t>(l)].attention;
  const LayerWeights& layer = weights_.layers[static_cast<size_t>(l)];
  const int64_t n = std::ssize(batch.tokens);
  float* const q = q_.as<float>();  // [n, n_heads, head_dim]
  float* const k = k_.as<float>();  // [n, n_kv_heads, head_dim]
  float* const v = v_.as<float>();  // [n, n_kv_heads, head_dim]

  const Linear qkv[] = {{&layer.wq, layer.bq.data(), q},
                        {&layer.wk, layer.bk.data(), k},
                        {&layer.wv, layer.bv.data(), v}};
  backend_.matmul(normed_.as<float>(), n, qkv);
  if (!layer.q_norm.empty()) {
    backend_.rms_norm(q, layer.q_norm.data(), n * a.n_heads, a.head_dim, c.rms_epsilon, q);
    backend_.rms_norm(k, layer.k_norm.data(), n * a.n_kv_heads, a.head_dim, c.rms_epsilon, k);
  }
  backend_.rope(q, n, a.n_heads, a.head_dim, cos_sin_.device<float>(), c.rope.pairing);
  backend_.rope(k, n, a.n_kv_heads, a.head_dim, cos_sin_.device<float>(), c.rope.pairing);

  point_at_layer(l, batch);
  backend_.append(append_);
  attention_.run(l, items_);
  if (observer_ != nullptr) observer_->on_attention(l, items_);
  const Linear output[] = {{&layer.wo, nullptr, x_.as<float>(), true}};
  backend_.matmul(attended_.as<float>(), n, output);
}

// x += the gated feed-forward of the normed rows.
void Decoder::add_feed_forward(int32_t l, int64_t n) {
  const LayerWeights& layer = weights_.layers[static_cast<size_t>(l)];
  float* const gate = gate_.as<float>();  // [n, d_ff]
  float* const up = up_.as<float>();      // [n, d_ff]
  const Linear gate_up[] = {{&layer.w_gate, nullptr, gate}, {&layer.w_up, nullptr, up}};
  backend_.matmul(normed_.as<float>(), n, gate_up);
  backend_.swiglu(gate, up, n * model_->config().layers[static_cast<size_t>(l)].d_ff);
  const Linear down[] = {{&layer.w_down, nullptr, x_.as<float>(), true}};
  backend_.matmul(gate, n, down);
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
  float* out = cos_sin_.host<float>();
  for (const BatchSequence& sequence : batch.sequences) {
    for (int32_t i = 0; i < sequence.n_rows; ++i) {
      rope_table_.fill(sequence.first_position + i, out);
      out += model_->config().attention().head_dim;
    }
  }
  cos_sin_.push(static_cast<size_t>(out - cos_sin_.host<float>()) * sizeof(float));
}

// The rows of each sequence and its cache in this layer, for append and attention.
void Decoder::point_at_layer(int32_t layer, const Batch& batch) {
  const AttentionConfig& a = model_->config().layers[static_cast<size_t>(layer)].attention;
  append_.clear();
  items_.clear();
  int64_t row = 0;
  for (const BatchSequence& sequence : batch.sequences) {
    const KvView kv = sequence.kv->view(layer);
    append_.push_back({.k = k_.as<float>() + row * a.kv_size(),
                       .v = v_.as<float>() + row * a.kv_size(),
                       .n_rows = sequence.n_rows,
                       .first_position = sequence.first_position,
                       .kv = kv});
    items_.push_back({.kind = sequence.kind,
                      .q = q_.as<float>() + row * a.q_size(),
                      .out = attended_.as<float>() + row * a.q_size(),
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
    const int64_t n_rows = logit_rows(sequence);  // the last ones of the sequence
    if (n_rows == 0) continue;
    backend_.rms_norm(x_.as<float>() + (row - n_rows) * c.d_model, weights_.output_norm.data(),
                      n_rows, c.d_model, c.rms_epsilon, normed_.as<float>() + n * c.d_model);
    n += n_rows;
  }
  const Linear output[] = {{&weights_.output, nullptr, logits_.device<float>()}};
  if (n > 0) backend_.matmul(normed_.as<float>(), n, output);
  const auto n_logits = static_cast<size_t>(n * c.vocab_size);
  backend_.fetch(logits_, n_logits * sizeof(float));
  return {logits_.host<float>(), n_logits};
}

}  // namespace tidal

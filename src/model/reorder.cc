#include "model/reorder.h"

#include <algorithm>
#include <utility>

#include "base/mapped_file.h"
#include "base/parallel.h"
#include "tensor/panels.h"

namespace tidal {
namespace {

constexpr int64_t kPanelsPerTask = 8;
constexpr size_t kAlignment = 64;

size_t aligned_bytes(Weight weight, WeightLayout layout) {
  weight.layout = layout;
  return (weight.stored_bytes() + kAlignment - 1) / kAlignment * kAlignment;
}

void copy(ThreadPool& pool, const Weight& from, WeightLayout layout, std::byte* out) {
  const auto convert = layout == WeightLayout::kPanels ? rows_to_panels : panels_to_rows;
  const int64_t n_panels = from.n_panels();
  pool.run((n_panels + kPanelsPerTask - 1) / kPanelsPerTask, [&](int64_t task, int) {
    const int64_t first = task * kPanelsPerTask;
    const size_t offset = static_cast<size_t>(first * kPanelRows) * from.row_bytes();
    convert(from, first, std::min(kPanelsPerTask, n_panels - first), out + offset);
  });
}

}  // namespace

size_t reordered_bytes(const ModelWeights& weights, WeightLayout layout) {
  size_t bytes = 0;
  for_each_matrix(
      weights, [&](MatrixRole, const Weight& weight) { bytes += aligned_bytes(weight, layout); });
  return bytes;
}

ReorderedWeights reorder(const ModelWeights& weights, WeightLayout layout, int n_threads,
                         bool release_file) {
  ThreadPool pool(n_threads);
  ReorderedWeights result{weights, Buffer(reordered_bytes(weights, layout))};
  std::byte* out = result.memory.data();
  for_each_matrix(result.weights, [&](MatrixRole, Weight& weight) {
    copy(pool, weight, layout, out);
    if (release_file) release_pages({weight.data, weight.bytes()});
    weight.data = out;
    weight.layout = layout;
    out += aligned_bytes(weight, layout);
  });
  return result;
}

}  // namespace tidal

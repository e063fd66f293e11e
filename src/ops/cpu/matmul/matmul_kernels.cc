// The driver of matrix products: quantizes x, cuts the output rows of all linears into tasks, and
// turns finished tiles into outputs. The kernels are instantiated here, one variant per target.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/matmul/matmul_kernels.cc"
#include "ops/cpu/simd_targets.h"
// After simd_targets.h.
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "ops/cpu/matmul/matmul_kernels.h"
#include "ops/cpu/matmul/matmul_tile.h"
#include "tensor/format_headers.h"  // generated from formats.def: every formats/*.h it names

HWY_BEFORE_NAMESPACE();
#define TIDAL_VARIANT plain
#define TIDAL_VNNI 0
#include "ops/cpu/matmul/matmul_variant-inl.h"
#undef TIDAL_VARIANT
#undef TIDAL_VNNI
HWY_AFTER_NAMESPACE();

#if HWY_TARGET == HWY_AVX3
// Highway's AVX3 lacks VNNI and its AVX3_DL requires much more than VNNI.
HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avx512vnni")
#define TIDAL_VARIANT vnni
#define TIDAL_VNNI 1
#include "ops/cpu/matmul/matmul_variant-inl.h"
#undef TIDAL_VARIANT
#undef TIDAL_VNNI
HWY_POP_ATTRIBUTES
#endif

#if HWY_ONCE
namespace tidal::cpu {
namespace {

const MatmulKernels& kernels_for(Target target) {
#if HWY_ARCH_X86
  switch (target) {
    case Target::kPortable:
    case Target::kAvx2:
      return N_AVX2::plain::kKernels;
    case Target::kAvx512:
      return N_AVX3::plain::kKernels;
    case Target::kAvx512Vnni:
    case Target::kAvx512Bf16:
      return N_AVX3::vnni::kKernels;
  }
#endif
  (void)target;
  return HWY_STATIC_DISPATCH(plain::kKernels);
}

bool is_float(DType dtype) { return dtype_info(dtype).block_size == 1; }

// One call of matmul().
struct Call {
  const MatmulKernels& kernels;
  const float* x;                   // [n_rows, cols]
  const QuantizedBlock* quantized;  // [n_rows, cols / kBlock]
  int64_t n_rows;
  int64_t cols;
  std::span<const Linear> linears;
};

void quantize_rows(ThreadPool& pool, const Call& call, QuantizedBlock* out) {
  const auto quantize_row = [&](int64_t row, int) {
    call.kernels.quantize(call.x + row * call.cols, call.cols, out + row * (call.cols / kBlock));
  };
  constexpr int64_t kInlineElements = 2048;  // where waking the team costs as much as the work
  if (call.n_rows * call.cols <= kInlineElements) {
    for (int64_t row = 0; row < call.n_rows; ++row) quantize_row(row, 0);
  } else {
    pool.run(call.n_rows, quantize_row);
  }
}

// Panels [panel, panel + n) of one linear, n <= tile_panels, for rows [first, first + n_inputs) of
// x.
void run_tile(const Call& call, const Linear& linear, int64_t panel, int64_t n, int64_t first,
              int64_t n_inputs, TileScratch* scratch) {
  const Weight& weight = *linear.weight;
  const auto* data = reinterpret_cast<const uint8_t*>(weight.data);
  Tile tile;
  for (int p = 0; p < call.kernels.tile_panels; ++p) {
    tile.panels[p] = data + std::min(panel + p, panel + n - 1) * kPanelRows *
                                static_cast<int64_t>(weight.row_bytes());
  }
  tile.n_panels = static_cast<int>(n);
  tile.cols = call.cols;
  tile.x = call.x + first * call.cols;
  tile.quantized = call.quantized + first * (call.cols / kBlock);
  tile.n_inputs = n_inputs;
  call.kernels.multiply(weight.dtype, tile, scratch);
  const int64_t row = panel * kPanelRows;
  const int64_t n_rows = std::min(n * kPanelRows, weight.rows - row);
  for (int64_t i = 0; i < n_inputs; ++i) {
    const float* sums = scratch->sums[i];
    float* out = linear.out + (first + i) * weight.rows + row;
    for (int64_t r = 0; r < n_rows; ++r) {
      const float value = linear.bias == nullptr ? sums[r] : sums[r] + linear.bias[row + r];
      out[r] = linear.accumulate ? out[r] + value : value;
    }
  }
}

// Tiles [begin, begin + n) of the list of all linears' tiles, or as many of them as exist.
void run_tiles(const Call& call, int64_t begin, int64_t n, TileScratch* scratch) {
  const int64_t step = call.kernels.tile_panels;
  for (const Linear& linear : call.linears) {
    const int64_t n_panels = linear.weight->n_panels();
    const int64_t n_tiles = (n_panels + step - 1) / step;
    const int64_t end = std::min(n_tiles, begin + n);
    for (int64_t first = 0; first < call.n_rows; first += kMaxTileInputs) {
      const int64_t n_inputs = std::min<int64_t>(kMaxTileInputs, call.n_rows - first);
      for (int64_t panel = begin * step; panel < end * step; panel += step) {
        run_tile(call, linear, panel, std::min(step, n_panels - panel), first, n_inputs, scratch);
      }
    }
    if (end > begin) n -= end - begin;
    begin = std::max<int64_t>(0, begin - n_tiles);
  }
}

}  // namespace

void MatmulScratch::reserve(int64_t n_rows, int64_t in_features, int n_workers) {
  const auto grow = [](Buffer& buffer, size_t bytes) {
    if (buffer.size() < bytes) buffer = Buffer(bytes);
  };
  const size_t blocks = static_cast<size_t>(n_rows * ((in_features + kBlock - 1) / kBlock));
  grow(activations_, blocks * sizeof(QuantizedBlock));
  grow(workers_, sizeof(TileScratch) * static_cast<size_t>(n_workers));
}

void matmul(ThreadPool& pool, MatmulScratch& scratch, Target target, const float* x, int64_t n_rows,
            std::span<const Linear> linears) {
  if (linears.empty() || n_rows == 0) return;
  const int64_t cols = linears[0].weight->cols;
  scratch.reserve(n_rows, cols, pool.size());
  const Call call = {kernels_for(target), x, scratch.activations(), n_rows, cols, linears};
  const int64_t tile_panels = call.kernels.tile_panels;

  bool quantize = false;
  int64_t n_tiles = 0;
  for (const Linear& linear : linears) {
    TIDAL_CHECK(linear.weight->cols == cols, "the linears of a call share their input");
    TIDAL_CHECK(linear.weight->layout == WeightLayout::kPanels, "weights are read in panels");
    quantize |= !is_float(linear.weight->dtype);
    n_tiles += (linear.weight->n_panels() + tile_panels - 1) / tile_panels;
  }
  if (quantize) quantize_rows(pool, call, scratch.activations());

  // A task is a run of consecutive tiles in the list of all linears' tiles.
  const int64_t tiles_per_task = std::max<int64_t>(1, n_tiles / (int64_t{16} * pool.size()));
  pool.run((n_tiles + tiles_per_task - 1) / tiles_per_task, [&](int64_t task, int worker) {
    run_tiles(call, task * tiles_per_task, tiles_per_task, scratch.workers() + worker);
  });
}

}  // namespace tidal::cpu
#endif  // HWY_ONCE

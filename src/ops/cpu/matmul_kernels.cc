// The driver of matrix products: quantizes x, cuts the output rows of all linears into tasks, and
// turns finished tiles into outputs. The kernels are instantiated here, one variant a target.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/matmul_kernels.cc"
#include "ops/cpu/simd_targets.h"
// After simd_targets.h.
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "ops/cpu/matmul_kernels.h"
#include "ops/cpu/matmul_tile.h"

HWY_BEFORE_NAMESPACE();
#define TIDAL_VARIANT plain
#define TIDAL_VNNI 0
#include "ops/cpu/matmul_variant-inl.h"
#undef TIDAL_VARIANT
#undef TIDAL_VNNI
HWY_AFTER_NAMESPACE();

#if HWY_TARGET == HWY_AVX3
// Highway's AVX3 has no VNNI and its AVX3_DL asks for much more than VNNI.
HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avx512vnni")
#define TIDAL_VARIANT vnni
#define TIDAL_VNNI 1
#include "ops/cpu/matmul_variant-inl.h"
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

bool is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

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
  constexpr int64_t kInlineElements = 16384;  // where waking the team costs as much as the work
  if (call.n_rows * call.cols <= kInlineElements) {
    for (int64_t row = 0; row < call.n_rows; ++row) quantize_row(row, 0);
  } else {
    pool.run(call.n_rows, quantize_row);
  }
}

// Rows [row, row + n) of one linear, n <= tile_rows, for rows [first, first + n_inputs) of x.
void run_tile(const Call& call, const Linear& linear, int64_t row, int64_t n, int64_t first,
              int64_t n_inputs, TileScratch* scratch, uint8_t* padded) {
  const Weight& weight = *linear.weight;
  const int tile_rows = call.kernels.tile_rows;
  Tile tile;
  tile.row_bytes = weight.row_bytes();
  tile.cols = call.cols;
  tile.x = call.x + first * call.cols;
  tile.quantized = call.quantized + first * (call.cols / kBlock);
  tile.n_inputs = n_inputs;
  int64_t lane = 0;  // of output `row`
  if (weight.rows >= tile_rows) {
    // The last tile reaches back over rows that another tile has done.
    const int64_t start = std::min(row, weight.rows - tile_rows);
    lane = row - start;
    tile.rows = reinterpret_cast<const uint8_t*>(weight.row(start));
  } else {
    std::memcpy(padded, weight.data, weight.bytes());
    lane = row;
    tile.rows = padded;
  }
  call.kernels.multiply(weight.dtype, tile, scratch);
  for (int64_t i = 0; i < n_inputs; ++i) {
    const float* sums = scratch->sums[i] + lane;
    float* out = linear.out + (first + i) * weight.rows + row;
    for (int64_t r = 0; r < n; ++r) {
      const float value = linear.bias == nullptr ? sums[r] : sums[r] + linear.bias[row + r];
      out[r] = linear.accumulate ? out[r] + value : value;
    }
  }
}

// Tiles [begin, begin + n) of the list of all linears' tiles, or as many of them as there are.
void run_tiles(const Call& call, int64_t begin, int64_t n, std::byte* worker) {
  auto* scratch = reinterpret_cast<TileScratch*>(worker);
  auto* padded = reinterpret_cast<uint8_t*>(scratch + 1);
  const int64_t tile_rows = call.kernels.tile_rows;
  for (const Linear& linear : call.linears) {
    const int64_t rows = linear.weight->rows;
    const int64_t n_tiles = (rows + tile_rows - 1) / tile_rows;
    const int64_t end = std::min(n_tiles, begin + n);
    for (int64_t first = 0; first < call.n_rows; first += kMaxTileInputs) {
      const int64_t n_inputs = std::min<int64_t>(kMaxTileInputs, call.n_rows - first);
      for (int64_t row = begin * tile_rows; row < end * tile_rows; row += tile_rows) {
        run_tile(call, linear, row, std::min(tile_rows, rows - row), first, n_inputs, scratch,
                 padded);
      }
    }
    if (end > begin) n -= end - begin;
    begin = std::max<int64_t>(0, begin - n_tiles);
  }
}

}  // namespace

void MatmulScratch::reserve(int64_t n_rows, int64_t in_features, int n_workers) {
  const auto round_up = [](size_t bytes) { return (bytes + 63) / 64 * 64; };
  const auto grow = [](Buffer& buffer, size_t bytes) {
    if (buffer.size() < bytes) buffer = Buffer(bytes);
  };
  const size_t blocks = static_cast<size_t>(n_rows * ((in_features + kBlock - 1) / kBlock));
  const size_t padded_rows = static_cast<size_t>(in_features) * sizeof(float) * kMaxTileRows;
  worker_bytes_ = std::max(worker_bytes_, round_up(sizeof(TileScratch) + padded_rows));
  grow(activations_, blocks * sizeof(QuantizedBlock));
  grow(workers_, worker_bytes_ * static_cast<size_t>(n_workers));
}

void matmul(ThreadPool& pool, MatmulScratch& scratch, Target target, const float* x, int64_t n_rows,
            std::span<const Linear> linears) {
  if (linears.empty() || n_rows == 0) return;
  const int64_t cols = linears[0].weight->cols;
  scratch.reserve(n_rows, cols, pool.size());
  auto* quantized = reinterpret_cast<QuantizedBlock*>(scratch.activations());
  const Call call = {kernels_for(target), x, quantized, n_rows, cols, linears};
  const int64_t tile_rows = call.kernels.tile_rows;

  bool quantize = false;
  int64_t n_tiles = 0;
  for (const Linear& linear : linears) {
    TIDAL_CHECK(linear.weight->cols == cols, "the linears of a call share their input");
    quantize |= !is_float(linear.weight->dtype);
    n_tiles += (linear.weight->rows + tile_rows - 1) / tile_rows;
  }
  if (quantize) quantize_rows(pool, call, quantized);

  // A task is some consecutive tiles of the list of all linears' tiles.
  const int64_t tiles_per_task = std::max<int64_t>(1, n_tiles / (int64_t{16} * pool.size()));
  pool.run((n_tiles + tiles_per_task - 1) / tiles_per_task, [&](int64_t task, int worker) {
    run_tiles(call, task * tiles_per_task, tiles_per_task, scratch.worker(worker));
  });
}

}  // namespace tidal::cpu
#endif  // HWY_ONCE

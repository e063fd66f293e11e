// Products of many rows of x (a prompt); included by matmul_variant-inl.h only.
//
// A few blocks of a tile are decoded into the first-level cache, then multiplied with up to
// kMaxInputs rows of x at a time. Bound by the dot product instruction.

template <class Format, int g = 0>
HWY_INLINE void decode_unit(Unit unit, DecodedPanel* out, int b) {
  Block block;
  Format::template load<g>(unit, &block);
  for (int j = 0; j < kBlock / 4; ++j) {
    auto* codes = reinterpret_cast<uint32_t*>(out->codes[b + g][j]);
    hn::Store(block.codes[j], du, codes + unit.lane);
  }
  for (int group = 0; group < Format::kGroups; ++group) {
    hn::Store(block.scales[group], df, out->scales[b + g][group] + unit.lane);
  }
  if constexpr (Format::kHasMin) hn::Store(block.min, df, out->mins[b + g] + unit.lane);
  if constexpr (g + 1 < Format::kUnitBlocks) decode_unit<Format, g + 1>(unit, out, b);
}

// dot[vector][input] += the dot of decoded words [first, first + n) of block b with those of x.
template <int kInputs>
HWY_INLINE void add_dots(const DecodedPanel* panels, int b, int first, int n,
                         const QuantizedBlock* x, int64_t x_stride, VI (*dot)[kInputs]) {
  const auto load_codes = [&](int v, int j) HWY_ATTR {
    const auto* codes = reinterpret_cast<const uint32_t*>(panels[v / kParts].codes[b][j]);
    return hn::Load(du, codes + v % kParts * kLanes);
  };
#if TIDAL_VNNI
  for (int half = 0; half < 2; ++half) {  // high bytes, then low ones
    HWY_UNROLL(8)
    for (int j = first; j < first + n; ++j) {
      VU codes[kVectors];
      for (int v = 0; v < kVectors; ++v) codes[v] = load_codes(v, j);
      HWY_UNROLL(8)
      for (int i = 0; i < kInputs; ++i) {
        const VI four = broadcast(x[i * x_stride].bits + half * kBlock + 4 * j);
        for (int v = 0; v < kVectors; ++v) dot[v][i] = dot_bytes(dot[v][i], codes[v], four);
      }
    }
    if (half == 0) {
      for (int v = 0; v < kVectors; ++v) {
        for (int i = 0; i < kInputs; ++i) dot[v][i] = hn::ShiftLeft<8>(dot[v][i]);
      }
    }
  }
#else
  HWY_UNROLL(8)
  for (int j = first; j < first + n; ++j) {
    VI even[kVectors], odd[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      even[v] = even_bytes(load_codes(v, j));
      odd[v] = odd_bytes(load_codes(v, j));
    }
    HWY_UNROLL(8)
    for (int i = 0; i < kInputs; ++i) {
      const uint8_t* q = x[i * x_stride].bits + 8 * j;
      const VI x_even = broadcast(q), x_odd = broadcast(q + 4);
      for (int v = 0; v < kVectors; ++v) {
        dot[v][i] = dot_pairs(dot_pairs(dot[v][i], even[v], x_even), odd[v], x_odd);
      }
    }
  }
#endif
}

// Adds n_blocks decoded blocks to the sums of kInputs rows of x. x: block 0 of the panels in the
// first row, x_stride blocks to the next row.
template <class Format, int kInputs>
HWY_INLINE void add_blocks(const DecodedPanel* panels, int n_blocks, const QuantizedBlock* x,
                           int64_t x_stride, float (*sums)[kMaxTileRows]) {
  constexpr int kWords = kBlock / 4 / Format::kGroups;
  VF sum[kVectors][kInputs];
  for (int v = 0; v < kVectors; ++v) {
    for (int i = 0; i < kInputs; ++i) sum[v][i] = hn::Load(df, sums[i] + v * kLanes);
  }
  for (int b = 0; b < n_blocks; ++b, ++x) {
    for (int group = 0; group < Format::kGroups; ++group) {
      VI dot[kVectors][kInputs];
      for (int v = 0; v < kVectors; ++v) {
        for (int i = 0; i < kInputs; ++i) dot[v][i] = hn::Zero(di);
      }
      add_dots<kInputs>(panels, b, group * kWords, kWords, x, x_stride, dot);
      HWY_UNROLL(8)
      for (int i = 0; i < kInputs; ++i) {
        const VI start = start_of_dot<Format>(x[i * x_stride], group);
        const VF x_scale = hn::Set(df, x[i * x_stride].scale);
        for (int v = 0; v < kVectors; ++v) {
          const float* scales = panels[v / kParts].scales[b][group] + v % kParts * kLanes;
          const VI exact = hn::Add(dot[v][i], start);
          const VF product = hn::Mul(hn::ConvertTo(df, exact), x_scale);
          sum[v][i] = hn::MulAdd(product, hn::Load(df, scales), sum[v][i]);
        }
      }
    }
    if constexpr (Format::kHasMin) {
      HWY_UNROLL(8)
      for (int i = 0; i < kInputs; ++i) {
        const VF x_sum = hn::Set(df, x[i * x_stride].sum);
        for (int v = 0; v < kVectors; ++v) {
          const float* mins = panels[v / kParts].mins[b] + v % kParts * kLanes;
          sum[v][i] = hn::MulAdd(x_sum, hn::Load(df, mins), sum[v][i]);
        }
      }
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    for (int i = 0; i < kInputs; ++i) hn::Store(sum[v][i], df, sums[i] + v * kLanes);
  }
}

// The same for float weights.
template <int kInputs>
HWY_INLINE void add_columns(const DecodedPanel* panels, int n_columns, const float* x,
                            int64_t x_stride, float (*sums)[kMaxTileRows]) {
  VF sum[kVectors][kInputs];
  for (int v = 0; v < kVectors; ++v) {
    for (int i = 0; i < kInputs; ++i) sum[v][i] = hn::Load(df, sums[i] + v * kLanes);
  }
  for (int first = 0; first < n_columns; first += kRun) {
    VF part[kVectors][kInputs];
    for (int v = 0; v < kVectors; ++v) {
      for (int i = 0; i < kInputs; ++i) part[v][i] = hn::Zero(df);
    }
    const int end = HWY_MIN(first + kRun, n_columns);
    for (int k = first; k < end; ++k) {
      HWY_UNROLL(8)
      for (int i = 0; i < kInputs; ++i) {
        const VF value = hn::Set(df, x[i * x_stride + k]);
        for (int v = 0; v < kVectors; ++v) {
          const float* weights = panels[v / kParts].values[k] + v % kParts * kLanes;
          part[v][i] = hn::MulAdd(value, hn::Load(df, weights), part[v][i]);
        }
      }
    }
    for (int v = 0; v < kVectors; ++v) {
      for (int i = 0; i < kInputs; ++i) sum[v][i] = hn::Add(sum[v][i], part[v][i]);
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    for (int i = 0; i < kInputs; ++i) hn::Store(sum[v][i], df, sums[i] + v * kLanes);
  }
}

// Calls add.operator()<n>(first) for runs of n <= kInputs rows that cover [first, n_inputs).
template <int kInputs, class Add>
HWY_INLINE void for_inputs(int64_t first, int64_t n_inputs, const Add& add) {
  for (; first + kInputs <= n_inputs; first += kInputs) add.template operator()<kInputs>(first);
  if constexpr (kInputs > 1) for_inputs<(kInputs > 4 ? 4 : kInputs / 2)>(first, n_inputs, add);
}

template <class Format>
void multiply_many_quantized(const Tile& tile, TileScratch* scratch) {
  constexpr int kUnitBlocks = Format::kUnitBlocks;
  constexpr int kBytes = kPanelRows * Format::kUnitBytes;
  const int n_blocks = static_cast<int>(tile.cols / kBlock);
  for (int first = 0; first < n_blocks; first += kDecodedBlocks) {
    const int n = HWY_MIN(kDecodedBlocks, n_blocks - first);
    for (int b = 0; b < n; b += kUnitBlocks) {
      HWY_UNROLL(1)  // unrolled, the decoders of superblocks would outgrow the instruction cache
      for (int v = 0; v < kVectors; ++v) {
        const uint8_t* p = tile.panels[v / kParts] + int64_t{(first + b) / kUnitBlocks} * kBytes;
        if (v % kParts == 0) prefetch(p, kBytes);
        decode_unit<Format>({p, v % kParts * kLanes}, scratch->panels + v / kParts, b);
      }
    }
    const QuantizedBlock* x = tile.quantized + first;
    for_inputs<kMaxInputs>(0, tile.n_inputs, [&]<int kInputs>(int64_t i) {
      add_blocks<Format, kInputs>(scratch->panels, n, x + i * n_blocks, n_blocks,
                                  scratch->sums + i);
    });
  }
}

template <class Format>
void multiply_many_float(const Tile& tile, TileScratch* scratch) {
  constexpr int kBytes = kPanelRows * Format::kBytes;
  for (int64_t first = 0; first < tile.cols; first += kDecodedColumns) {
    const int n = static_cast<int>(HWY_MIN(kDecodedColumns, tile.cols - first));
    for (int v = 0; v < kVectors; ++v) {
      const uint8_t* p = tile.panels[v / kParts] + first * kBytes;
      const int lane = v % kParts * kLanes;
      if (lane == 0) prefetch(p, n * kBytes);
      float(*values)[kPanelRows] = scratch->panels[v / kParts].values;
      for (int k = 0; k < n; ++k) {
        hn::Store(Format::load({p + k * kBytes, lane}), df, values[k] + lane);
      }
    }
    for_inputs<kMaxInputs>(0, tile.n_inputs, [&]<int kInputs>(int64_t i) {
      add_columns<kInputs>(scratch->panels, n, tile.x + i * tile.cols + first, tile.cols,
                           scratch->sums + i);
    });
  }
}

// Products of one row of x, and of up to kFewInputs; included by matmul_variant-inl.h only.
//
// A block of weights is decoded into registers and multiplied with every row of x, so weights are
// read once. One row keeps its sums in registers too; several keep them in the first-level cache,
// where working through the rows of x in turn hides the round trip.

// The integer dot of a group's columns.
template <class Format>
HWY_INLINE VI dot_group(const VU* codes, const QuantizedBlock& x, int group) {
  constexpr int kWords = kBlock / 4 / Format::kGroups;
  const int first = group * kWords;
#if TIDAL_VNNI
  VI high = hn::Zero(di), low = start_of_dot<Format>(x, group);
  HWY_UNROLL(8)
  for (int j = first; j < first + kWords; ++j) {
    high = dot_bytes(high, codes[j], broadcast(x.bits + 4 * j));
    low = dot_bytes(low, codes[j], broadcast(x.bits + kBlock + 4 * j));
  }
  return hn::Add(hn::ShiftLeft<8>(high), low);
#else
  VI dot = start_of_dot<Format>(x, group);
  HWY_UNROLL(8)
  for (int j = first; j < first + kWords; ++j) {
    dot = dot_pairs(dot, even_bytes(codes[j]), broadcast(x.bits + 8 * j));
    dot = dot_pairs(dot, odd_bytes(codes[j]), broadcast(x.bits + 8 * j + 4));
  }
  return dot;
#endif
}

// sum + a decoded block times a block of one row of x.
template <class Format>
HWY_INLINE VF add_block(const Block& block, const QuantizedBlock& x, VF sum) {
  HWY_UNROLL(2)
  for (int group = 0; group < Format::kGroups; ++group) {
    const VI dot = dot_group<Format>(block.codes, x, group);
    const VF product = hn::Mul(hn::ConvertTo(df, dot), hn::Set(df, x.scale));
    sum = hn::MulAdd(product, block.scales[group], sum);
  }
  if constexpr (Format::kHasMin) sum = hn::MulAdd(hn::Set(df, x.sum), block.min, sum);
  return sum;
}

// Blocks g and later of a unit times one row of x.
template <class Format, int g = 0>
HWY_INLINE VF add_unit(Unit unit, const QuantizedBlock* x, VF sum) {
  Block block;
  Format::template load<g>(unit, &block);
  sum = add_block<Format>(block, x[g], sum);
  if constexpr (g + 1 < Format::kUnitBlocks) sum = add_unit<Format, g + 1>(unit, x, sum);
  return sum;
}

// The same for n rows of x, x_stride blocks apart, with their sums in the first-level cache.
template <class Format, int g = 0>
HWY_INLINE void add_unit_few(Unit unit, const QuantizedBlock* x, int64_t x_stride, int64_t n,
                             float (*sums)[kMaxTileRows]) {
  Block block;
  Format::template load<g>(unit, &block);
  for (int64_t i = 0; i < n; ++i) {
    float* sum = sums[i] + unit.lane;
    hn::Store(add_block<Format>(block, x[i * x_stride + g], hn::Load(df, sum)), df, sum);
  }
  if constexpr (g + 1 < Format::kUnitBlocks) {
    add_unit_few<Format, g + 1>(unit, x, x_stride, n, sums);
  }
}

template <class Format>
void multiply_one_quantized(const Tile& tile, TileScratch* scratch) {
  constexpr int kBytes = kPanelRows * Format::kUnitBytes;
  for (int panel = 0; panel < tile.n_panels; ++panel) {
    VF sum[kParts];
    for (int part = 0; part < kParts; ++part) sum[part] = hn::Zero(df);
    const QuantizedBlock* x = tile.quantized;
    const QuantizedBlock* const end = x + tile.cols / kBlock;
    const uint8_t* p = tile.panels[panel];
    for (; x != end; x += Format::kUnitBlocks, p += kBytes) {
      prefetch(p, kBytes);
      for (int part = 0; part < kParts; ++part) {
        sum[part] = add_unit<Format>({p, part * kLanes}, x, sum[part]);
      }
    }
    for (int part = 0; part < kParts; ++part) {
      hn::Store(sum[part], df, scratch->sums[0] + panel * kPanelRows + part * kLanes);
    }
  }
}

template <class Format>
void multiply_few_quantized(const Tile& tile, TileScratch* scratch) {
  constexpr int kBytes = kPanelRows * Format::kUnitBytes;
  const int64_t n_blocks = tile.cols / kBlock;
  for (int panel = 0; panel < tile.n_panels; ++panel) {
    const uint8_t* p = tile.panels[panel];
    auto* sums = reinterpret_cast<float(*)[kMaxTileRows]>(scratch->sums[0] + panel * kPanelRows);
    for (int64_t b = 0; b < n_blocks; b += Format::kUnitBlocks, p += kBytes) {
      prefetch(p, kBytes);
      for (int part = 0; part < kParts; ++part) {
        add_unit_few<Format>({p, part * kLanes}, tile.quantized + b, n_blocks, tile.n_inputs, sums);
      }
    }
  }
}

// Not a lambda: one with an attribute would get the target's features from clang, but not the
// variant's.
template <class Format>
HWY_INLINE VF add_column(VF run, const uint8_t* column, int lane, float x) {
  return hn::MulAdd(hn::Set(df, x), Format::load({column, lane}), run);
}

template <class Format>
void multiply_one_float(const Tile& tile, TileScratch* scratch) {
  constexpr int kBytes = kPanelRows * Format::kBytes;
  for (int panel = 0; panel < tile.n_panels; ++panel) {
    VF sum[kParts];
    for (int part = 0; part < kParts; ++part) sum[part] = hn::Zero(df);
    for (int64_t first = 0; first < tile.cols; first += kRun) {
      const uint8_t* p = tile.panels[panel] + first * kBytes;
      prefetch(p, kRun * kBytes);
      const int n = static_cast<int>(HWY_MIN(kRun, tile.cols - first));
      for (int part = 0; part < kParts; ++part) {
        VF run = hn::Zero(df);
        if (n == kRun) {
          HWY_UNROLL(8)
          for (int k = 0; k < kRun; ++k) {
            run = add_column<Format>(run, p + k * kBytes, part * kLanes, tile.x[first + k]);
          }
        } else {
          for (int k = 0; k < n; ++k) {
            run = add_column<Format>(run, p + k * kBytes, part * kLanes, tile.x[first + k]);
          }
        }
        sum[part] = hn::Add(sum[part], run);
      }
    }
    for (int part = 0; part < kParts; ++part) {
      hn::Store(sum[part], df, scratch->sums[0] + panel * kPanelRows + part * kLanes);
    }
  }
}

template <class Format>
void multiply_few_float(const Tile& tile, TileScratch* scratch) {
  constexpr int kBytes = kPanelRows * Format::kBytes;
  for (int panel = 0; panel < tile.n_panels; ++panel) {
    for (int64_t first = 0; first < tile.cols; first += kRun) {
      const uint8_t* p = tile.panels[panel] + first * kBytes;
      prefetch(p, kRun * kBytes);
      const int n = static_cast<int>(HWY_MIN(kRun, tile.cols - first));
      for (int part = 0; part < kParts; ++part) {
        VF weights[kRun];
        for (int k = 0; k < n; ++k) weights[k] = Format::load({p + k * kBytes, part * kLanes});
        for (int64_t i = 0; i < tile.n_inputs; ++i) {
          const float* x = tile.x + i * tile.cols + first;
          VF run = hn::Zero(df);
          if (n == kRun) {
            HWY_UNROLL(8)
            for (int k = 0; k < kRun; ++k) run = hn::MulAdd(hn::Set(df, x[k]), weights[k], run);
          } else {
            for (int k = 0; k < n; ++k) run = hn::MulAdd(hn::Set(df, x[k]), weights[k], run);
          }
          float* sum = scratch->sums[i] + panel * kPanelRows + part * kLanes;
          hn::Store(hn::Add(hn::Load(df, sum), run), df, sum);
        }
      }
    }
  }
}

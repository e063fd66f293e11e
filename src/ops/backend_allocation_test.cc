// No operation allocates once reserve() has seen the largest shapes.

#include "ops/summaries_test_util.h"
#include "testing/allocations/allocation_counter.h"

namespace tidal::test {
namespace {

constexpr HeadShape kShape{9, 3, 64, DType::kF16, DType::kF16};
constexpr int64_t kContext = 1500;
constexpr int32_t kSequences = 5;
constexpr int64_t kChunk = 24;
constexpr int64_t kRows = 3 + kMaxStepQueries + kChunk;

template <typename Operation>
int64_t allocations(Operation&& operation) {
  const int64_t before = allocation_count();
  operation();
  return allocation_count() - before;
}

class AllocationTest : public BackendTest {
 protected:
  AllocationTest()
      : backend_(make(limits_for(kShape, kContext, kSequences, kRows), 3)),
        cache_(kShape, kContext, 1),
        q_(random_normal(static_cast<size_t>(kRows * kShape.q_width()), 2)),
        out_(q_.size()) {}

  void SetUp() override {
    if (GetParam() == "poison") GTEST_SKIP() << "staging allocates";
  }

  std::unique_ptr<Backend> backend_;
  TestCache cache_;
  Floats q_, out_;
};
TIDAL_FOR_EVERY_BACKEND(AllocationTest);

TEST_P(AllocationTest, CountsAllocations) {
  EXPECT_GT(allocations([] { Floats some(1000); }), 0);
}

TEST_P(AllocationTest, DenseOperations) {
  constexpr int64_t kWidth = 512;  // of the reserved 576
  const Floats values = random_normal(96 * kWidth, 3);
  Floats product(kRows * 96);
  for (DType type : {
#define TIDAL_FORMAT(name, ggml_type, block_size, block_bytes) DType::k##name,
#include "tensor/formats.def"
#undef TIDAL_FORMAT
       }) {
    std::vector<std::byte> bytes(dtype_row_bytes(type, 96 * kWidth));
    encode_row(type, values.data(), bytes.data(), 96 * kWidth);
    const Weight weight{.dtype = type, .rows = 96, .cols = kWidth, .data = bytes.data()};
    std::vector<std::byte> panel_bytes;
    const Weight panels = in_panels(weight, &panel_bytes);
    const bool use_panels = backend_->weight_layout() == WeightLayout::kPanels;
    const Weight& multiplied = use_panels ? panels : weight;
    const Linear linears[] = {{.weight = &multiplied, .out = product.data()},
                              {.weight = &multiplied, .out = product.data(), .accumulate = true}};
    for (int64_t n_rows : {int64_t{1}, int64_t{kSequences}, kRows}) {
      EXPECT_EQ(allocations([&] { backend_->matmul(q_.data(), n_rows, linears); }), 0)
          << dtype_name(type) << ", " << n_rows << " rows";
    }
    const int32_t ids[] = {5, 95, 0};
    EXPECT_EQ(allocations([&] { backend_->embed(weight, ids, out_.data()); }), 0);
  }
  EXPECT_EQ(allocations([&] {
              backend_->rms_norm(q_.data(), values.data(), kRows, 576, 1e-5f, out_.data());
              backend_->rope(out_.data(), kRows, 9, 64, values.data(), RopePairing::kHalves);
              backend_->swiglu(out_.data(), q_.data(), kRows * 576);
            }),
            0);
}

TEST_P(AllocationTest, AttentionOperations) {
  const TestSelection per_head(std::vector<std::vector<int32_t>>(9, random_list(kContext, 300, 4)));
  const TestSelection shared({random_list(kContext, 700, 5)});
  Floats scores(9 * kContext), sums(static_cast<size_t>(kRows) * 9);
  Floats page_scores(9 * 94);
  TestSummaries bounds(cache_, 16), blocks(cache_, 64);
  RowsRead rows;
  AttendItem item{.q = q_.data(),
                  .out = out_.data(),
                  .n_heads = 9,
                  .first_position = kContext - 1,
                  .kv = cache_.view(),
                  .log_sum_exp = sums.data(),
                  .rows = &rows};
  std::vector<AttendItem> items(5, item);
  items[0].scores = scores.data();
  items[1].selection = &per_head.get();
  items[2].selection = &shared.get();
  items[3].n_queries = kMaxStepQueries;
  items[3].first_position = kContext - kMaxStepQueries;
  items[4].kind = AttendKind::kChunk;
  items[4].n_queries = kChunk;
  items[4].first_position = kContext - kChunk;
  for (size_t i = 1; i < 4; ++i) items[i].out += i * 576;
  items[4].out += (3 + kMaxStepQueries) * 576;
  const AppendItem append{.k = q_.data(),
                          .v = q_.data() + kChunk * 192,
                          .n_rows = kChunk,
                          .first_position = kContext - kChunk,
                          .kv = cache_.view()};
  const ScoreItem score{
      .q = q_.data(), .n_heads = 9, .kv = cache_.view(), .scores = scores.data(), .rows = &rows};
  const PageBoundsItem update{.kv = cache_.view(), .bounds = bounds.view(kContext)};
  const ScorePagesItem pages{.q = q_.data(),
                             .bounds = bounds.view(kContext),
                             .n_heads = 9,
                             .n_kv_heads = 3,
                             .head_dim = 64,
                             .n_pages = 94,
                             .scores = page_scores.data(),
                             .rows = &rows};
  const BlockSumsItem block_sums{
      .kv = cache_.view(), .end_row = kContext, .sums = blocks.view(kContext)};
  const AttendRestItem rest{.q = q_.data(),
                            .out = out_.data(),
                            .log_sum_exp = sums.data(),
                            .sums = blocks.view(kContext),
                            .n_heads = 9,
                            .n_kv_heads = 3,
                            .head_dim = 64,
                            .end_row = kContext,
                            .rows = &rows};
  EXPECT_EQ(allocations([&] { backend_->append({&append, 1}); }), 0);
  EXPECT_EQ(allocations([&] { backend_->attend(items); }), 0);
  EXPECT_EQ(allocations([&] { backend_->score({&score, 1}); }), 0);
  EXPECT_EQ(allocations([&] { backend_->update_page_bounds({&update, 1}); }), 0);
  EXPECT_EQ(allocations([&] { backend_->score_pages({&pages, 1}); }), 0);
  EXPECT_EQ(allocations([&] { backend_->update_block_sums({&block_sums, 1}); }), 0);
  EXPECT_EQ(allocations([&] { backend_->attend_rest({&rest, 1}); }), 0);
}

TEST_P(AllocationTest, TopK) {
  const Floats scores = random_normal(9 * kContext, 6);
  for (HeadScope scope : {HeadScope::kQueryHead, HeadScope::kKvHead, HeadScope::kAll}) {
    for (Pooling pooling : {Pooling::kRaw, Pooling::kSoftmax}) {
      TestSelection selection(list_count(scope, 9, 3), 256);
      const TopKItem item{.scores = scores.data(),
                          .n_heads = 9,
                          .n_kv_heads = 3,
                          .n_candidates = kContext,
                          .scope = scope,
                          .pooling = pooling,
                          .budget = 256,
                          .sinks = 4,
                          .recent = 32,
                          .n_rows = kContext,
                          .selection = &selection.get()};
      EXPECT_EQ(allocations([&] { backend_->top_k({&item, 1}); }), 0);
    }
  }
}

}  // namespace
}  // namespace tidal::test

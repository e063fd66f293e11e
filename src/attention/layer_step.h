// LayerStep: what one sequence does in one layer of one decode step. Its method decides,
// AttentionRunner carries it out.
//
// One way of reading rows, optionally followed by the means of blocks of the rest. What a step
// points to belongs to the sequence's state and lives until its next step.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "kv/sequence_summaries.h"
#include "ops/selection.h"

namespace tidal {

// The candidates with the largest scores, for each list: see TopKItem.
struct Picking {
  HeadScope scope = HeadScope::kAll;
  Pooling pooling = Pooling::kRaw;
  int64_t budget = 0;  // in rows; when picking pages, in pages
  int64_t sinks = 0;
  int64_t recent = 0;
  Selection picks;  // where they go
};

struct ReadAll {};

// Attends to everything and keeps the scores for picking; later layers read the picks.
struct ReadAllAndPick {
  Picking pick;
};

// Scores all rows, reading only K, and attends to its picks.
struct PickAndRead {
  Picking pick;
};

// Scores blocks of rows by their bounds and attends to the rows of the blocks it picks.
struct PickPagesAndRead {
  Picking pick;
  SequenceSummaries* bounds = nullptr;
};

// Attends to these rows.
struct ReadSelection {
  Selection rows;
};

// Rows before end_row, except those the sums skip, are also read as means of blocks.
struct ReadMeans {
  SequenceSummaries* sums = nullptr;
  int64_t end_row = 0;
};

struct LayerStep {
  std::variant<ReadAll, ReadAllAndPick, PickAndRead, PickPagesAndRead, ReadSelection> read;
  std::optional<ReadMeans> rest;
};

}  // namespace tidal

// LayerStep: what one sequence does in one layer of one decode step, as its method says and
// AttentionRunner carries it out.
//
// One of the few things a layer can do; beside it, the means of blocks of the rest. What a step
// points to belongs to the sequence's state and lives until its next step.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "kv/sequence_summaries.h"
#include "ops/selection.h"

namespace tidal {

// The candidates of every list with the largest scores: see TopKItem.
struct Picking {
  HeadScope scope = HeadScope::kAll;
  Pooling pooling = Pooling::kRaw;
  int64_t budget = 0;  // rows; of pages, pages
  int64_t sinks = 0;
  int64_t recent = 0;
  Selection picks;  // where they go
};

struct ReadAll {};

// Attends to everything; the scores are kept on the way, and layers after it read the picks.
struct ReadAllAndPick {
  Picking pick;
};

// Scores all rows, which reads K alone, and attends to its picks.
struct PickAndRead {
  Picking pick;
};

// Scores blocks of rows by their bounds and attends to the rows of those it picks.
struct PickPagesAndRead {
  Picking pick;
  SequenceSummaries* bounds = nullptr;
};

// Attends to these rows.
struct ReadSelection {
  Selection rows;
};

// Rows before end_row, but for those that the sums skip, are read as means of blocks too.
struct ReadMeans {
  SequenceSummaries* sums = nullptr;
  int64_t end_row = 0;
};

struct LayerStep {
  std::variant<ReadAll, ReadAllAndPick, PickAndRead, PickPagesAndRead, ReadSelection> read;
  std::optional<ReadMeans> rest;
};

}  // namespace tidal

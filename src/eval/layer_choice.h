// Which layers should select: the sets that recover the most attention mass, by dynamic programming
// (the idea of Kascade's anchor layers, arXiv 2512.16391). Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tidal {

// The share of layer j's attention mass held by the rows that layer i picked, i <= j; i == j: by
// its own picks.
struct RecoveredMass {
  int32_t n_layers = 0;
  std::vector<double> shares;  // [n_layers (i), n_layers (j)]

  explicit RecoveredMass(int32_t n)
      : n_layers(n), shares(static_cast<size_t>(n) * static_cast<size_t>(n)) {}
  double& at(int32_t i, int32_t j) { return shares[index(i, j)]; }
  double at(int32_t i, int32_t j) const { return shares[index(i, j)]; }

 private:
  size_t index(int32_t i, int32_t j) const {
    return static_cast<size_t>(i) * static_cast<size_t>(n_layers) + static_cast<size_t>(j);
  }
};

// (1 - weight) * a + weight * b.
RecoveredMass mix(const RecoveredMass& a, const RecoveredMass& b, double weight);

struct LayerChoice {
  std::vector<int32_t> select;  // ascending
  double recovered = 0;         // mean over the layers that are not full
};

// The mean recovered mass of one set. A sparse layer reads the nearest selecting layer before it;
// with `own` a selecting layer reads its own picks, else everything. The first layer that is not
// full selects. `full` and `select` ascend.
double mean_recovered(const RecoveredMass& mass, std::span<const int32_t> full,
                      std::span<const int32_t> select, bool own);

// The n_best sets of n_select layers, best first, ties in lexicographic order; fewer if there are
// no more. n_select is at least 1 and at most the number of layers that are not full.
std::vector<LayerChoice> choose_layers(const RecoveredMass& mass, std::span<const int32_t> full,
                                       int32_t n_select, bool own, size_t n_best);

}  // namespace tidal

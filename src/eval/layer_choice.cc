#include "eval/layer_choice.h"

#include <algorithm>

#include "base/check.h"

namespace tidal {
namespace {

// The layers that are not full.
std::vector<int32_t> thin_layers(int32_t n_layers, std::span<const int32_t> full) {
  std::vector<int32_t> thin;
  for (int32_t layer = 0; layer < n_layers; ++layer) {
    if (!std::binary_search(full.begin(), full.end(), layer)) thin.push_back(layer);
  }
  return thin;
}

// What thin[first .. end) recovers when its first layer selects for all of them.
double segment(const RecoveredMass& mass, std::span<const int32_t> thin, size_t first, size_t end,
               bool own) {
  const int32_t source = thin[first];
  double sum = own ? mass.at(source, source) : 1.0;
  for (size_t i = first + 1; i < end; ++i) sum += mass.at(source, thin[i]);
  return sum;
}

bool better(const LayerChoice& a, const LayerChoice& b) {
  return a.recovered != b.recovered ? a.recovered > b.recovered : a.select < b.select;
}

void keep_best(std::vector<LayerChoice>& choices, size_t n) {
  std::sort(choices.begin(), choices.end(), better);
  if (choices.size() > n) choices.resize(n);
}

}  // namespace

RecoveredMass mix(const RecoveredMass& a, const RecoveredMass& b, double weight) {
  TIDAL_CHECK(a.n_layers == b.n_layers);
  RecoveredMass result(a.n_layers);
  for (size_t i = 0; i < result.shares.size(); ++i) {
    result.shares[i] = (1 - weight) * a.shares[i] + weight * b.shares[i];
  }
  return result;
}

double mean_recovered(const RecoveredMass& mass, std::span<const int32_t> full,
                      std::span<const int32_t> select, bool own) {
  const std::vector<int32_t> thin = thin_layers(mass.n_layers, full);
  TIDAL_CHECK(!thin.empty() && !select.empty() && select.front() == thin.front());
  double sum = 0;
  for (size_t i = 0; i < select.size(); ++i) {
    const auto at = [&](int32_t layer) {
      return static_cast<size_t>(std::lower_bound(thin.begin(), thin.end(), layer) - thin.begin());
    };
    sum += segment(mass, thin, at(select[i]),
                   i + 1 < select.size() ? at(select[i + 1]) : thin.size(), own);
  }
  return sum / static_cast<double>(thin.size());
}

std::vector<LayerChoice> choose_layers(const RecoveredMass& mass, std::span<const int32_t> full,
                                       int32_t n_select, bool own, size_t n_best) {
  const std::vector<int32_t> thin = thin_layers(mass.n_layers, full);
  TIDAL_CHECK(n_select >= 1 && n_select <= std::ssize(thin), "{} of {} layers", n_select,
              thin.size());
  // best[s]: the best ways to place the selecting layers so far, with the last one at thin[s];
  // their recovered mass is the sum over the layers before it.
  std::vector<std::vector<LayerChoice>> best(thin.size());
  best[0] = {{{thin[0]}, 0.0}};
  for (int32_t placed = 1; placed < n_select; ++placed) {
    std::vector<std::vector<LayerChoice>> next(thin.size());
    for (size_t s = 0; s < thin.size(); ++s) {
      if (best[s].empty()) continue;
      for (size_t t = s + 1; t < thin.size(); ++t) {
        const double gain = segment(mass, thin, s, t, own);
        for (const LayerChoice& choice : best[s]) {
          LayerChoice& longer = next[t].emplace_back(choice);
          longer.select.push_back(thin[t]);
          longer.recovered += gain;
        }
      }
    }
    for (std::vector<LayerChoice>& choices : next) keep_best(choices, n_best);
    best = std::move(next);
  }
  std::vector<LayerChoice> all;
  for (size_t s = 0; s < thin.size(); ++s) {
    for (LayerChoice& choice : best[s]) {
      choice.recovered += segment(mass, thin, s, thin.size(), own);
      choice.recovered /= static_cast<double>(thin.size());
      all.push_back(std::move(choice));
    }
  }
  keep_best(all, n_best);
  return all;
}

}  // namespace tidal

// A token that may be drawn, and the order of tokens: the likelier first, of equal ones the smaller
// id.
#pragma once

#include <cstdint>

namespace tidal {

struct Candidate {
  float logit;
  int32_t id;
};

inline bool likelier(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

}  // namespace tidal

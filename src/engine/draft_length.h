// DraftLength: how many tokens to draft before the next verification, from measured times.
//
// A round of n drafts costs n draft steps and a verification of n + 1 rows, and brings as many
// tokens as were right plus one. The length with the most tokens a second is taken, and 0 where
// full attention's own steps are as fast; then a round of one draft is tried now and again, ever
// more rarely, so that trying costs less than two parts in a hundred. The times are those of whole
// steps of the engine, whatever runs in them: they follow the batch and the context as these
// change.
#pragma once

#include <cstdint>

#include "runtime/sequence.h"

namespace tidal {

class DraftLength {
 public:
  // Drafts of the next round, at most `most`. acceptance: how often a draft was right, of late.
  int32_t choose(double acceptance, int32_t most = kMostDrafts);
  // The same for drafts that cost nothing but their rows of the verification.
  int32_t choose_free(double acceptance, int32_t most = kMostDrafts) const;

  // A step in which all that decodes drafted, or verified so many rows each.
  void drafted(double seconds);
  void verified(double rows, double seconds);

  // Of a step of full attention; 0: not measured yet.
  double step_seconds() const { return step_.seconds; }

 private:
  // A mean that forgets.
  struct Mean {
    double seconds = 0;
    bool known = false;
    void add(double value);
  };

  int32_t best(double acceptance, int32_t most, double draft_seconds) const;

  Mean step_;                    // a verification of one row
  Mean draft_;                   // a draft step
  Mean row_;                     // what each further row adds to a verification
  int32_t pause_ = kFirstPause;  // rounds of no drafts between two that try one
  int32_t rounds_ = 0;           // since the last one that tried, or that measured a step

  static constexpr int32_t kFirstPause = 64;
  static constexpr int32_t kLongestPause = 1024;
};

}  // namespace tidal

#include "engine/draft_length.h"

#include <algorithm>

namespace tidal {
namespace {

constexpr double kWeight = 0.25;      // of a new time
constexpr double kWorthwhile = 1.02;  // so many times as fast as without drafts
constexpr int32_t kFreshRounds = 64;  // after these a step is measured again

}  // namespace

void DraftLength::Mean::add(double value) {
  seconds = known ? (1 - kWeight) * seconds + kWeight * value : value;
  known = true;
}

void DraftLength::drafted(double seconds) { draft_.add(seconds); }

void DraftLength::verified(double rows, double seconds) {
  if (rows <= 1) return step_.add(seconds);
  if (step_.known) row_.add(std::max(0.0, seconds - step_.seconds) / (rows - 1));
}

// Of n drafts, each is right with this probability if those before it were.
int32_t DraftLength::best(double acceptance, int32_t most, double draft_seconds) const {
  int32_t best = 0;
  double rate = kWorthwhile / step_.seconds;
  double tokens = 1, right = 1;
  for (int32_t n = 1; n <= most; ++n) {
    tokens += right *= acceptance;
    const double this_rate = tokens / (step_.seconds + n * (draft_seconds + row_.seconds));
    if (this_rate <= rate) continue;
    rate = this_rate;
    best = n;
  }
  return best;
}

int32_t DraftLength::choose(double acceptance, int32_t most) {
  if (!step_.known || most == 0) return 0;
  ++rounds_;
  if (draft_.known && row_.known) {
    const int32_t n = best(acceptance, most, draft_.seconds);
    if (n > 0) pause_ = kFirstPause;
    if (n > 0 && rounds_ < kFreshRounds) return n;
    if (n == 0 && rounds_ < pause_) return 0;
    rounds_ = 0;
    if (n > 0) return 0;  // measures a step
    pause_ = std::min(2 * pause_, kLongestPause);
  }
  return 1;
}

int32_t DraftLength::choose_free(double acceptance, int32_t most) const {
  if (!step_.known) return 0;
  return row_.known ? best(acceptance, most, 0) : std::min<int32_t>(most, 1);
}

}  // namespace tidal

// tidal eval: what a method costs in quality. One file per evaluation: eval_NAME.cc.

#include "cli/eval_common.h"

namespace tidal::cli {

void add_eval(CLI::App& app, Work& work) {
  CLI::App* eval = app.add_subcommand("eval", "Measure what a method costs in quality");
  eval->require_subcommand(1);
  eval->footer("Example: tidal eval ppl -f book.txt --max-tokens 4096 --prefill 2048");
  add_eval_ppl(*eval, work);
  add_eval_kld(*eval, work);
  add_eval_needle(*eval, work);
  add_eval_recall(*eval, work);
}

}  // namespace tidal::cli

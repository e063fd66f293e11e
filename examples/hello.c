// hello MODEL [PROMPT]: continues a prompt and says which share of the cache was read.
#include <stdio.h>
#include <string.h>

#include "tidal/tidal.h"

static int hello(tidal_engine* engine, const tidal_options* options, const char* prompt) {
  int32_t* tokens = NULL;
  size_t n_tokens = 0;
  tidal_request* request = NULL;
  if (tidal_encode(engine, prompt, strlen(prompt), &tokens, &n_tokens) != TIDAL_OK) return 1;
  const tidal_status status = tidal_submit(engine, options, tokens, n_tokens, &request);
  tidal_free(tokens);
  if (status != TIDAL_OK) return 1;

  tidal_event event = TIDAL_EVENT_WORKING;
  while (event != TIDAL_EVENT_DONE) {
    const char* text = NULL;
    size_t size = 0;
    if (tidal_next(request, &event, &text, &size) != TIDAL_OK) break;
    fwrite(text, 1, size, stdout);
    fflush(stdout);
  }
  printf("\n");
  tidal_request_tokens(request, &n_tokens);
  fprintf(stderr, "%zu tokens, %s read %.1f %% of the cache rows\n", n_tokens,
          tidal_request_text(request, TIDAL_METHOD, NULL),
          100 * tidal_request_number(request, TIDAL_ROWS_SHARE));
  tidal_request_free(request);
  return event == TIDAL_EVENT_DONE ? 0 : 1;
}

int main(int argc, char** argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: %s MODEL [PROMPT]\n", argv[0]);
    return 2;
  }
  tidal_options* options = tidal_options_new();
  tidal_engine* engine = NULL;
  int failed = tidal_options_set(options, "model", argv[1]) != TIDAL_OK ||
               tidal_options_set(options, "max_tokens", "16") != TIDAL_OK ||
               tidal_options_set(options, "temperature", "0") != TIDAL_OK ||
               tidal_engine_new(options, &engine) != TIDAL_OK ||
               hello(engine, options, argc > 2 ? argv[2] : "Once upon a time") != 0;
  if (failed) fprintf(stderr, "error: %s\n", tidal_last_error());
  tidal_engine_free(engine);
  tidal_options_free(options);
  return failed;
}

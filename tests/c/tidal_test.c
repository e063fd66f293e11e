// The C interface from C11, against the built library: tidal_test MODEL.
#include "tidal/tidal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidal/version.h"

static int failures = 0;

#define EXPECT(condition)                                                                      \
  do {                                                                                         \
    if (!(condition)) {                                                                        \
      fprintf(stderr, "%s:%d: not so: %s\n  last error: %s\n", __FILE__, __LINE__, #condition, \
              tidal_last_error());                                                             \
      ++failures;                                                                              \
    }                                                                                          \
  } while (0)

static tidal_options* options_for(const char* model) {
  tidal_options* options = tidal_options_new();
  EXPECT(tidal_options_set(options, "model", model) == TIDAL_OK);
  EXPECT(tidal_options_set(options, "context_size", "256") == TIDAL_OK);
  EXPECT(tidal_options_set(options, "max_sequences", "2") == TIDAL_OK);
  EXPECT(tidal_options_set(options, "threads", "1") == TIDAL_OK);
  EXPECT(tidal_options_set(options, "temperature", "0") == TIDAL_OK);
  EXPECT(tidal_options_set(options, "max_tokens", "12") == TIDAL_OK);
  EXPECT(tidal_options_set(options, "ignore_eos", "true") == TIDAL_OK);
  return options;
}

static void options_refuse_what_they_do_not_know(void) {
  tidal_options* options = tidal_options_new();
  EXPECT(tidal_options_set(options, "no_such_option", "1") == TIDAL_NOT_FOUND);
  EXPECT(strstr(tidal_last_error(), "no_such_option") != NULL);
  EXPECT(tidal_options_set(options, "top_p", "2") == TIDAL_INVALID_ARGUMENT);
  EXPECT(strcmp(tidal_last_error_option(), "top_p") == 0);
  EXPECT(strstr(tidal_last_error(), "'2' is not above 0 and at most 1") != NULL);
  EXPECT(tidal_options_set(options, "method", "magic") == TIDAL_INVALID_ARGUMENT);
  EXPECT(strcmp(tidal_last_error_option(), "method") == 0);
  EXPECT(tidal_options_set(options, NULL, "1") == TIDAL_INVALID_ARGUMENT);
  EXPECT(tidal_options_set(NULL, "top_p", "1") == TIDAL_INVALID_ARGUMENT);
  EXPECT(strcmp(tidal_last_error_option(), "") == 0);
  tidal_options_free(options);
}

static void engines_refuse_what_is_no_model(void) {
  tidal_engine* engine = NULL;
  tidal_options* options = tidal_options_new();
  EXPECT(tidal_engine_new(options, &engine) == TIDAL_INVALID_ARGUMENT);
  EXPECT(strcmp(tidal_last_error_option(), "model") == 0);
  EXPECT(tidal_options_set(options, "model", "/no/such/model.gguf") == TIDAL_OK);
  EXPECT(tidal_engine_new(options, &engine) == TIDAL_NOT_FOUND);
  EXPECT(strstr(tidal_last_error(), "/no/such/model.gguf") != NULL);
  EXPECT(tidal_engine_new(NULL, &engine) == TIDAL_INVALID_ARGUMENT);
  EXPECT(engine == NULL);
  tidal_options_free(options);
}

static void text_and_tokens_go_both_ways(const tidal_engine* engine) {
  const char* text = "Once upon a time";
  int32_t* tokens = NULL;
  size_t n_tokens = 0;
  char* back = NULL;
  size_t size = 0;
  EXPECT(tidal_encode(engine, text, strlen(text), &tokens, &n_tokens) == TIDAL_OK);
  EXPECT(n_tokens > 0);
  EXPECT(tidal_decode(engine, tokens, n_tokens, &back, &size) == TIDAL_OK);
  EXPECT(size == strlen(back));
  EXPECT(strstr(back, text) != NULL);
  tidal_free(back);
  tidal_free(tokens);
}

static tidal_request* submit(tidal_engine* engine, const tidal_options* options,
                             const char* prompt) {
  int32_t* tokens = NULL;
  size_t n_tokens = 0;
  tidal_request* request = NULL;
  EXPECT(tidal_encode(engine, prompt, strlen(prompt), &tokens, &n_tokens) == TIDAL_OK);
  EXPECT(tidal_submit(engine, options, tokens, n_tokens, &request) == TIDAL_OK);
  EXPECT(request == NULL || tidal_request_number(request, TIDAL_PROMPT_TOKENS) == (double)n_tokens);
  tidal_free(tokens);
  return request;
}

// The text of the events is the text of the request; numbers come with the end.
static void a_request_streams_its_text(tidal_engine* engine, const tidal_options* options) {
  tidal_request* request = submit(engine, options, "Once upon a time");
  char streamed[4096] = "";
  int n_texts = 0;
  int n_prompts = 0;
  tidal_event event = TIDAL_EVENT_WORKING;
  while (event != TIDAL_EVENT_DONE) {
    const char* text = NULL;
    size_t size = 0;
    if (tidal_next(request, &event, &text, &size) != TIDAL_OK) break;
    if (event != TIDAL_EVENT_DONE) {
      EXPECT(*tidal_request_text(request, TIDAL_FINISH_REASON, NULL) == 0);
    }
    EXPECT(strlen(text) == size);
    strncat(streamed, text, sizeof streamed - strlen(streamed) - 1);
    n_texts += event == TIDAL_EVENT_TEXT;
    n_prompts += event == TIDAL_EVENT_PROMPT;
  }
  size_t size = 0;
  size_t n_tokens = 0;
  EXPECT(event == TIDAL_EVENT_DONE);
  EXPECT(strcmp(streamed, tidal_request_text(request, TIDAL_TEXT, &size)) == 0);
  EXPECT(size == strlen(streamed) && size > 0);
  EXPECT(tidal_request_tokens(request, &n_tokens) != NULL);
  EXPECT(n_tokens == 12 && n_texts >= 12);
  EXPECT(n_prompts == 2);  // what is reused, and the one chunk
  EXPECT(strcmp(tidal_request_text(request, TIDAL_FINISH_REASON, NULL), "length") == 0);
  EXPECT(strcmp(tidal_request_text(request, TIDAL_METHOD, NULL), "tidal") == 0);
  EXPECT(*tidal_request_text(request, TIDAL_PLAN, NULL) != 0);
  EXPECT(*tidal_request_text(request, TIDAL_ERROR, NULL) == 0);
  const double read = tidal_request_number(request, TIDAL_ROWS_READ);
  const double total = tidal_request_number(request, TIDAL_ROWS_TOTAL);
  EXPECT(read > 0 && read <= total);
  EXPECT(fabs(tidal_request_number(request, TIDAL_ROWS_SHARE) - read / total) < 1e-12);
  EXPECT(tidal_request_number(request, TIDAL_PROMPT_READ) ==
         tidal_request_number(request, TIDAL_PROMPT_TOKENS));
  EXPECT(tidal_request_number(request, TIDAL_PREFILL_MS) > 0);
  EXPECT(tidal_request_number(request, TIDAL_DECODE_MS) > 0);
  EXPECT(tidal_request_number(request, TIDAL_DRAFTED) == 0);
  EXPECT(tidal_request_number(request, TIDAL_ACCEPTED) == 0);
  tidal_request_free(request);
}

// Whoever steps serves all requests.
static void two_requests_share_steps(tidal_engine* engine, const tidal_options* options) {
  tidal_request* first = submit(engine, options, "Once upon a time");
  tidal_request* second = submit(engine, options, "The little dog");
  EXPECT(tidal_run(first) == TIDAL_OK);
  tidal_event event = TIDAL_EVENT_WORKING;
  int n_texts = 0;
  while (tidal_next(second, &event, NULL, NULL) == TIDAL_OK && event == TIDAL_EVENT_PROMPT) {
  }
  EXPECT(event == TIDAL_EVENT_TEXT);  // made by the steps of the first
  for (; event != TIDAL_EVENT_DONE; ++n_texts) {
    if (tidal_next(second, &event, NULL, NULL) != TIDAL_OK) break;
  }
  EXPECT(n_texts >= 12);
  tidal_request_free(first);
  tidal_request_free(second);
}

static void a_request_can_be_cancelled(tidal_engine* engine, const tidal_options* options) {
  tidal_request* request = submit(engine, options, "Once upon a time");
  tidal_event event = TIDAL_EVENT_WORKING;
  while (event != TIDAL_EVENT_TEXT && tidal_next(request, &event, NULL, NULL) == TIDAL_OK) {
  }
  tidal_cancel(request);
  EXPECT(tidal_run(request) == TIDAL_OK);
  EXPECT(strcmp(tidal_request_text(request, TIDAL_FINISH_REASON, NULL), "cancelled") == 0);
  tidal_request_free(request);
}

static void requests_that_cannot_run_are_refused(tidal_engine* engine,
                                                 const tidal_options* options) {
  tidal_request* request = NULL;
  int32_t many[300] = {0};
  const int32_t none = -1;
  EXPECT(tidal_submit(engine, options, many, 0, &request) == TIDAL_INVALID_ARGUMENT);
  EXPECT(tidal_submit(engine, options, &none, 1, &request) == TIDAL_INVALID_ARGUMENT);
  EXPECT(tidal_submit(engine, options, many, 300, &request) == TIDAL_EXHAUSTED);
  EXPECT(strcmp(tidal_last_error_option(), "context_size") == 0);
  EXPECT(strstr(tidal_last_error(), "300") != NULL);
  EXPECT(request == NULL);
}

// Control tokens of the template surround the message.
static void messages_become_a_prompt(const tidal_engine* engine) {
  const char* role = "user";
  const char* content = "Hello";
  int32_t* tokens = NULL;
  size_t n_tokens = 0;
  EXPECT(tidal_encode_chat(engine, &role, &content, 1, "Well", &tokens, &n_tokens) == TIDAL_OK);
  char* text = NULL;
  size_t size = 0;
  EXPECT(tidal_decode(engine, tokens, n_tokens, &text, &size) == TIDAL_OK);
  EXPECT(strstr(text, "user\nHello") != NULL && strstr(text, "assistant\nWell") != NULL);
  tidal_free(text);
  tidal_free(tokens);
  content = NULL;
  tokens = NULL;
  EXPECT(tidal_encode_chat(engine, &role, &content, 1, NULL, &tokens, &n_tokens) ==
         TIDAL_INVALID_ARGUMENT);
  EXPECT(tokens == NULL);
}

static int count_then_stop(void* user, int64_t done, int64_t total) {
  int* calls = user;
  EXPECT(done <= total);
  return ++*calls < 3;
}

static void divergence_comes_as_json(tidal_engine* engine, const tidal_options* options) {
  const char* text = "Once upon a time there was a little dog.";
  int32_t* tokens = NULL;
  size_t n_tokens = 0;
  char* json = NULL;
  EXPECT(tidal_encode(engine, text, strlen(text), &tokens, &n_tokens) == TIDAL_OK);
  EXPECT(tidal_eval_kld(engine, options, "full,tidal", tokens, n_tokens, 8, NULL, NULL, &json) ==
         TIDAL_OK);
  EXPECT(strstr(json, "[{\"method\":\"full\"") == json);
  EXPECT(strstr(json, "{\"method\":\"tidal\"") != NULL);
  EXPECT(strstr(json, "\"complete\":true") != NULL);
  tidal_free(json);
  int calls = 0;
  EXPECT(tidal_eval_kld(engine, options, "tidal", tokens, n_tokens, 8, count_then_stop, &calls,
                        &json) == TIDAL_OK);
  EXPECT(calls == 3);
  EXPECT(strstr(json, "\"complete\":false") != NULL);
  tidal_free(json);
  json = NULL;
  EXPECT(tidal_eval_kld(engine, options, "magic", tokens, n_tokens, 8, NULL, NULL, &json) ==
         TIDAL_UNSUPPORTED);
  EXPECT(strcmp(tidal_last_error_option(), "method") == 0);
  EXPECT(tidal_eval_kld(engine, options, "full", tokens, n_tokens, n_tokens, NULL, NULL, &json) ==
         TIDAL_INVALID_ARGUMENT);
  EXPECT(json == NULL);
  tidal_free(tokens);
}

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: %s MODEL\n", argv[0]);
    return 2;
  }
  EXPECT(strcmp(tidal_version(), TIDAL_VERSION) == 0);
  options_refuse_what_they_do_not_know();
  engines_refuse_what_is_no_model();

  tidal_options* options = options_for(argv[1]);
  tidal_engine* engine = NULL;
  if (tidal_engine_new(options, &engine) != TIDAL_OK) {
    fprintf(stderr, "%s\n", tidal_last_error());
    return 1;
  }
  EXPECT(tidal_context_size(engine) == 256);
  EXPECT(tidal_trained_context(engine) > 0);
  EXPECT(*tidal_model_name(engine) != 0);
  text_and_tokens_go_both_ways(engine);
  a_request_streams_its_text(engine, options);
  two_requests_share_steps(engine, options);
  a_request_can_be_cancelled(engine, options);
  requests_that_cannot_run_are_refused(engine, options);
  messages_become_a_prompt(engine);
  divergence_comes_as_json(engine, options);

  // A request outlives its engine.
  tidal_request* request = submit(engine, options, "Once upon a time");
  tidal_engine_free(engine);
  EXPECT(tidal_run(request) == TIDAL_OK);
  EXPECT(strcmp(tidal_request_text(request, TIDAL_FINISH_REASON, NULL), "cancelled") == 0);
  tidal_request_free(request);
  tidal_options_free(options);
  tidal_engine_free(NULL);
  tidal_request_free(NULL);
  tidal_options_free(NULL);
  tidal_free(NULL);
  return failures == 0 ? 0 : 1;
}

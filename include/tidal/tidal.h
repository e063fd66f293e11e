// tidal for C and, through it, for other languages. This interface is binary compatible within a
// major version: structs are opaque, enumerations and functions are only ever added to.
//
//   tidal_options* options = tidal_options_new();
//   tidal_engine* engine = NULL;
//   if (tidal_options_set(options, "model", "model.gguf") != TIDAL_OK ||
//       tidal_engine_new(options, &engine) != TIDAL_OK) {
//     fprintf(stderr, "error: %s\n", tidal_last_error());
//   }
//
// Status: every function that can fail returns TIDAL_OK or says what went wrong through
// tidal_last_error(); what it was to give is then unchanged. No C++ exception leaves it.
// Memory: *_new and tidal_submit give objects, to be freed by their *_free; arrays of tokens and
// texts given through a pointer to a pointer are freed by tidal_free(). Everything else belongs to
// the object it was asked of and holds until that is freed, an event's text until the next event.
// *_free and tidal_free take NULL.
// Threads: an engine and its requests may be used from any thread. One step runs at a time, and
// whichever thread runs it serves all requests; other threads wait for it. An options object is
// for one thread at a time.
// Text is UTF-8, with its size in bytes where it may hold zeros.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "tidal/export.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tidal_status {
  TIDAL_OK = 0,
  TIDAL_INVALID_ARGUMENT = 1,  // an option, request or plan that cannot be carried out
  TIDAL_NOT_FOUND = 2,         // no such file, key, tensor or name
  TIDAL_IO = 3,                // the operating system refused
  TIDAL_CORRUPT = 4,           // a file breaks its own format
  TIDAL_UNSUPPORTED = 5,       // well-formed, but not something tidal knows
  TIDAL_EXHAUSTED = 6,         // out of cache pages, memory or a bound on work
  TIDAL_INTERNAL = 7           // a fault of tidal
} tidal_status;

typedef struct tidal_options tidal_options;  // what may be chosen for an engine and its requests
typedef struct tidal_engine tidal_engine;    // a loaded model and its cache
typedef struct tidal_request tidal_request;  // one prompt and what comes of it

TIDAL_EXPORT const char* tidal_version(void);  // "0.2.0"

// Of this thread's last call that failed: one line that says what failed, where and what to do,
// with options as `name`.
TIDAL_EXPORT const char* tidal_last_error(void);
// The name of the option at fault, or "".
TIDAL_EXPORT const char* tidal_last_error_option(void);
TIDAL_EXPORT void tidal_free(void* memory);

// The names, values and defaults are in docs/options.md; "stop" may be set repeatedly.
TIDAL_EXPORT tidal_options* tidal_options_new(void);
TIDAL_EXPORT tidal_status tidal_options_set(tidal_options* options, const char* name,
                                            const char* value);
TIDAL_EXPORT void tidal_options_free(tidal_options* options);

// Loads the model. The options are copied and may be freed.
TIDAL_EXPORT tidal_status tidal_engine_new(const tidal_options* options, tidal_engine** engine);
// Ends what still runs, with the finish reason "cancelled". Requests stay to be read and freed.
TIDAL_EXPORT void tidal_engine_free(tidal_engine* engine);
TIDAL_EXPORT const char* tidal_model_name(const tidal_engine* engine);
TIDAL_EXPORT int64_t tidal_context_size(const tidal_engine* engine);     // tokens the cache holds
TIDAL_EXPORT int64_t tidal_trained_context(const tidal_engine* engine);  // made for that many

// Text to tokens, with the model's own begin token; control tokens in the text stay text.
TIDAL_EXPORT tidal_status tidal_encode(const tidal_engine* engine, const char* text, size_t size,
                                       int32_t** tokens, size_t* n_tokens);
// n messages in the model's chat template, open for the assistant's answer, which begins with
// answer_prefix (may be NULL). roles[i] is system, user or assistant.
TIDAL_EXPORT tidal_status tidal_encode_chat(const tidal_engine* engine, const char* const* roles,
                                            const char* const* contents, size_t n,
                                            const char* answer_prefix, int32_t** tokens,
                                            size_t* n_tokens);
// Tokens to text; *text ends with a zero that *size does not count.
TIDAL_EXPORT tidal_status tidal_decode(const tidal_engine* engine, const int32_t* tokens,
                                       size_t n_tokens, char** text, size_t* size);

// Queues a request. Of the options those about attention and generation count; the ones about the
// model are the engine's. Fails when the request can never run.
TIDAL_EXPORT tidal_status tidal_submit(tidal_engine* engine, const tidal_options* options,
                                       const int32_t* tokens, size_t n_tokens,
                                       tidal_request** request);
// Ends the request at the next step, with what it has.
TIDAL_EXPORT void tidal_cancel(tidal_request* request);
// Also cancels it. Not while another thread is in a call with this request.
TIDAL_EXPORT void tidal_request_free(tidal_request* request);

typedef enum tidal_event {
  TIDAL_EVENT_WORKING = 0,  // nothing new yet
  TIDAL_EVENT_PROMPT = 1,   // more of the prompt was read: TIDAL_PROMPT_READ
  TIDAL_EVENT_TEXT = 2,     // a token came: text is complete UTF-8 and may be empty
  TIDAL_EVENT_DONE = 3      // the request has ended
} tidal_event;

// The next that came of a request. Runs one step of the engine when nothing is there yet, so it
// returns soon: between two calls a caller may cancel, draw or look for Ctrl-C. text and size may
// be NULL.
TIDAL_EXPORT tidal_status tidal_next(tidal_request* request, tidal_event* event, const char** text,
                                     size_t* size);
// Runs until the request has ended.
TIDAL_EXPORT tidal_status tidal_run(tidal_request* request);

typedef enum tidal_text {
  TIDAL_TEXT = 0,           // what was generated
  TIDAL_FINISH_REASON = 1,  // stop, length, cancelled, error
  TIDAL_ERROR = 2,          // with the finish reason "error": what and why
  TIDAL_METHOD = 3,
  TIDAL_PLAN = 4
} tidal_text;

typedef enum tidal_number {
  TIDAL_PROMPT_TOKENS = 0,
  TIDAL_PROMPT_READ = 1,    // of the prompt, so far
  TIDAL_REUSED_TOKENS = 2,  // of the prompt, from earlier requests
  TIDAL_CORRECTIONS = 3,    // KV cache corrections done
  TIDAL_ROWS_READ = 4,      // of the cache by decode steps, K and V, all layers and KV heads
  TIDAL_ROWS_TOTAL = 5,     // what full attention would have read
  TIDAL_ROWS_SHARE = 6,     // the one over the other
  TIDAL_PREFILL_MS = 7,     // from the first chunk to the first token
  TIDAL_DECODE_MS = 8,      // from the first token to the last
  TIDAL_DRAFTED = 9,        // tokens, of a lossless request
  TIDAL_ACCEPTED = 10       // ... that full attention said too
} tidal_number;

// Of a request whose TIDAL_EVENT_DONE has come, or tidal_run() returned; before that they are empty
// and 0, but for the first two numbers. size and n_tokens may be NULL.
TIDAL_EXPORT const char* tidal_request_text(const tidal_request* request, tidal_text which,
                                            size_t* size);
TIDAL_EXPORT double tidal_request_number(const tidal_request* request, tidal_number which);
// The tokens generated, the end-of-generation token excluded.
TIDAL_EXPORT const int32_t* tidal_request_tokens(const tidal_request* request, size_t* n_tokens);

// Called now and then with what is done and what there is to do; 0 ends the work early.
typedef int (*tidal_progress)(void* user, int64_t done, int64_t total);

// How far methods are from full attention on a text: the first n_prompt tokens are read with full
// attention, every later one by each of the methods, whose names are in `methods`, separated by
// commas; options give plan, budget and the rest for all of them. *json gets an array with an
// object for each method, with what `tidal eval kld --json` prints of it, of the tokens done when
// `progress` (may be NULL) ended it early. Uses a cache of its own.
TIDAL_EXPORT tidal_status tidal_eval_kld(tidal_engine* engine, const tidal_options* options,
                                         const char* methods, const int32_t* tokens,
                                         size_t n_tokens, size_t n_prompt, tidal_progress progress,
                                         void* user, char** json);

#ifdef __cplusplus
}
#endif

// hello MODEL [PROMPT]: continues a prompt and says which share of the cache was read.
#include <cstdio>
#include <string>

#include "tidal/engine.h"

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s MODEL [PROMPT]\n", argv[0]);
    return 2;
  }
  try {
    tidal::EngineOptions options;
    options.model = argv[1];
    tidal::Engine engine(options);

    tidal::Request request;
    request.prompt = engine.encode(argc > 2 ? argv[2] : "Once upon a time");
    request.max_tokens = 16;
    request.sampling.temperature = 0;
    request.on_token = [](const tidal::TokenEvent& event) {
      std::fwrite(event.text.data(), 1, event.text.size(), stdout);
      std::fflush(stdout);
    };
    const tidal::Completion completion = engine.run(std::move(request));
    std::printf("\n");
    std::fprintf(stderr, "%zu tokens, %s read %.1f %% of the cache rows\n",
                 completion.tokens.size(), completion.method.c_str(),
                 100 * completion.rows.share());
  } catch (const tidal::Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}

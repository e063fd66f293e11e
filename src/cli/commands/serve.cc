// tidal serve: an OpenAI-compatible server.

#include <fmt/format.h>
#include <poll.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <sstream>

#include "base/fail.h"
#include "base/log.h"
#include "base/parallel.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/generation.h"
#include "cli/inputs.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "server/call_fields.h"
#include "server/server.h"

namespace tidal::cli {
namespace {

constexpr int64_t kSlots = 8;  // without --parallel; then a request may use all of the cache

struct Flags {
  ModelFlags model;
  std::string hosts = "127.0.0.1";
  int port = 8080;
  int64_t parallel = 0;
  bool unified = false;
  std::string aliases;
  std::string tags;
  std::string api_keys;
  std::string api_key_file;
  bool no_auth = false;
  std::string cors_origins = "localhost";
  int64_t max_body_mib = 64;
  int64_t max_connections = 4096;
  int64_t timeout_s = 60;
  int64_t keepalive_json_s = 0;
  int64_t max_queue = 256;
  bool metrics = false;
  std::string metrics_names = "tidal,llamacpp";
  std::string kv_events;
  bool slots = true;
  bool jinja = true;
  std::string chat_template_file;
  std::string reasoning = "auto";
  std::string reasoning_format;
  bool verbose = false;
};

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

std::vector<std::string> api_keys(const Flags& flags) {
  std::vector<std::string> keys = split(flags.api_keys);
  if (!flags.api_key_file.empty()) {
    for (std::string& key : server::read_keys(flags.api_key_file)) keys.push_back(std::move(key));
  }
  if (keys.empty()) {
    if (const char* key = std::getenv("TIDAL_API_KEY")) keys = split(key);
  }
  return keys;
}

server::ServerOptions server_options(const Flags& flags, const EngineOptions& engine) {
  server::ServerOptions options;
  options.http.hosts = split(flags.hosts);
  options.http.port = static_cast<uint16_t>(flags.port);
  options.http.limits.body_bytes = static_cast<size_t>(flags.max_body_mib) << 20;
  options.http.limits.max_connections = static_cast<size_t>(flags.max_connections);
  options.http.limits.write_timeout = std::chrono::seconds(flags.timeout_s);
  options.access.api_keys = api_keys(flags);
  options.access.cors_origins = split(flags.cors_origins);
  options.access.host_names = options.http.hosts;
  options.service.defaults = flags.model;
  options.service.model_path = engine.model;
  const auto aliases = split(flags.aliases);
  const auto tags = split(flags.tags);
  options.service.aliases = {aliases.begin(), aliases.end()};
  options.service.tags = {tags.begin(), tags.end()};
  options.service.n_slots = engine.max_sequences;
  options.service.late = std::chrono::seconds(flags.keepalive_json_s);
  options.service.metrics = flags.metrics;
  const auto names = split(flags.metrics_names);
  options.service.metrics_names = {names.begin(), names.end()};
  options.service.slots = flags.slots;
  options.service.kv_events = flags.kv_events;
  options.service.reasoning = flags.reasoning;
  options.service.reasoning_format = flags.reasoning_format;
  options.service.verbose = flags.verbose;
  return options;
}

void check_exposure(const server::ServerOptions& options, bool no_auth) {
  if (options.http.hosts.empty()) throw UsageError("--host names no address");
  for (const std::string& host : options.http.hosts) {
    if (server::is_local_host(host) || no_auth || !options.access.api_keys.empty()) continue;
    throw UsageError(fmt::format(
        "--host {} can be reached from other machines: give --api-key or --api-key-file, or "
        "--no-auth to let everybody in",
        host));
  }
}

int64_t resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

void introduce(const Engine& engine, const server::Server& server, const Flags& flags,
               int32_t slots) {
  const std::vector<std::string> urls = server.urls();
  const ModelInfo info = engine.info();
  note("{}: {} tokens of context, {} requests at the same time", engine.model_name(),
       engine.context_size(), slots);
  note("memory: {} MiB of weights, {} MiB of cache once it is full, {} MiB in use so far",
       info.n_bytes >> 20, (info.token_bytes * engine.context_size()) >> 20,
       resident_bytes() >> 20);
  for (const std::string& url : urls) note("listening on {}", url);
  const std::string events = server.kv_events_endpoint();
  if (!events.empty()) note("publishing what is cached at {}", events);
  const std::string& url = urls.front();
  const std::string where = url.starts_with("unix:")
                                ? fmt::format("--unix-socket {} http://localhost", url.substr(5))
                                : url;
  const bool key = !api_keys(flags).empty();
  note("try: curl {}/v1/chat/completions {}-d '{}'", where,
       key ? "-H 'Authorization: Bearer KEY' " : "",
       R"({"messages": [{"role": "user", "content": "Hello"}]})");
}

void wait_for_interrupt() {
  while (!interrupted()) {
    pollfd ready{interrupt_fd(), POLLIN, 0};
    poll(&ready, 1, -1);
  }
}

int serve(Flags& flags) {
  EngineOptions& options = flags.model.engine;
  options.model = model_path(options.model);
  if (!flags.chat_template_file.empty()) {
    options.chat_template = read_text(flags.chat_template_file);
  }
  options.threads = thread_count(options.threads);
  options.max_queue = static_cast<int32_t>(flags.max_queue);
  options.max_sequences = static_cast<int32_t>(flags.parallel > 0 ? flags.parallel : kSlots);
  server::ServerOptions served = server_options(flags, options);
  check_exposure(served, flags.no_auth);
  catch_interrupts();

  std::unique_ptr<Engine> engine;  // outlives the server
  if (flags.parallel > 0 && !flags.unified && options.context_size > 0) {
    served.service.request_context = options.context_size / flags.parallel;
  }
  server::Server server(served);
  engine.reset(new Engine(load_engine(options)));
  server.attach(*engine);
  introduce(*engine, server, flags, options.max_sequences);
  wait_for_interrupt();
  note("finishing what runs; once more to end at once");
  server.drain();
  return kExitDone;
}

void add_network_flags(CLI::App& command, Flags& flags) {
  const std::string group = "Network";
  command.add_option("--host", flags.hosts, "Addresses or Unix sockets (*.sock), with commas")
      ->group(group)
      ->capture_default_str();
  command.add_option("--port", flags.port, "Port, 0: any that is free")
      ->group(group)
      ->check(whole_number(0, 65535))
      ->capture_default_str();
  command.add_option("--timeout", flags.timeout_s, "Seconds a client may take none of its answer")
      ->group(group)
      ->check(whole_number(1, 86400))
      ->capture_default_str();
  command
      .add_option("--keepalive-json", flags.keepalive_json_s,
                  "Seconds after which a reply that is not streamed begins with spaces, as status "
                  "200, so that clients wait on; 0: never")
      ->group(group)
      ->check(whole_number(0, 86400))
      ->capture_default_str();
  command.add_option("--max-body", flags.max_body_mib, "Largest request in MiB")
      ->group(group)
      ->check(whole_number(1, 4096))
      ->capture_default_str();
  command.add_option("--max-connections", flags.max_connections, "Connections at the same time")
      ->group(group)
      ->check(whole_number(1, 1'000'000))
      ->capture_default_str();
}

void add_access_flags(CLI::App& command, Flags& flags) {
  const std::string group = "Access";
  command.add_option("--api-key", flags.api_keys, "Keys, with commas; also TIDAL_API_KEY")
      ->group(group);
  command.add_option("--api-key-file", flags.api_key_file, "File with a key in each line")
      ->group(group);
  command.add_flag("--no-auth", flags.no_auth, "Let everybody in who reaches --host")->group(group);
  command
      .add_option("--cors-origins", flags.cors_origins,
                  "Pages that may use the server: localhost, origins with commas, or *")
      ->group(group)
      ->capture_default_str();
}

void add_serving_flags(CLI::App& command, Flags& flags) {
  const std::string group = "Serving";
  command
      .add_option("--parallel", flags.parallel,
                  "Requests decoded at the same time (short: -np); each may then use its share "
                  "of --ctx-size (default: 8, each may use all)")
      ->group(group)
      ->check(whole_number(1, 1024));
  command.add_flag("--kv-unified", flags.unified, "Each request may use all of --ctx-size")
      ->group(group);
  command
      .add_option("--batch-size", flags.model.engine.prefill_chunk,
                  "Tokens of a prompt run in one step (short: -b)")
      ->group(group)
      ->check(whole_number(1, 65536))
      ->capture_default_str();
  command.add_option("--alias", flags.aliases, "Name of the model, or several with commas")
      ->group(group);
  command.add_option("--tags", flags.tags, "Tags of the model for /v1/models, with commas")
      ->group(group);
  command.add_option("--max-queue", flags.max_queue, "Requests that may wait, 0: any number")
      ->group(group)
      ->check(whole_number(0))
      ->capture_default_str();
  command.add_flag("--metrics", flags.metrics, "GET /metrics for Prometheus")->group(group);
  command
      .add_option("--metrics-names", flags.metrics_names, "Whose names: of tidal, llamacpp, vllm")
      ->group(group)
      ->capture_default_str();
  command
      .add_option(
          "--kv-events", flags.kv_events,
          "Tell routers what is cached, at this ZeroMQ endpoint as vLLM does: "
          "tcp://127.0.0.1:5557, where whoever connects reads the prompts (default: nobody)")
      ->group(group);
  command.add_flag("--slots,!--no-slots", flags.slots, "GET /slots shows what runs (default)")
      ->group(group);
  command
      .add_option("--chat-template-file", flags.chat_template_file, "--chat-template from a file")
      ->group(group);
  command.add_option("--reasoning", flags.reasoning, "Whether models that can reason do so")
      ->group(group)
      ->check(CLI::IsMember({"on", "off", "auto"}))
      ->capture_default_str();
  command
      .add_option("--reasoning-format", flags.reasoning_format,
                  "none leaves reasoning in the text, deepseek gives it as reasoning_content")
      ->group(group)
      ->check(CLI::IsMember({"auto", "none", "deepseek"}));
  command
      .add_flag("--jinja,!--no-jinja", flags.jinja,
                "Taken for scripts of llama-server: templates are always Jinja")
      ->group(group);
  command
      .add_flag_callback(
          "-v,--verbose", [&flags] { init_logging(true), flags.verbose = true; },
          "More on stderr, and __verbose in replies")
      ->group(group);
}

}  // namespace

void add_serve(CLI::App& app, Work& work) {
  auto flags = std::make_shared<Flags>();
  flags->model.max_tokens = -1;
  CLI::App* command = app.add_subcommand("serve", "Serve the model to OpenAI's clients");
  command->footer("Example: tidal serve -m model.gguf -c 32768 --port 8080");
  add_network_flags(*command, *flags);
  add_access_flags(*command, *flags);
  add_serving_flags(*command, *flags);
  add_options(*command, OptionGroup::kGeneration, flags->model);
  command->get_option("--seed")->default_str("another for every request");
  flags->model.sampling.seed = server::kAnySeed;
  add_options(*command, OptionGroup::kAttention, flags->model);
  add_options(*command, OptionGroup::kDrafting, flags->model);
  add_options(*command, OptionGroup::kModel, flags->model);
  command->callback([flags, &work] { work = [flags] { return serve(*flags); }; });
}

}  // namespace tidal::cli

// tidal inspect: what a model file holds and what running it takes.

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "base/quote.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/inputs.h"
#include "cli/output.h"
#include "kv/page_pool.h"
#include "model/model.h"
#include "runtime/model_options.h"
#include "runtime/model_text.h"

namespace tidal::cli {
namespace {

struct Flags {
  ModelFlags model;
  bool metadata = false;
};

const std::set<int64_t> kContexts = {4096, 8192, 32768, 102400};

const char* scaling_name(RopeScaling scaling) {
  switch (scaling) {
    case RopeScaling::kNone:
      return "none";
    case RopeScaling::kLinear:
      return "linear";
    case RopeScaling::kYarn:
      return "yarn";
    case RopeScaling::kLlama3:
      return "llama3";
  }
  return "unknown";
}

Json tensor_types(const Model& model) {
  std::map<std::string, std::pair<int64_t, size_t>> types;  // count, bytes
  const auto add = [&](std::span<const TensorInfo> tensors) {
    for (const TensorInfo& tensor : tensors) {
      auto& [count, bytes] = types[std::string(dtype_name(tensor.dtype))];
      ++count;
      bytes += tensor.bytes;
    }
  };
  add(model.tensors());
  Json json = Json::object();
  for (const auto& [name, sizes] : types) {
    json[name] = {{"count", sizes.first}, {"bytes", sizes.second}};
  }
  return json;
}

Json describe(const Flags& flags, const Model& model) {
  const Config& config = model.config();
  const Tokenizer tokenizer = load_tokenizer(model);
  const bool has_template = load_chat_template(model, tokenizer).has_value();
  const WeightLayout layout = weight_layout(flags.model.engine);
  const size_t weight_memory = model.memory_bytes(layout);
  const size_t per_token = cache_bytes_per_token(config, flags.model.engine);
  const auto method = method_for(model, flags.model.method, flags.model.engine);
  Json memory = Json::array();
  std::set<int64_t> contexts = kContexts;
  if (flags.model.engine.context_size > 0) contexts.insert(flags.model.engine.context_size);
  for (const int64_t context : contexts) {
    memory.push_back({{"context", context},
                      {"cache_bytes", per_token * static_cast<size_t>(context)},
                      {"total_bytes", weight_memory + per_token * static_cast<size_t>(context)}});
  }
  return {{"path", model.path()},
          {"name", config.name},
          {"architecture", config.architecture},
          {"layers", config.n_layers()},
          {"d_model", config.d_model},
          {"heads", config.attention().n_heads},
          {"kv_heads", config.attention().n_kv_heads},
          {"head_dim", config.attention().head_dim},
          {"d_ff", config.layers.front().d_ff},
          {"vocab_size", config.vocab_size},
          {"context_length", config.context_length},
          {"rope",
           {{"theta", config.rope.theta},
            {"scaling", scaling_name(config.rope.scaling)},
            {"factor", config.rope.factor}}},
          {"tied_output", config.tied_output},
          {"weight_bytes", model.weight_bytes()},
          {"step_weight_bytes", model.step_weight_bytes()},
          {"reordered_bytes", model.reordered_bytes(layout)},
          {"weight_memory_bytes", weight_memory},
          {"tensor_types", tensor_types(model)},
          {"tokenizer",
           {{"vocab_size", tokenizer.vocab_size()},
            {"bos", tokenizer.bos()},
            {"eos", tokenizer.eos()},
            {"adds_bos", tokenizer.adds_bos()}}},
          {"chat_template", has_template},
          {"cache_bytes_per_token", per_token},
          {"memory", memory},
          {"method", method->name()},
          {"plan", method->plan_line()}};
}

double mib(const Json& bytes) { return bytes.get<double>() / (1 << 20); }

void print(const Json& d) {
  const auto line = [](std::string_view label, const std::string& value) {
    put("{:<16} {}\n", label, printable(value));
  };
  line("model",
       fmt::format("{} ({})", d["name"].get<std::string>(), d["architecture"].get<std::string>()));
  line("layers", fmt::format("{} x {} wide, feed-forward {}", d["layers"].get<int>(),
                             d["d_model"].get<int>(), d["d_ff"].get<int>()));
  line("heads", fmt::format("{} query, {} KV, {} wide", d["heads"].get<int>(),
                            d["kv_heads"].get<int>(), d["head_dim"].get<int>()));
  line("context", fmt::format("{} tokens trained, rope theta {:g}, scaling {}",
                              d["context_length"].get<int64_t>(), d["rope"]["theta"].get<double>(),
                              d["rope"]["scaling"].get<std::string>()));
  std::string types;
  for (const auto& [name, type] : d["tensor_types"].items()) {
    types += fmt::format("{}{} x {} ({:.1f} MiB)", types.empty() ? "" : ", ",
                         type["count"].get<int64_t>(), name, mib(type["bytes"]));
  }
  line("tensors", types);
  line("weights", fmt::format("{:.1f} MiB, {:.1f} MiB read per token", mib(d["weight_bytes"]),
                              mib(d["step_weight_bytes"])));
  if (d["reordered_bytes"].get<size_t>() > 0) {
    line("",
         fmt::format("{:.1f} MiB in memory: {:.1f} MiB are a reordered copy, the rest is mapped",
                     mib(d["weight_memory_bytes"]), mib(d["reordered_bytes"])));
  }
  line("tokenizer",
       fmt::format("{} tokens, begin {}, end {}", d["tokenizer"]["vocab_size"].get<int>(),
                   d["tokenizer"]["bos"].get<int>(), d["tokenizer"]["eos"].get<int>()));
  line("chat template", d["chat_template"].get<bool>() ? "yes" : "none");
  line("cache", fmt::format("{} bytes per token", d["cache_bytes_per_token"].get<int64_t>()));
  for (const Json& row : d["memory"]) {
    line("", fmt::format("{:>7} tokens: {:8.1f} MiB of cache, {:8.1f} MiB with the weights",
                         row["context"].get<int64_t>(), mib(row["cache_bytes"]),
                         mib(row["total_bytes"])));
  }
  line("method",
       fmt::format("{}  {}", d["method"].get<std::string>(), d["plan"].get<std::string>()));
}

int inspect(const Flags& flags) {
  const auto model = load_model(flags.model.engine);
  const Json description = describe(flags, *model);
  if (flags.model.json) {
    put_json(description);
    return kExitDone;
  }
  print(description);
  if (flags.metadata && model->gguf() != nullptr) {
    put("\n");
    for (const GgufLine& entry : model->gguf()->describe()) {
      put("{:<44} {:<16} {}\n", entry.key, entry.type, entry.value);
    }
  }
  return kExitDone;
}

}  // namespace

void add_inspect(CLI::App& app, Work& work) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("inspect", "What a model holds and what running it takes");
  command->footer("Example: tidal inspect model.gguf --metadata");
  command->add_option("MODEL", flags->model.engine.model, "The model (or -m)");
  command->add_flag("--metadata", flags->metadata, "Every metadata key of a GGUF file too");
  add_options(*command, OptionGroup::kAttention, flags->model);
  add_model_flags(*command, flags->model);
  command->callback([flags, &work] { work = [flags] { return inspect(*flags); }; });
}

}  // namespace tidal::cli

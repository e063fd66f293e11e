#include "chat/builtin_templates.h"

#include <algorithm>

namespace tidal {
namespace {

// The begin token is not in them: it comes with the tokens, as the tokenizer wants it.
constexpr BuiltinTemplate kTemplates[] = {
    {"chatml",
     "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + "
     "'<|im_end|>\\n' }}{% endfor %}"
     "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
     "<|im_end|>"},
    {"llama3",
     "{% for message in messages %}{{ '<|start_header_id|>' + message.role + "
     "'<|end_header_id|>\\n\\n' + message.content | trim + '<|eot_id|>' }}{% endfor %}"
     "{% if add_generation_prompt %}"
     "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}",
     "<|eot_id|>"},
    {"command-r",
     "{% set tokens = {'system': 'SYSTEM', 'user': 'USER', 'assistant': 'CHATBOT'} %}"
     "{% for message in messages %}{{ '<|START_OF_TURN_TOKEN|><|' + tokens[message.role] + "
     "'_TOKEN|>' + message.content | trim + '<|END_OF_TURN_TOKEN|>' }}{% endfor %}"
     "{% if add_generation_prompt %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{% endif %}",
     "<|END_OF_TURN_TOKEN|>"},
};

}  // namespace

const BuiltinTemplate* find_builtin_template(std::string_view name) {
  const auto* found = std::ranges::find(kTemplates, name, &BuiltinTemplate::name);
  return found == std::end(kTemplates) ? nullptr : found;
}

std::string builtin_template_names() {
  std::string names;
  for (const BuiltinTemplate& known : kTemplates) {
    names.append(names.empty() ? "" : ", ").append(known.name);
  }
  return names;
}

}  // namespace tidal

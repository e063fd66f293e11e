// Values as text: Python's str() and repr(), and JSON as json.dumps writes it.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "jinja/run.h"

namespace tidal::jinja {
namespace {

void append_escape(char32_t c, std::string* out) {
  if (c <= 0xFF) {
    *out += fmt::format("\\x{:02x}", static_cast<uint32_t>(c));
  } else if (c <= 0xFFFF) {
    *out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
  } else {
    *out += fmt::format("\\U{:08x}", static_cast<uint32_t>(c));
  }
}

void append_text_repr(Run& run, const JinjaText& text, JinjaText* out) {
  const std::string& s = text.str();
  run.read(s.size());
  const bool single = s.find('\'') == std::string::npos || s.find('"') != std::string::npos;
  const char quote = single ? '\'' : '"';
  std::string escaped(1, quote);
  for (size_t at = 0; at < s.size();) {
    const size_t n = character_length(s, at);
    const char32_t c = code_point_at(s, at);
    if (c == static_cast<unsigned char>(quote) || c == '\\') {
      escaped += '\\';
      escaped += s[at];
    } else if (c == '\n') {
      escaped += "\\n";
    } else if (c == '\r') {
      escaped += "\\r";
    } else if (c == '\t') {
      escaped += "\\t";
    } else if (!is_printable(c)) {
      append_escape(c, &escaped);
    } else {
      escaped.append(s, at, n);
    }
    at += n;
  }
  escaped += quote;
  run.allocate(escaped.size());
  out->append(escaped, text.has_content());
}

void append_repr(Run& run, const Value& value, JinjaText* out);

void append_list_repr(Run& run, const List& list, JinjaText* out) {
  if (list.kind > ListKind::kTuple) run.unsupported("printing a generator or a view of a dict");
  const bool is_tuple = list.kind == ListKind::kTuple;
  out->append(is_tuple ? "(" : "[", false);
  for (size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0) out->append(", ", false);
    append_repr(run, list.items[i], out);
  }
  if (is_tuple && list.items.size() == 1) out->append(",", false);
  out->append(is_tuple ? ")" : "]", false);
}

void append_repr(Run& run, const Value& value, JinjaText* out) {
  run.step();
  if (value.is_text()) {
    if (value.is_safe_text()) out->append("Markup(", false);
    append_text_repr(run, value.as_text(), out);
    if (value.is_safe_text()) out->append(")", false);
  } else if (value.is_list()) {
    append_list_repr(run, value.as_list(), out);
  } else if (value.is_dict()) {
    out->append("{", false);
    bool first = true;
    for (const auto& [key, item] : value.as_dict().entries) {
      if (!first) out->append(", ", false);
      first = false;
      append_repr(run, key, out);
      out->append(": ", false);
      append_repr(run, item, out);
    }
    out->append("}", false);
  } else if (value.is_undefined()) {
    out->append("Undefined", false);
  } else {
    out->append(to_text(run, value));
  }
}

}  // namespace

std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[40];
  const auto scientific =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  std::string text(buffer, scientific.ptr);
  const int exponent = std::atoi(text.c_str() + text.find('e') + 1);
  if (exponent < -4 || exponent >= 16) return text;
  char fixed[40];
  const auto result = std::to_chars(fixed, fixed + sizeof fixed, value, std::chars_format::fixed);
  text.assign(fixed, result.ptr);
  if (text.find('.') == std::string::npos) text += ".0";
  return text;
}

JinjaText to_text(Run& run, const Value& value) {
  if (value.is_text()) return value.as_text();
  JinjaText result;
  if (value.is_undefined()) return result;
  if (value.is_none()) {
    result.append("None", false);
  } else if (value.is<bool>()) {
    result.append(value.get<bool>() ? "True" : "False", false);
  } else if (value.is<int64_t>()) {
    result.append(std::to_string(value.get<int64_t>()), false);
  } else if (value.is<double>()) {
    result.append(float_repr(value.get<double>()), false);
  } else if (value.is_list() || value.is_dict()) {
    append_repr(run, value, &result);
  } else {
    run.unsupported("printing a {}", type_name(value));
  }
  run.allocate(result.size());
  return result;
}

namespace {

class JsonWriter {
 public:
  JsonWriter(Run& run, const JsonStyle& style) : run_(run), style_(style) {}

  void write(const Value& value, int level) {
    run_.step();
    if (value.is_text()) {
      write_string(value.as_text());
    } else if (value.is_list() && value.as_list().kind <= ListKind::kTuple) {
      const auto& items = value.as_list().items;
      write_group(items.size(), "[", "]", level, [&](size_t i) { write(items[i], level + 1); });
    } else if (value.is_dict()) {
      write_dict(value.as_dict(), level);
    } else if (value.is_none()) {
      out_.append("null", false);
    } else if (value.is<bool>()) {
      out_.append(value.get<bool>() ? "true" : "false", false);
    } else if (value.is<double>()) {
      write_float(value.get<double>());
    } else if (value.is<int64_t>()) {
      out_.append(std::to_string(value.get<int64_t>()), false);
    } else {
      run_.error("a {} cannot be written as JSON", type_name(value));
    }
  }

  JinjaText take() { return std::move(out_); }

 private:
  void write_float(double value) {
    if (std::isnan(value)) {
      out_.append("NaN", false);
    } else if (std::isinf(value)) {
      out_.append(value < 0 ? "-Infinity" : "Infinity", false);
    } else {
      out_.append(float_repr(value), false);
    }
  }

  void write_dict(const Dict& dict, int level) {
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.entries) entries.push_back(&entry);
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(), [&](const auto* a, const auto* b) {
        return compare(run_, a->first, b->first) < 0;
      });
    }
    write_group(entries.size(), "{", "}", level, [&](size_t i) {
      write_key(entries[i]->first);
      out_.append(style_.key_separator);
      write(entries[i]->second, level + 1);
    });
  }

  void write_key(const Value& key) {
    if (key.is_text()) return write_string(key.as_text());
    if (key.is_list() || key.is_dict()) run_.error("a {} cannot be a JSON key", type_name(key));
    out_.append("\"", false);
    write(key, 0);
    out_.append("\"", false);
  }

  template <typename F>
  void write_group(size_t n, const char* open, const char* close, int level, F&& write_item) {
    out_.append(open, false);
    for (size_t i = 0; i < n; ++i) {
      if (i > 0) out_.append(style_.item_separator);
      new_line(level + 1);
      write_item(i);
    }
    if (n > 0) new_line(level);
    out_.append(close, false);
  }

  void new_line(int level) {
    if (!style_.indent) return;
    out_.append("\n", false);
    run_.allocate(style_.indent->size() * static_cast<size_t>(level));
    for (int i = 0; i < level; ++i) out_.append(*style_.indent);
  }

  void write_string(const JinjaText& text) {
    const std::string& s = text.str();
    run_.allocate(2 * s.size());
    out_.append("\"", false);
    std::string escaped;
    for (size_t at = 0; at < s.size();) {
      const size_t n = character_length(s, at);
      escape(s, at, n, &escaped);
      at += n;
    }
    out_.append(escaped, text.has_content());
    out_.append("\"", false);
  }

  void escape(const std::string& s, size_t at, size_t n, std::string* out) const {
    static constexpr std::string_view kShort = "\"\"\\\\\nn\rr\tt\ff\bb";
    const char32_t c = code_point_at(s, at);
    for (size_t i = 0; i < kShort.size(); i += 2) {
      if (c == static_cast<unsigned char>(kShort[i])) {
        *out += '\\';
        *out += kShort[i + 1];
        return;
      }
    }
    if (c >= 0x20 && (c < 0x7F || !style_.ensure_ascii)) {
      out->append(s, at, n);
    } else if (c <= 0xFFFF) {
      *out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
    } else {
      const auto rest = static_cast<uint32_t>(c) - 0x10000;
      *out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF));
    }
  }

  Run& run_;
  const JsonStyle& style_;
  JinjaText out_;
};

}  // namespace

JinjaText to_json(Run& run, const Value& value, const JsonStyle& style) {
  JsonWriter writer(run, style);
  writer.write(value, 0);
  return writer.take();
}

}  // namespace tidal::jinja

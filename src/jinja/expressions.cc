#include <algorithm>

#include "jinja/interpreter.h"

namespace tidal::jinja {

Value Interpreter::evaluate(const Expr& expr) {
  const DepthGuard guard(run_);
  run_.line = expr.line;
  run_.step();
  const auto child = [&](size_t i) { return evaluate(*expr.children[i]); };
  switch (expr.kind) {
    case ExprKind::kConstant:
      return expr.constant;
    case ExprKind::kName:
      return evaluate_name(expr);
    case ExprKind::kList:
    case ExprKind::kTuple:
    case ExprKind::kDict:
      return evaluate_collection(expr);
    case ExprKind::kAttribute:
      return get_attribute(run_, child(0), expr.name);
    case ExprKind::kItem: {
      const Value object = child(0);
      return get_item(run_, object, child(1));
    }
    case ExprKind::kSlice:
      return evaluate_slice(expr);
    case ExprKind::kCall:
      return evaluate_call(expr);
    case ExprKind::kFilter:
      return evaluate_filter(expr);
    case ExprKind::kTest: {
      const Value value = child(0);
      const Arguments args = evaluate_arguments(expr);
      return Value(call_test(run_, expr.name, value, args));
    }
    case ExprKind::kNot:
      return Value(!truth(child(0)));
    case ExprKind::kNegative:
    case ExprKind::kPositive:
      return evaluate_sign(expr);
    case ExprKind::kAnd:
    case ExprKind::kOr: {
      Value left = child(0);
      return truth(left) == (expr.kind == ExprKind::kAnd) ? child(1) : left;
    }
    case ExprKind::kBinary: {
      const Value left = child(0);
      const Value right = child(1);
      run_.line = expr.line;
      return arithmetic(run_, expr.name, left, right);
    }
    case ExprKind::kCompare:
      return evaluate_compare(expr);
    case ExprKind::kConcat:
      return evaluate_concat(expr);
    case ExprKind::kRefused:
      run_.unsupported("{}", expr.name);
    case ExprKind::kConditional:
      if (truth(child(0))) return child(1);
      return expr.children[2] != nullptr ? child(2) : Value::undefined("the missing else");
  }
  run_.unsupported("this expression");
}

Value Interpreter::evaluate_name(const Expr& expr) {
  if (const Value* found = scope_->find(expr.name)) return *found;
  if (is_builtin(expr.name)) return Value(Builtin{expr.name});
  for (const char* special : {"self", "super"}) {
    if (expr.name == special) run_.unsupported("'{}'", expr.name);
  }
  return Value::undefined(expr.name);
}

Value Interpreter::evaluate_filter(const Expr& expr) {
  const Value value = evaluate(*expr.children[0]);
  const Arguments args = evaluate_arguments(expr);
  run_.line = expr.line;
  return call_filter(run_, expr.name, value, args);
}

Value Interpreter::evaluate_collection(const Expr& expr) {
  if (expr.kind != ExprKind::kDict) {
    std::vector<Value> items;
    for (const ExprPtr& child : expr.children) items.push_back(evaluate(*child));
    return run_.list(std::move(items),
                     expr.kind == ExprKind::kList ? ListKind::kList : ListKind::kTuple);
  }
  Dict dict;
  for (size_t i = 0; i < expr.children.size(); i += 2) {
    const Value key = evaluate(*expr.children[i]);
    Value value = evaluate(*expr.children[i + 1]);
    if (const Value* same = lookup(run_, dict, key)) {
      dict.entries[static_cast<size_t>(
                       std::find_if(dict.entries.begin(), dict.entries.end(),
                                    [&](const auto& entry) { return &entry.second == same; }) -
                       dict.entries.begin())]
          .second = std::move(value);
    } else {
      dict.entries.emplace_back(key, std::move(value));
    }
  }
  return run_.dict(std::move(dict.entries));
}

Value Interpreter::evaluate_slice(const Expr& expr) {
  const Value object = evaluate(*expr.children[0]);
  Value bounds[3] = {Value::none(), Value::none(), Value::none()};
  for (size_t i = 0; i < 3; ++i) {
    if (expr.children[i + 1] != nullptr) bounds[i] = evaluate(*expr.children[i + 1]);
  }
  return get_slice(run_, object, bounds[0], bounds[1], bounds[2]);
}

Arguments Interpreter::evaluate_arguments(const Expr& call) {
  Arguments args;
  for (size_t i = 1; i < call.children.size(); ++i) {
    args.positional.push_back(evaluate(*call.children[i]));
  }
  if (call.more_arguments) {
    for (Value& item : iterate(run_, evaluate(*call.more_arguments))) {
      args.positional.push_back(std::move(item));
    }
  }
  for (const auto& [name, value] : call.keywords) {
    args.keywords.emplace_back(name, evaluate(*value));
  }
  if (!call.more_keywords) return args;
  const Value more = evaluate(*call.more_keywords);
  if (!more.is_dict()) run_.error("** takes a dict, not {}", type_name(more));
  for (const auto& [key, value] : more.as_dict().entries) {
    if (!key.is_text()) run_.error("a keyword is a string, not {}", type_name(key));
    const auto given = [&name = key](const auto& k) { return k.first == name.str(); };
    if (std::ranges::any_of(args.keywords, given)) {
      run_.error("the keyword '{}' is given twice", key.str());
    }
    run_.step(static_cast<int64_t>(args.keywords.size() / 16) + 1);
    args.keywords.emplace_back(key.str(), value);
  }
  return args;
}

// namespace.name.append(item) and .pop(at), which Jinja's sandbox refuses and llama.cpp allows.
// Values do not change: the namespace gets another list. None: it is not such a call.
std::optional<Value> Interpreter::change_list(const Expr& call) {
  const std::string& method = call.children[0]->name;
  const Expr& place = *call.children[0]->children[0];
  const bool is_place =
      place.kind == ExprKind::kAttribute && place.children[0]->kind == ExprKind::kName;
  if (!is_place || (method != "append" && method != "pop")) return std::nullopt;
  const Value owner = evaluate(*place.children[0]);
  if (!owner.is<std::shared_ptr<Namespace>>()) return std::nullopt;
  Namespace& space = *owner.get<std::shared_ptr<Namespace>>();
  const auto is_list = [](const Value* value) {
    return value != nullptr && value->is_list() && value->as_list().kind == ListKind::kList;
  };
  if (!is_list(space.find(place.name))) return std::nullopt;
  const Arguments args = evaluate_arguments(call);  // may change the namespace
  Value* held = space.find(place.name);
  if (!is_list(held)) return std::nullopt;
  std::vector<Value> items = held->as_list().items;
  Value result = Value::none();
  if (method == "append") {
    items.push_back(*args.bind(run_, method, {"object"}, 1)[0]);
  } else {
    const auto n = static_cast<int64_t>(items.size());
    const int64_t given = integer_argument(run_, args.bind(run_, method, {"index"})[0], -1);
    const int64_t at = given < 0 ? given + n : given;
    if (at < 0 || at >= n) run_.error("pop: the list of {} items has no item {}", n, given);
    result = items[static_cast<size_t>(at)];
    items.erase(items.begin() + static_cast<ptrdiff_t>(at));
  }
  *held = run_.list(std::move(items));
  return result;
}

Value Interpreter::evaluate_call(const Expr& expr, const Value* caller) {
  const Expr& callee = *expr.children[0];
  if (callee.kind == ExprKind::kAttribute) {
    if (std::optional<Value> result = change_list(expr)) return *result;
  }
  Value self;
  Value function;
  if (callee.kind == ExprKind::kAttribute) {
    self = evaluate(*callee.children[0]);
    function = get_attribute(run_, self, callee.name);
  } else {
    function = evaluate(callee);
  }
  Arguments args = evaluate_arguments(expr);
  if (caller != nullptr) args.keywords.emplace_back("caller", *caller);
  run_.line = expr.line;
  if (function.is<Method>()) {
    if (self.is_undefined()) run_.unsupported("calling a method other than as `object.name(...)`");
    return call_method(run_, self, function.get<Method>().name, args);
  }
  if (function.is<Builtin>()) return call_builtin(run_, function.get<Builtin>().name, args);
  if (function.is<std::shared_ptr<const Macro>>()) {
    return call_macro(*function.get<std::shared_ptr<const Macro>>(), std::move(args));
  }
  if (function.is_undefined()) {
    if (callee.kind == ExprKind::kAttribute) {
      run_.error("a {} has no method '{}'", type_name(self), callee.name);
    }
    run_.error("the function '{}' is undefined", function.get<Undefined>().name);
  }
  run_.error("a {} cannot be called", type_name(function));
}

Value Interpreter::evaluate_compare(const Expr& expr) {
  Value left = evaluate(*expr.children[0]);
  for (size_t i = 0; i < expr.operators.size(); ++i) {
    Value right = evaluate(*expr.children[i + 1]);
    const std::string& op = expr.operators[i];
    bool holds = false;
    if (op == "==" || op == "!=") {
      holds = equal(run_, left, right) == (op == "==");
    } else if (op == "in" || op == "not in") {
      holds = contains(run_, right, left) == (op == "in");
    } else {
      const bool unordered = (left.is<double>() && left.get<double>() != left.get<double>()) ||
                             (right.is<double>() && right.get<double>() != right.get<double>());
      const int order = compare(run_, left, right);
      holds = !unordered && (op == "<"    ? order < 0
                             : op == "<=" ? order <= 0
                             : op == ">"  ? order > 0
                                          : order >= 0);
    }
    if (!holds) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Value Interpreter::evaluate_concat(const Expr& expr) {
  JinjaText result;
  for (const ExprPtr& child : expr.children) {
    const JinjaText text = to_text(run_, evaluate(*child));
    run_.allocate(text.size());
    result.append(text);
  }
  return run_.text(std::move(result));
}

Value Interpreter::evaluate_sign(const Expr& expr) {
  const Value value = evaluate(*expr.children[0]);
  if (!value.is_number()) run_.error("a {} has no sign", type_name(value));
  if (expr.kind == ExprKind::kPositive) {
    return value.is<double>() ? value : Value(value.as_integer());
  }
  if (value.is<double>()) return Value(-value.get<double>());
  return arithmetic(run_, "-", Value(int64_t{0}), value);
}

Value Interpreter::call_macro(const Macro& macro, Arguments args) {
  const Stmt& definition = *macro.definition;
  const auto& parameters = definition.parameters;
  const ImpliedNames& implied = definition.implied;
  const DepthGuard depth(run_);
  const ScopeGuard guard(*this, macro.scope);
  auto& names = scope_->names;
  auto& keywords = args.keywords;
  const auto take_keyword = [&](const std::string& name) {
    const auto found = std::ranges::find(keywords, name, [](const auto& k) { return k.first; });
    if (found == keywords.end()) return false;
    names[name] = std::move(found->second);
    keywords.erase(found);
    return true;
  };
  const size_t n_positional = std::min(args.positional.size(), parameters.size());
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto& [name, otherwise] = parameters[i];
    if (i < n_positional) {
      names[name] = args.positional[i];
    } else if (!take_keyword(name)) {
      Value value = otherwise != nullptr ? evaluate(*otherwise) : Value::undefined(name);
      names[name] = std::move(value);
    }
  }
  if (implied.caller && !take_keyword("caller")) names["caller"] = Value::undefined("caller");
  if (implied.kwargs) {
    std::vector<std::pair<Value, Value>> rest;
    for (auto& [name, value] : keywords) rest.emplace_back(run_.text(name, false), value);
    names["kwargs"] = run_.dict(std::move(rest));
  } else if (!keywords.empty()) {
    run_.error("the macro '{}' takes no argument '{}'", definition.name, keywords[0].first);
  }
  args.positional.erase(args.positional.begin(),
                        args.positional.begin() + static_cast<ptrdiff_t>(n_positional));
  if (implied.varargs) {
    names["varargs"] = run_.list(std::move(args.positional), ListKind::kTuple);
  } else if (!args.positional.empty()) {
    run_.error("the macro '{}' takes {} arguments, not {}", definition.name, parameters.size(),
               n_positional + args.positional.size());
  }
  return capture(definition.body);
}

}  // namespace tidal::jinja

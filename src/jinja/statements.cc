#include <utility>

#include "jinja/interpreter.h"
#include "jinja/jinja.h"
#include "jinja/parser.h"

namespace tidal {
namespace jinja {

Interpreter::Interpreter(const Program& program, const JinjaOptions& options)
    : program_(program), run_(program.source, options), scope_(std::make_shared<Scope>()) {}

Interpreter::~Interpreter() {
  for (const ScopePtr& scope : held_scopes_) scope->names.clear();
}

Interpreter::ScopeGuard::ScopeGuard(Interpreter& interpreter, ScopePtr parent)
    : interpreter_(interpreter), saved_(std::move(interpreter.scope_)) {
  Charge charge = interpreter_.run_.charge(sizeof(Scope));
  interpreter_.scope_ = std::make_shared<Scope>(Scope{std::move(parent), {}, std::move(charge)});
}

JinjaText Interpreter::render(const Dict& variables) {
  for (const auto& [name, value] : variables.entries) {
    if (name.is_text()) scope_->names[name.str()] = value;
  }
  Output output{{}, run_.charge(0)};
  output_ = &output;
  // The template's own names live in a scope inside that of its context.
  const ScopeGuard guard(*this, scope_);
  execute(program_.body);
  return std::move(output.text);
}

void Interpreter::print(const JinjaText& text) {
  run_.add(output_->charge, text.size() + text.content().size() * sizeof(ByteRange));
  output_->text.append(text);
  if (static_cast<int64_t>(output_->text.size()) > run_.options().limits.max_output) {
    run_.raise(ErrorCode::kExhausted,
               fmt::format("the output is longer than {} bytes", run_.options().limits.max_output));
  }
}

Interpreter::Flow Interpreter::execute(const Body& body) {
  for (const auto& stmt : body) {
    const Flow flow = execute(*stmt);
    if (flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::execute(const Stmt& stmt) {
  const DepthGuard guard(run_);
  run_.line = stmt.line;
  run_.step();
  switch (stmt.kind) {
    case StmtKind::kText:
      print(stmt.text.as_text());
      return Flow::kNormal;
    case StmtKind::kOutput:
      print(to_text(run_, evaluate(*stmt.expr)));
      return Flow::kNormal;
    case StmtKind::kIf:
      return execute_if(stmt);
    case StmtKind::kFor:
      return execute_for(stmt);
    case StmtKind::kSet:
      assign(stmt, evaluate(*stmt.expr));
      return Flow::kNormal;
    case StmtKind::kSetBlock:
      execute_set_block(stmt);
      return Flow::kNormal;
    case StmtKind::kMacro:
      define_macro(stmt);
      return Flow::kNormal;
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
    case StmtKind::kWith:
      return execute_with(stmt);
    case StmtKind::kFilterBlock: {
      const ScopeGuard scope(*this, scope_);
      print(to_text(run_, through_filters(*stmt.expr, capture(stmt.body))));
      return Flow::kNormal;
    }
    case StmtKind::kCallBlock:
      execute_call_block(stmt);
      return Flow::kNormal;
    case StmtKind::kRefused:
      run_.unsupported("{}", stmt.name);
    case StmtKind::kGeneration: {
      const ScopeGuard scope(*this, scope_);
      print(capture(stmt.body).as_text());
      return Flow::kNormal;
    }
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::execute_if(const Stmt& stmt) {
  for (const Branch& branch : stmt.branches) {
    if (branch.condition == nullptr || truth(evaluate(*branch.condition))) {
      return execute(branch.body);
    }
  }
  return Flow::kNormal;
}

std::vector<Value> Interpreter::filter_items(const Stmt& stmt, const Value& iterable) {
  std::vector<Value> items = iterate(run_, iterable);
  if (stmt.condition == nullptr) return items;
  std::vector<Value> picked;
  const ScopeGuard guard(*this, scope_);
  for (Value& item : items) {
    assign(stmt, item);
    if (truth(evaluate(*stmt.condition))) picked.push_back(std::move(item));
  }
  return picked;
}

Interpreter::Flow Interpreter::execute_for(const Stmt& stmt) {
  if (stmt.is_recursive) run_.unsupported("a recursive loop");
  const Value iterable = evaluate(*stmt.expr);
  auto loop = std::make_shared<LoopState>();
  loop->items = run_.list(filter_items(stmt, iterable));
  loop->depth_of_items = loop->items.as_list().depth;
  const auto& items = loop->items.as_list().items;
  if (items.empty()) {
    const ScopeGuard guard(*this, scope_);
    return execute(stmt.else_body);
  }
  for (; loop->index < items.size(); ++loop->index) {
    run_.step();
    const ScopeGuard guard(*this, scope_);
    scope_->names["loop"] = Value(loop);
    assign(stmt, items[loop->index]);
    if (execute(stmt.body) == Flow::kBreak) break;
  }
  return Flow::kNormal;
}

void Interpreter::assign(const Stmt& stmt, const Value& value) {
  if (!stmt.unpack) return assign(stmt.targets[0], value);
  const std::vector<Value> items = iterate(run_, value);
  if (items.size() != stmt.targets.size()) {
    run_.error("{} values for {} names", items.size(), stmt.targets.size());
  }
  for (size_t i = 0; i < items.size(); ++i) assign(stmt.targets[i], items[i]);
}

void Interpreter::assign(const Target& target, const Value& value) {
  if (target.attribute.empty()) {
    if (scope_->names.insert_or_assign(target.name, value).second) {
      run_.add(scope_->charge, sizeof(*scope_->names.begin()));
    }
    return;
  }
  const Value* found = scope_->find(target.name);
  if (found == nullptr || !found->is<std::shared_ptr<Namespace>>()) {
    run_.error("'{}' is not a namespace, so its attribute cannot be set", target.name);
  }
  if (target.attribute.starts_with('_')) {
    run_.error("the attribute '{}' of a namespace begins with _", target.attribute);
  }
  Namespace& names = *found->get<std::shared_ptr<Namespace>>();
  run_.step();
  if (Value* slot = names.find(target.attribute)) {
    *slot = value;
  } else {
    run_.add(names.charge, sizeof(names.attributes[0]));
    names.attributes.emplace_back(target.attribute, value);
  }
}

Value Interpreter::capture(const Body& body) {
  Output output{{}, run_.charge(0)};
  Output* const saved = std::exchange(output_, &output);
  if (execute(body) != Flow::kNormal) run_.unsupported("leaving a block of text with its loop");
  output_ = saved;
  return run_.text(std::move(output.text));
}

Value Interpreter::through_filters(const Expr& filters, Value captured) {
  scope_->names[kCaptured] = std::move(captured);
  return evaluate(filters);
}

void Interpreter::execute_set_block(const Stmt& stmt) {
  Value value;
  {
    const ScopeGuard guard(*this, scope_);
    value = through_filters(*stmt.expr, capture(stmt.body));
  }
  assign(stmt.targets[0], value);
}

Interpreter::Flow Interpreter::execute_with(const Stmt& stmt) {
  std::vector<Value> values;
  for (const auto& [name, expr] : stmt.parameters) values.push_back(evaluate(*expr));
  const ScopeGuard guard(*this, scope_);
  for (size_t i = 0; i < values.size(); ++i) scope_->names[stmt.parameters[i].first] = values[i];
  return execute(stmt.body);
}

void Interpreter::execute_call_block(const Stmt& stmt) {
  const ScopeGuard guard(*this, scope_);
  const Value caller(std::make_shared<const Macro>(Macro{&stmt, scope_}));
  print(to_text(run_, evaluate_call(*stmt.expr, &caller)));
}

void Interpreter::define_macro(const Stmt& stmt) {
  held_scopes_.push_back(scope_);
  run_.add(scope_->charge, sizeof(Macro) + sizeof(ScopePtr));
  scope_->names[stmt.name] = Value(std::make_shared<const Macro>(Macro{&stmt, scope_}));
}

}  // namespace jinja

JinjaTemplate::JinjaTemplate(std::shared_ptr<const jinja::Program> program)
    : program_(std::move(program)) {}

JinjaTemplate JinjaTemplate::parse(std::string_view source) {
  return JinjaTemplate(jinja::parse_program(source));
}

std::string JinjaTemplate::render(const nlohmann::ordered_json& context,
                                  const JinjaOptions& options) const {
  jinja::Interpreter interpreter(*program_, options);
  const jinja::Value variables = jinja::from_json(interpreter.state(), context, true);
  if (!variables.is_dict()) interpreter.state().error("the context is not an object");
  return interpreter.render(variables.as_dict()).str();
}

JinjaText JinjaTemplate::render_marked(const jinja::Dict& variables,
                                       const JinjaOptions& options) const {
  return jinja::Interpreter(*program_, options).render(variables);
}

}  // namespace tidal

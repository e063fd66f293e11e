// Walks a program's tree and returns its text. One object per render, on one thread; refers to the
// program and the options, which must outlive it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jinja/ast.h"
#include "jinja/calls.h"
#include "jinja/run.h"
#include "jinja/scope.h"

namespace tidal::jinja {

class Interpreter {
 public:
  Interpreter(const Program& program, const JinjaOptions& options);
  ~Interpreter();  // breaks cycles of scopes that hold macros that hold the scopes
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  Run& state() { return run_; }
  JinjaText render(const Dict& variables);

 private:
  enum class Flow { kNormal, kBreak, kContinue };
  using ScopePtr = std::shared_ptr<Scope>;

  // Statements (statements.cc). They print to output_.
  Flow execute(const Body& body);
  Flow execute(const Stmt& stmt);
  Flow execute_if(const Stmt& stmt);
  Flow execute_for(const Stmt& stmt);
  std::vector<Value> filter_items(const Stmt& stmt, const Value& iterable);
  Flow execute_with(const Stmt& stmt);
  void execute_set_block(const Stmt& stmt);
  void define_macro(const Stmt& stmt);
  void execute_call_block(const Stmt& stmt);
  void assign(const Stmt& stmt, const Value& value);
  void assign(const Target& target, const Value& value);
  void print(const JinjaText& text);
  // The body's output as a value, run in its own scope.
  Value capture(const Body& body);
  Value through_filters(const Expr& filters, Value captured);

  // Expressions (expressions.cc).
  Value evaluate(const Expr& expr);
  Value evaluate_name(const Expr& expr);
  Value evaluate_filter(const Expr& expr);
  Value evaluate_collection(const Expr& expr);
  Value evaluate_slice(const Expr& expr);
  Value evaluate_call(const Expr& expr, const Value* caller = nullptr);
  std::optional<Value> change_list(const Expr& call);
  Value evaluate_compare(const Expr& expr);
  Value evaluate_concat(const Expr& expr);
  Value evaluate_sign(const Expr& expr);
  Value call_macro(const Macro& macro, Arguments args);
  Arguments evaluate_arguments(const Expr& call);

  // A new scope inside the current one while it lives.
  class ScopeGuard {
   public:
    ScopeGuard(Interpreter& interpreter, ScopePtr parent);
    ~ScopeGuard() { interpreter_.scope_ = std::move(saved_); }
    ScopeGuard(const ScopeGuard&) = delete;
    ScopeGuard& operator=(const ScopeGuard&) = delete;

   private:
    Interpreter& interpreter_;
    ScopePtr saved_;
  };

  struct Output {
    JinjaText text;
    Charge charge;
  };

  const Program& program_;
  Run run_;
  ScopePtr scope_;
  std::vector<ScopePtr> held_scopes_;  // scopes in which a macro was defined
  Output* output_ = nullptr;
};

}  // namespace tidal::jinja

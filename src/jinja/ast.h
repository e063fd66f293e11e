// The syntax tree of a template. Immutable once parsed; nodes own their children. Its depth is
// bounded by the parser, so that walking or freeing it cannot overflow the stack.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "jinja/value.h"

namespace tidal::jinja {

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

enum class ExprKind {
  kConstant,     // constant
  kName,         // name
  kList,         // children
  kTuple,        // children
  kDict,         // children: key, value, key, value ...
  kAttribute,    // children[0].name
  kItem,         // children[0][children[1]]
  kSlice,        // children[0][children[1]:children[2]:children[3]], each but the first may be null
  kCall,         // children[0](children[1 ...], keywords)
  kFilter,       // children[0] | name(children[1 ...], keywords)
  kTest,         // children[0] is name(children[1 ...], keywords)
  kNot,          // children[0]
  kNegative,     // children[0]
  kPositive,     // children[0]
  kAnd,          // children[0], children[1]
  kOr,           // children[0], children[1]
  kBinary,       // children[0] name children[1]; + - * / // % **
  kCompare,      // children[0] operators[0] children[1] operators[1] children[2] ...
  kConcat,       // children, joined as text
  kConditional,  // children[1] if children[0] else children[2], which may be null
  kRefused,      // unsupported: an error when reached, called name
};

struct Expr {
  ExprKind kind;
  int line;
  size_t depth = 1;  // levels of nodes, including this one
  std::string name;
  Value constant;
  std::vector<ExprPtr> children;
  std::vector<std::pair<std::string, ExprPtr>> keywords;
  ExprPtr more_arguments;  // *expr, or null
  ExprPtr more_keywords;   // **expr, or null
  std::vector<std::string> operators;
};

struct Stmt;
using Body = std::vector<std::unique_ptr<const Stmt>>;

enum class StmtKind {
  kText,      // text
  kOutput,    // expr
  kIf,        // branches, the last without condition if there is an else
  kFor,       // targets in expr if condition: body, else: else_body
  kSet,       // targets = expr
  kSetBlock,  // targets = body's output through expr, a filter chain on kCaptured
  kMacro,     // name(parameters): body
  kBreak,
  kContinue,
  kWith,         // parameters as bindings, body; a scope of its own
  kFilterBlock,  // body's output through expr, a filter chain on kCaptured
  kGeneration,   // body, in its own scope
  kCallBlock,    // expr, a call that receives caller(parameters): body
  kRefused,      // unsupported: an error when reached, called name
};

// The name under which a filter chain finds its block's text; no template can spell it.
inline constexpr const char* kCaptured = "<captured>";

// Names a macro's body may use without declaring them as parameters.
struct ImpliedNames {
  bool caller = false;
  bool varargs = false;
  bool kwargs = false;
};

struct Target {
  std::string name;
  std::string attribute;  // of the namespace `name`, if not empty
};

struct Branch {
  ExprPtr condition;  // null: else
  Body body;
};

struct Stmt {
  StmtKind kind;
  int line;
  std::string name;
  Value text;
  ExprPtr expr;
  ExprPtr condition;
  std::vector<Target> targets;
  bool unpack = false;  // targets take the elements of the value, even if there is only one
  std::vector<std::pair<std::string, ExprPtr>> parameters;  // default may be null
  ImpliedNames implied;                                     // of a macro or a call block
  bool is_recursive = false;
  std::vector<Branch> branches;
  Body body;
  Body else_body;
};

struct Program {
  std::string source;
  Body body;
};

}  // namespace tidal::jinja

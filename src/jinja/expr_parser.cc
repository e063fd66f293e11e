#include "jinja/expr_parser.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace tidal::jinja {
namespace {

constexpr size_t kDeepest = 250;  // operators and postfixes in a row are a level each

}  // namespace

ExprParser::Node ExprParser::make(ExprKind kind) const {
  auto node = std::make_unique<Expr>();
  node->kind = kind;
  node->line = tokens_.line();
  return node;
}

ExprParser::Node ExprParser::chain(ExprKind kind, Node left) const {
  Node node = make(kind);
  add(*node, std::move(left));
  return node;
}

ExprParser::Node ExprParser::refuse(std::string what) const {
  Node node = make(ExprKind::kRefused);
  node->name = std::move(what);
  return node;
}

void ExprParser::add(Expr& parent, ExprPtr child) const {
  note_depth(parent, child.get());
  parent.children.push_back(std::move(child));
}

void ExprParser::note_depth(Expr& parent, const Expr* child) const {
  if (child == nullptr) return;
  parent.depth = std::max(parent.depth, child->depth + 1);
  if (parent.depth > kDeepest) tokens_.exhausted("an expression has too many levels");
}

ExprPtr ExprParser::parse(bool conditional) {
  const TokenStream::Nesting nesting(tokens_);
  Node node = parse_or();
  while (conditional && tokens_.skip_name("if")) {
    Node choice = make(ExprKind::kConditional);
    add(*choice, parse_or());
    add(*choice, std::move(node));
    add(*choice, tokens_.skip_name("else") ? parse() : nullptr);
    node = std::move(choice);
  }
  return node;
}

bool ExprParser::at_tuple_end() const {
  return tokens_.is(TokenKind::kVariableEnd) || tokens_.is(TokenKind::kBlockEnd) ||
         tokens_.is_operator(")");
}

ExprPtr ExprParser::parse_tuple(bool conditional) {
  ExprPtr first = parse(conditional);
  if (!tokens_.is_operator(",")) return first;
  Node tuple = make(ExprKind::kTuple);
  add(*tuple, std::move(first));
  while (tokens_.skip_operator(",") && !at_tuple_end()) {
    add(*tuple, parse(conditional));
  }
  return tuple;
}

ExprParser::Node ExprParser::parse_or() {
  Node left = parse_and();
  while (tokens_.skip_name("or")) {
    left = chain(ExprKind::kOr, std::move(left));
    add(*left, parse_and());
  }
  return left;
}

ExprParser::Node ExprParser::parse_and() {
  Node left = parse_not();
  while (tokens_.skip_name("and")) {
    left = chain(ExprKind::kAnd, std::move(left));
    add(*left, parse_not());
  }
  return left;
}

ExprParser::Node ExprParser::parse_not() {
  if (!tokens_.is_name("not")) return parse_comparison();
  const TokenStream::Nesting nesting(tokens_);
  tokens_.next();
  Node node = make(ExprKind::kNot);
  add(*node, parse_not());
  return node;
}

ExprParser::Node ExprParser::parse_comparison() {
  Node left = parse_sum();
  Node node;
  for (;;) {
    std::string op;
    for (const char* candidate : {"==", "!=", "<", "<=", ">", ">="}) {
      if (tokens_.skip_operator(candidate)) op = candidate;
      if (!op.empty()) break;
    }
    if (op.empty() && tokens_.skip_name("in")) op = "in";
    if (op.empty() && tokens_.is_name("not") && tokens_.look().kind == TokenKind::kName &&
        tokens_.look().text == "in") {
      tokens_.next();
      tokens_.next();
      op = "not in";
    }
    if (op.empty()) return node ? std::move(node) : std::move(left);
    if (!node) node = chain(ExprKind::kCompare, std::move(left));
    node->operators.push_back(op);
    add(*node, parse_sum());
  }
}

ExprParser::Node ExprParser::parse_sum() {
  Node left = parse_concat();
  while (tokens_.is_operator("+") || tokens_.is_operator("-")) {
    left = chain(ExprKind::kBinary, std::move(left));
    left->name = tokens_.next().text;
    add(*left, parse_concat());
  }
  return left;
}

ExprParser::Node ExprParser::parse_concat() {
  Node left = parse_product();
  if (!tokens_.is_operator("~")) return left;
  left = chain(ExprKind::kConcat, std::move(left));
  while (tokens_.skip_operator("~")) add(*left, parse_product());
  return left;
}

ExprParser::Node ExprParser::parse_product() {
  Node left = parse_power();
  while (tokens_.is_operator("*") || tokens_.is_operator("/") || tokens_.is_operator("//") ||
         tokens_.is_operator("%")) {
    left = chain(ExprKind::kBinary, std::move(left));
    left->name = tokens_.next().text;
    add(*left, parse_power());
  }
  return left;
}

ExprParser::Node ExprParser::parse_power() {
  Node left = parse_unary(true);
  while (tokens_.skip_operator("**")) {
    left = chain(ExprKind::kBinary, std::move(left));
    left->name = "**";
    add(*left, parse_unary(true));
  }
  return left;
}

ExprParser::Node ExprParser::parse_unary(bool with_filters) {
  Node node;
  if (tokens_.is_operator("-") || tokens_.is_operator("+")) {
    const TokenStream::Nesting nesting(tokens_);
    node = make(tokens_.next().text == "-" ? ExprKind::kNegative : ExprKind::kPositive);
    add(*node, parse_unary(false));
  } else {
    node = parse_primary();
  }
  node = parse_postfix(std::move(node));
  return with_filters ? parse_filter_chain(std::move(node)) : std::move(node);
}

ExprParser::Node ExprParser::parse_primary() {
  const TokenStream::Nesting nesting(tokens_);
  switch (tokens_.current().kind) {
    case TokenKind::kName:
      return parse_name();
    case TokenKind::kString: {
      Node node = make(ExprKind::kConstant);
      std::string text;
      while (tokens_.is(TokenKind::kString)) text += tokens_.next().text;
      node->constant = Value::text(text);
      return node;
    }
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return parse_number();
    default:
      if (tokens_.is_operator("(")) return parse_group();
      if (tokens_.is_operator("[")) return parse_list();
      if (tokens_.is_operator("{")) return parse_dict();
      tokens_.unexpected("an expression");
  }
}

ExprParser::Node ExprParser::parse_name() {
  Node node = make(ExprKind::kConstant);
  const std::string& name = tokens_.next().text;
  if (name == "true" || name == "True") {
    node->constant = Value(true);
  } else if (name == "false" || name == "False") {
    node->constant = Value(false);
  } else if (name == "none" || name == "None") {
    node->constant = Value::none();
  } else {
    node->kind = ExprKind::kName;
    node->name = name;
    implied.caller |= name == "caller";
    implied.varargs |= name == "varargs";
    implied.kwargs |= name == "kwargs";
  }
  return node;
}

ExprParser::Node ExprParser::parse_number() {
  Node node = make(ExprKind::kConstant);
  const bool is_float = tokens_.is(TokenKind::kFloat);
  const std::string text = tokens_.current().text;
  if (is_float) {
    double value = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (result.ec != std::errc()) node = refuse("a number beyond the range of a double");
    node->constant = Value(value);
  } else {
    int64_t value = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (result.ec != std::errc()) node = refuse("an integer of more than 64 bits");
    node->constant = Value(value);
  }
  tokens_.next();
  return node;
}

ExprParser::Node ExprParser::parse_group() {
  tokens_.expect_operator("(");
  Node tuple = make(ExprKind::kTuple);
  bool is_tuple = tokens_.is_operator(")");
  while (!tokens_.is_operator(")")) {
    add(*tuple, parse());
    if (!tokens_.skip_operator(",")) break;
    is_tuple = true;
  }
  tokens_.expect_operator(")");
  if (is_tuple) return tuple;
  return std::move(tuple->children[0]);
}

ExprParser::Node ExprParser::parse_list() {
  Node node = make(ExprKind::kList);
  tokens_.expect_operator("[");
  while (!tokens_.is_operator("]")) {
    if (!node->children.empty()) tokens_.expect_operator(",");
    if (tokens_.is_operator("]")) break;
    add(*node, parse());
  }
  tokens_.expect_operator("]");
  return node;
}

ExprParser::Node ExprParser::parse_dict() {
  Node node = make(ExprKind::kDict);
  tokens_.expect_operator("{");
  while (!tokens_.is_operator("}")) {
    if (!node->children.empty()) tokens_.expect_operator(",");
    if (tokens_.is_operator("}")) break;
    add(*node, parse());
    tokens_.expect_operator(":");
    add(*node, parse());
  }
  tokens_.expect_operator("}");
  return node;
}

ExprParser::Node ExprParser::parse_postfix(Node node) {
  for (;;) {
    if (tokens_.is_operator(".") || tokens_.is_operator("[")) {
      node = parse_subscript(std::move(node));
    } else if (tokens_.is_operator("(")) {
      node = chain(ExprKind::kCall, std::move(node));
      parse_arguments(node.get());
    } else {
      return node;
    }
  }
}

ExprParser::Node ExprParser::parse_subscript(Node node) {
  if (tokens_.skip_operator(".")) {
    if (tokens_.is(TokenKind::kInteger)) {
      node = chain(ExprKind::kItem, std::move(node));
      add(*node, parse_number());
      return node;
    }
    node = chain(ExprKind::kAttribute, std::move(node));
    node->name = tokens_.expect_name();
    return node;
  }
  tokens_.expect_operator("[");
  node = parse_item(std::move(node));
  if (tokens_.is_operator(",")) node = refuse("a subscript of several parts");
  while (tokens_.skip_operator(",")) parse();
  tokens_.expect_operator("]");
  return node;
}

ExprParser::Node ExprParser::parse_item(Node node) {
  ExprPtr first;
  if (!tokens_.is_operator(":")) first = parse();
  if (!tokens_.is_operator(":")) {
    node = chain(ExprKind::kItem, std::move(node));
    add(*node, std::move(first));
    return node;
  }
  node = chain(ExprKind::kSlice, std::move(node));
  add(*node, std::move(first));
  for (int part = 0; part < 2; ++part) {
    const bool has_part = tokens_.skip_operator(":") && !tokens_.is_operator(":") &&
                          !tokens_.is_operator("]") && !tokens_.is_operator(",");
    add(*node, has_part ? parse() : nullptr);
  }
  return node;
}

ExprParser::Node ExprParser::parse_filter_chain(Node node) {
  for (;;) {
    if (tokens_.skip_operator("|")) {
      node = parse_filter(std::move(node));
    } else if (tokens_.is_name("is")) {
      node = parse_test(std::move(node));
    } else if (tokens_.is_operator("(")) {
      node = chain(ExprKind::kCall, std::move(node));
      parse_arguments(node.get());
    } else {
      return node;
    }
  }
}

ExprParser::Node ExprParser::parse_filter(Node node) {
  node = chain(ExprKind::kFilter, std::move(node));
  node->name = tokens_.expect_name();
  while (tokens_.skip_operator(".")) node->name += "." + tokens_.expect_name();
  if (tokens_.is_operator("(")) parse_arguments(node.get());
  return node;
}

ExprPtr ExprParser::parse_filters(ExprPtr value, bool inline_first) {
  Node node = std::move(value);
  if (inline_first) node = parse_filter(std::move(node));
  while (tokens_.skip_operator("|")) node = parse_filter(std::move(node));
  return node;
}

ExprParser::Node ExprParser::parse_test(Node node) {
  tokens_.next();
  const bool negated = tokens_.skip_name("not");
  node = chain(ExprKind::kTest, std::move(node));
  node->name = tokens_.expect_name();
  while (tokens_.skip_operator(".")) node->name += "." + tokens_.expect_name();
  const TokenKind kind = tokens_.current().kind;
  const bool begins_argument = kind == TokenKind::kName || kind == TokenKind::kString ||
                               kind == TokenKind::kInteger || kind == TokenKind::kFloat ||
                               tokens_.is_operator("[") || tokens_.is_operator("{");
  if (tokens_.is_operator("(")) {
    parse_arguments(node.get());
  } else if (begins_argument && !tokens_.is_name("else") && !tokens_.is_name("or") &&
             !tokens_.is_name("and")) {
    if (tokens_.is_name("is")) tokens_.corrupt("tests cannot be chained");
    add(*node, parse_postfix(parse_primary()));
  }
  if (!negated) return node;
  return chain(ExprKind::kNot, std::move(node));
}

void ExprParser::parse_arguments(Expr* call) {
  tokens_.expect_operator("(");
  bool first = true;
  while (!tokens_.is_operator(")")) {
    if (!first) tokens_.expect_operator(",");
    if (!first && tokens_.is_operator(")")) break;
    first = false;
    if (call->more_keywords) tokens_.corrupt("an argument follows **");
    if (tokens_.is_operator("*") || tokens_.is_operator("**")) {
      ExprPtr& more = tokens_.next().text == "*" ? call->more_arguments : call->more_keywords;
      if (more) tokens_.corrupt("a call has * twice");
      more = parse();
      note_depth(*call, more.get());
      continue;
    }
    const bool is_keyword = tokens_.is(TokenKind::kName) &&
                            tokens_.look().kind == TokenKind::kOperator &&
                            tokens_.look().text == "=";
    if (is_keyword) {
      std::string name = tokens_.expect_name();
      tokens_.next();
      ExprPtr value = parse();
      note_depth(*call, value.get());
      call->keywords.emplace_back(std::move(name), std::move(value));
    } else if (!call->keywords.empty() || call->more_arguments) {
      tokens_.corrupt("a positional argument follows a keyword argument or *");
    } else {
      add(*call, parse());
    }
  }
  tokens_.expect_operator(")");
}

}  // namespace tidal::jinja

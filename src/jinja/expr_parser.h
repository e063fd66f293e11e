// Parses expressions from a TokenStream, with Jinja's precedence. Errors as in jinja/parser.h.
#pragma once

#include <string>
#include <vector>

#include "jinja/ast.h"
#include "jinja/token_stream.h"

namespace tidal::jinja {

class ExprParser {
 public:
  explicit ExprParser(TokenStream& tokens) : tokens_(tokens) {}

  // One expression; without conditional, `if` ends it.
  ExprPtr parse(bool conditional = true);
  // The same, or a tuple if there are commas.
  ExprPtr parse_tuple(bool conditional = true);
  // `name | filter(...)...`: applies the following filters to `value`. inline_first: the first
  // filter comes without a bar.
  ExprPtr parse_filters(ExprPtr value, bool inline_first);

  ImpliedNames implied;  // which of them were read; the caller resets it

 private:
  using Node = ExprPtr;

  Node make(ExprKind kind) const;
  Node chain(ExprKind kind, Node left) const;  // a node whose first child is `left`

  void add(Expr& parent, ExprPtr child) const;
  Node refuse(std::string what) const;
  void note_depth(Expr& parent, const Expr* child) const;

  Node parse_or();
  Node parse_and();
  Node parse_not();
  Node parse_comparison();
  Node parse_sum();
  Node parse_concat();
  Node parse_product();
  Node parse_power();
  Node parse_unary(bool with_filters);
  Node parse_primary();
  Node parse_name();
  Node parse_number();
  Node parse_group();
  Node parse_list();
  Node parse_dict();
  Node parse_postfix(Node node);
  Node parse_subscript(Node node);
  Node parse_item(Node node);
  Node parse_filter_chain(Node node);
  Node parse_filter(Node node);
  Node parse_test(Node node);
  void parse_arguments(Expr* call);
  bool at_tuple_end() const;

  TokenStream& tokens_;
};

}  // namespace tidal::jinja

#include "jinja/parser.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "base/fail.h"
#include "jinja/expr_parser.h"
#include "jinja/token_stream.h"

namespace tidal::jinja {
namespace {

constexpr size_t kLargestSource = size_t{4} << 20;

class Parser {
 public:
  explicit Parser(std::string_view source) : tokens_(source), expressions_(tokens_) {}

  Body parse_template() {
    Body body = parse_body({});
    if (!tokens_.is(TokenKind::kEnd)) tokens_.unexpected("the end of the template");
    return body;
  }

 private:
  using Node = std::unique_ptr<Stmt>;

  Node make(StmtKind kind) const {
    auto node = std::make_unique<Stmt>();
    node->kind = kind;
    node->line = tokens_.line();
    return node;
  }

  // Statements up to the tag whose first word is one of `ends`, which becomes the current token.
  Body parse_body(std::initializer_list<std::string_view> ends) {
    const TokenStream::Nesting nesting(tokens_);
    Body body;
    for (;;) {
      if (tokens_.is(TokenKind::kEnd)) {
        if (ends.size() > 0) tokens_.unexpected(fmt::format("{{% {} %}}", *(ends.end() - 1)));
        return body;
      }
      if (tokens_.is(TokenKind::kData)) {
        Node node = make(StmtKind::kText);
        node->text = Value::text(tokens_.next().text);
        body.push_back(std::move(node));
      } else if (tokens_.is(TokenKind::kVariableBegin)) {
        body.push_back(parse_output());
      } else {
        tokens_.expect(TokenKind::kBlockBegin, "a tag");
        if (!tokens_.is(TokenKind::kName)) tokens_.unexpected("the name of a tag");
        if (std::find(ends.begin(), ends.end(), tokens_.current().text) != ends.end()) return body;
        body.push_back(parse_statement());
        end_tag();
      }
    }
  }

  void end_tag() { tokens_.expect(TokenKind::kBlockEnd, "the end of the tag"); }

  // A tag's body and its closing tag, up to but excluding the closing bracket.
  Body parse_block(std::string_view end) {
    end_tag();
    Body body = parse_body({end});
    tokens_.next();
    return body;
  }

  Node parse_output() {
    Node node = make(StmtKind::kOutput);
    tokens_.next();
    node->expr = expressions_.parse_tuple();
    tokens_.expect(TokenKind::kVariableEnd, "the end of the tag");
    return node;
  }

  Node parse_statement() {
    const std::string& tag = tokens_.current().text;
    if (tag == "if") return parse_if();
    if (tag == "for") return parse_for();
    if (tag == "set") return parse_set();
    if (tag == "macro") return parse_macro();
    if (tag == "with") return parse_with();
    if (tag == "filter") return parse_filter_block();
    if (tag == "call") return parse_call_block();
    for (const char* known : {"extends", "from", "import", "include", "print"}) {
      if (tag == known) return parse_refused("");
    }
    if (tag == "block") return parse_refused("endblock");
    if (tag == "autoescape") return parse_refused("endautoescape");
    if (tag == "generation") {
      Node node = make(StmtKind::kGeneration);
      tokens_.next();
      const int loops = std::exchange(loops_, 0);
      node->body = parse_block("endgeneration");
      loops_ = loops;
      return node;
    }
    if (tag == "break" || tag == "continue") {
      if (loops_ == 0) tokens_.corrupt(fmt::format("{{% {} %}} outside a loop", tag));
      Node node = make(tag == "break" ? StmtKind::kBreak : StmtKind::kContinue);
      tokens_.next();
      return node;
    }
    if (tag.starts_with("end") || tag == "else" || tag == "elif") {
      tokens_.corrupt(fmt::format("{{% {} %}} without its opening tag", tag));
    }
    tokens_.unsupported(fmt::format("the tag {{% {} %}}", tag));
  }

  Node parse_if() {
    Node node = make(StmtKind::kIf);
    for (;;) {
      tokens_.next();
      Branch branch;
      branch.condition = expressions_.parse_tuple(false);
      end_tag();
      branch.body = parse_body({"elif", "else", "endif"});
      node->branches.push_back(std::move(branch));
      if (!tokens_.is_name("elif")) break;
    }
    if (tokens_.skip_name("else")) {
      Branch branch;
      branch.body = parse_block("endif");
      node->branches.push_back(std::move(branch));
    } else {
      tokens_.next();
    }
    return node;
  }

  void parse_targets(Stmt* node, bool attributes) {
    const bool parentheses = tokens_.skip_operator("(");
    for (;;) {
      Target target{tokens_.expect_name(), ""};
      for (const char* reserved : {"true", "false", "none", "True", "False", "None", "loop"}) {
        if (target.name == reserved) {
          tokens_.corrupt(fmt::format("'{}' cannot be assigned to", target.name));
        }
      }
      if (attributes && tokens_.skip_operator(".")) target.attribute = tokens_.expect_name();
      node->targets.push_back(std::move(target));
      if (!tokens_.skip_operator(",")) break;
      node->unpack = true;
      if (!tokens_.is(TokenKind::kName) || tokens_.is_name("in")) break;
    }
    if (parentheses) tokens_.expect_operator(")");
  }

  Node parse_for() {
    Node node = make(StmtKind::kFor);
    tokens_.next();
    parse_targets(node.get(), false);
    if (!tokens_.skip_name("in")) tokens_.unexpected("'in'");
    node->expr = expressions_.parse_tuple(false);
    if (tokens_.skip_name("if")) node->condition = expressions_.parse();
    node->is_recursive = tokens_.skip_name("recursive");
    end_tag();
    ++loops_;
    node->body = parse_body({"else", "endfor"});
    --loops_;
    if (tokens_.skip_name("else")) {
      node->else_body = parse_block("endfor");
    } else {
      tokens_.next();
    }
    return node;
  }

  Node parse_set() {
    Node node = make(StmtKind::kSet);
    tokens_.next();
    parse_targets(node.get(), true);
    if (tokens_.skip_operator("=")) {
      node->expr = expressions_.parse_tuple();
      return node;
    }
    node->kind = StmtKind::kSetBlock;
    if (node->unpack) tokens_.corrupt("a set block has one target");
    node->expr = expressions_.parse_filters(captured(), false);
    node->body = parse_block("endset");
    return node;
  }

  ExprPtr captured() const {
    auto name = std::make_unique<Expr>();
    name->kind = ExprKind::kName;
    name->line = tokens_.line();
    name->name = kCaptured;
    return name;
  }

  Node parse_filter_block() {
    Node node = make(StmtKind::kFilterBlock);
    tokens_.next();
    node->expr = expressions_.parse_filters(captured(), true);
    node->body = parse_block("endfilter");
    return node;
  }

  Node parse_macro() {
    Node node = make(StmtKind::kMacro);
    tokens_.next();
    node->name = tokens_.expect_name();
    parse_signature(node.get());
    parse_macro_body(node.get(), "endmacro");
    return node;
  }

  // What Jinja supports and tidal does not. end: the tag that closes its body, if it has one.
  Node parse_refused(std::string_view end) {
    Node node = make(StmtKind::kRefused);
    node->name = fmt::format("the tag {{% {} %}}", tokens_.current().text);
    skip_to_tag_end();
    if (!end.empty()) {
      node->body = parse_block(end);
      skip_to_tag_end();
    }
    return node;
  }

  void skip_to_tag_end() {
    while (!tokens_.is(TokenKind::kBlockEnd) && !tokens_.is(TokenKind::kEnd)) tokens_.next();
  }

  Node parse_call_block() {
    Node node = make(StmtKind::kCallBlock);
    tokens_.next();
    node->name = "caller";
    if (tokens_.is_operator("(")) parse_signature(node.get());
    node->expr = expressions_.parse();
    if (node->expr->kind != ExprKind::kCall) tokens_.corrupt("{% call %} takes a call");
    parse_macro_body(node.get(), "endcall");
    return node;
  }

  void parse_macro_body(Stmt* node, std::string_view end) {
    const int loops = std::exchange(loops_, 0);
    const ImpliedNames outer = std::exchange(expressions_.implied, {});
    node->body = parse_block(end);
    loops_ = loops;
    node->implied = expressions_.implied;
    expressions_.implied.caller |= outer.caller;
    expressions_.implied.varargs |= outer.varargs;
    expressions_.implied.kwargs |= outer.kwargs;
    for (const auto& [name, value] : node->parameters) {
      if (name == "caller") node->implied.caller = false;
      if (name == "varargs") node->implied.varargs = false;
      if (name == "kwargs") node->implied.kwargs = false;
    }
  }

  void parse_signature(Stmt* node) {
    tokens_.expect_operator("(");
    while (!tokens_.is_operator(")")) {
      if (!node->parameters.empty()) tokens_.expect_operator(",");
      std::string name = tokens_.expect_name();
      ExprPtr value;
      if (tokens_.skip_operator("=")) {
        value = expressions_.parse();
      } else if (!node->parameters.empty() && node->parameters.back().second != nullptr) {
        tokens_.corrupt("a parameter without a default follows one with a default");
      }
      node->parameters.emplace_back(std::move(name), std::move(value));
    }
    tokens_.next();
  }

  Node parse_with() {
    Node node = make(StmtKind::kWith);
    tokens_.next();
    while (!tokens_.is(TokenKind::kBlockEnd)) {
      if (!node->parameters.empty()) tokens_.expect_operator(",");
      std::string name = tokens_.expect_name();
      tokens_.expect_operator("=");
      node->parameters.emplace_back(std::move(name), expressions_.parse());
    }
    node->body = parse_block("endwith");
    return node;
  }

  TokenStream tokens_;
  ExprParser expressions_;
  int loops_ = 0;  // around the current statement, within its macro
};

}  // namespace

std::shared_ptr<const Program> parse_program(std::string_view source) {
  if (source.size() > kLargestSource) {
    fail(ErrorCode::kExhausted, "chat template: {} bytes; at most {} are allowed", source.size(),
         kLargestSource);
  }
  auto program = std::make_shared<Program>();
  program->source = normalize_newlines(source);
  program->body = Parser(program->source).parse_template();
  return program;
}

}  // namespace tidal::jinja

// Finds the longest of many tokens that a text begins with, in one walk over the text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "albef/core/error.hpp"

namespace albef::detail {

/// A trie of tokens and their ids. Its edges are in one hash table with open addressing.
class TokenTrie {
 public:
  static constexpr std::int32_t none = -1;

  struct Match {
    std::int32_t id = none;
    std::size_t length = 0;  ///< bytes of the text
  };

  /// Adds a token that is not empty; one that is there already gets the new id.
  void insert(std::string_view token, std::int32_t id) {
    std::int32_t node = 0;
    for (const char c : token) node = grow(node, c);
    ids_[static_cast<std::size_t>(node)] = id;
  }

  /// The node of a prefix, where longest() may begin; `none` if no token begins so.
  std::int32_t node(std::string_view prefix) const {
    std::int32_t node = 0;
    for (std::size_t i = 0; i < prefix.size() && node != none; ++i) node = child(node, prefix[i]);
    return node;
  }

  /// The id of a token, or `none`.
  std::int32_t find(std::string_view token) const {
    const std::int32_t at = node(token);
    return at == none ? none : ids_[static_cast<std::size_t>(at)];
  }

  /// The longest token that `text` begins with, where tokens are what follows from node `from`.
  Match longest(std::string_view text, std::int32_t from = 0) const {
    Match best;
    for (std::size_t i = 0; i < text.size(); ++i) {
      from = child(from, text[i]);
      if (from == none) break;
      const std::int32_t id = ids_[static_cast<std::size_t>(from)];
      if (id != none) best = {id, i + 1};
    }
    return best;
  }

  bool empty() const { return ids_.size() == 1; }

 private:
  struct Edge {
    std::uint32_t key = unused;  // node * 256 + byte
    std::int32_t child = none;
  };
  static constexpr std::uint32_t unused = 0xFFFFFFFF;

  static std::uint32_t edge_key(std::int32_t node, char c) {
    return static_cast<std::uint32_t>(node) << 8 | static_cast<unsigned char>(c);
  }

  // Where the edge is, or belongs.
  std::size_t slot(std::uint32_t key) const {
    const std::size_t mask = edges_.size() - 1;
    std::size_t at = key * std::uint64_t{0x9E3779B97F4A7C15} >> 32 & mask;
    while (edges_[at].key != key && edges_[at].key != unused) at = (at + 1) & mask;
    return at;
  }

  std::int32_t child(std::int32_t node, char c) const {
    return edges_[slot(edge_key(node, c))].child;
  }

  std::int32_t grow(std::int32_t node, char c) {
    const std::uint32_t key = edge_key(node, c);
    Edge& edge = edges_[slot(key)];
    if (edge.key == key) return edge.child;
    require(ids_.size() < (1 << 24) - 1,
            "[WordPiece] the vocabulary is too large: its tokens have ",
            "more than 16,777,215 beginnings");
    const auto made = static_cast<std::int32_t>(ids_.size());
    edge = {key, made};
    ids_.push_back(none);
    if (ids_.size() * 2 > edges_.size()) rehash();
    return made;
  }

  void rehash() {
    std::vector<Edge> old(edges_.size() * 2);
    old.swap(edges_);
    for (const Edge& edge : old)
      if (edge.key != unused) edges_[slot(edge.key)] = edge;
  }

  std::vector<std::int32_t> ids_{none};  // of the tokens that end in each node
  std::vector<Edge> edges_ = std::vector<Edge>(16);
};

}  // namespace albef::detail

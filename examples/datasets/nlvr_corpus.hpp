// The first NLVR corpus (Suhr et al., ACL 2017): three grey boxes side by side and a statement.
// Reading it in its own form, and rearranging the boxes for square pictures.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/core/file.hpp"
#include "albef/core/json.hpp"
#include "albef/data/codec.hpp"
#include "albef/data/image.hpp"
#include "albef/data/json_record.hpp"
#include "albef/data/shard_writer.hpp"
#include "datasets/json_list.hpp"

namespace examples {

struct NlvrExample {
  std::string id, sentence;
  bool truth = false;
  std::vector<std::uint8_t> picture;
};

/// Whether a label of the corpus says "true".
inline bool nlvr_truth(const std::string& label) {
  albef::require(label == "true" || label == "false", "the label is '", label,
                 "', expected 'true' or 'false'");
  return label == "true";
}

namespace detail {

inline std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(separator, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

}  // namespace detail

/// Calls f(example) for each line of the corpus' JSON file: {identifier, sentence, label}. Pictures
/// are looked for in `folder` and below, as PREFIX-IDENTIFIER-0.png: order 0 of the boxes.
template <class F>
void read_nlvr_json(const std::string& path, const std::string& folder, F&& f) {
  namespace fs = std::filesystem;
  std::map<std::string, std::string> pictures;  // by identifier
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(folder, error)) {
    const std::string stem = entry.path().stem().string();
    const auto parts = detail::split(stem, '-');
    if (parts.size() < 4 || parts.back() != "0" || entry.path().extension() != ".png") continue;
    pictures[albef::concat(parts[parts.size() - 3], "-", parts[parts.size() - 2])] =
        entry.path().string();
  }
  albef::require(!error, "cannot read the folder '", folder, "': ", error.message());

  std::string text = albef::read_file(path);
  std::size_t number = 0;
  for (const std::string_view line : detail::split(text, '\n')) {
    ++number;
    if (line.empty() || line == "\r") continue;
    try {
      const auto value = albef::parse_json(line);
      const albef::JsonFields fields(value, false);
      NlvrExample example{
          fields.text("identifier"), fields.text("sentence"), nlvr_truth(fields.text("label")), {}};
      const auto picture = pictures.find(example.id);
      albef::require(picture != pictures.end(), "no picture ...-", example.id, "-0.png in '",
                     folder, "'");
      const std::string bytes = albef::read_file(picture->second);
      example.picture.assign(bytes.begin(), bytes.end());
      f(example);
    } catch (const albef::Error& problem) {
      albef::fail(path, ": line ", number, ": ", problem.what());
    }
  }
}

/// Calls f(example) for each row of a tab-separated table with the columns image, id, label and
/// sentence, whose pictures are in the blob pack of the same name: bytes BPK1, uint32 N, uint64
/// offset[N + 1], then N encoded pictures.
template <class F>
void read_nlvr_table(const std::string& path, F&& f) {
  const std::string pack_path = std::filesystem::path(path).replace_extension(".bpk").string();
  const std::string pack = albef::read_file(pack_path);
  std::uint32_t count = 0;
  albef::require(pack.size() >= 8 && pack.starts_with("BPK1"), "'", pack_path,
                 "': expected a blob pack");
  std::memcpy(&count, pack.data() + 4, 4);
  const auto picture = [&](std::size_t index) {
    albef::require(index < count && pack.size() >= 8 + 8 * (std::size_t{count} + 1),
                   "field 'image': there is no picture ", index, " in '", pack_path, "'");
    std::uint64_t range[2];
    std::memcpy(range, pack.data() + 8 + 8 * index, 16);
    albef::require(range[0] <= range[1] && range[1] <= pack.size(), "'", pack_path,
                   "' is cut or damaged");
    return std::vector<std::uint8_t>(pack.begin() + static_cast<std::ptrdiff_t>(range[0]),
                                     pack.begin() + static_cast<std::ptrdiff_t>(range[1]));
  };

  const std::string text = albef::read_file(path);
  const auto lines = detail::split(text, '\n');
  const auto header = detail::split(lines[0], '\t');
  const auto column = [&](std::string_view name) {
    const auto found = std::find(header.begin(), header.end(), name);
    albef::require(found != header.end(), "'", path, "': there is no column '", name, "'");
    return static_cast<std::size_t>(found - header.begin());
  };
  const std::size_t image = column("image"), id = column("id"), label = column("label"),
                    sentence = column("sentence");
  for (std::size_t n = 1; n < lines.size(); ++n) {
    if (lines[n].empty()) continue;
    const auto cells = detail::split(lines[n], '\t');
    try {
      albef::require(cells.size() == header.size(), cells.size(), " fields, expected ",
                     header.size());
      f(NlvrExample{std::string(cells[id]), std::string(cells[sentence]),
                    nlvr_truth(std::string(cells[label])),
                    picture(std::strtoul(std::string(cells[image]).c_str(), nullptr, 10))});
    } catch (const albef::Error& problem) {
      albef::fail(path, ": line ", n + 1, ": ", problem.what());
    }
  }
}

/// The three boxes of a picture, from left to right.
inline std::array<albef::Image, 3> nlvr_boxes(const albef::Image& picture) {
  albef::require(picture.width == 400 && picture.height == 100, "a picture of ", picture.width,
                 " x ", picture.height, " pixels, expected 400 x 100");
  return {albef::crop(picture, {0, 0, 100, 100}), albef::crop(picture, {150, 0, 100, 100}),
          albef::crop(picture, {300, 0, 100, 100})};
}

/// Up to four boxes in two rows on a white square of 208 pixels, 8 pixels between them.
inline albef::Image nlvr_square(std::span<const albef::Image* const> boxes) {
  albef::Image out(208, 208, 255);
  for (std::size_t i = 0; i < boxes.size(); ++i)
    for (int y = 0; y < 100; ++y)
      std::copy_n(boxes[i]->pixel(0, y), 300,
                  out.pixel(i % 2 == 1 ? 108 : 0, y + (i / 2 == 1 ? 108 : 0)));
  return out;
}

struct NlvrOptions {
  std::string output = "nlvr", name = "train";
  int orders = 1;      // pictures per example, of the six orders of its boxes
  bool pairs = false;  // two pictures, of the first two boxes and the last, for two-picture models
};

/// A picture of three boxes or, in pairs, two: written to a shard, and named in a record.
class NlvrPictures {
 public:
  NlvrPictures(const std::string& shard, bool pairs) : shard_(shard), pairs_(pairs) {}

  /// Writes KEY.png, or KEY-a.png and KEY-b.png; returns {"image": ...} or {"images": [...]}.
  nlohmann::ordered_json add(const std::string& key,
                             std::span<const albef::Image* const, 3> boxes) {
    if (pairs_)
      return {{"images", {save(key + "-a", boxes.first(2)), save(key + "-b", boxes.last(1))}}};
    return {{"image", save(key, boxes)}};
  }
  albef::ShardWriter& shard() { return shard_; }

 private:
  std::string save(const std::string& key, std::span<const albef::Image* const> boxes) {
    shard_.add(key + ".png", albef::encode_png(nlvr_square(boxes)));
    return key + ".png";
  }

  albef::ShardWriter shard_;
  bool pairs_;
};

/// The label of a true or false statement for models of pairs ("True", "False"), or of one picture,
/// which it entails or contradicts.
inline std::string nlvr_label(bool truth, bool pairs) {
  if (pairs) return truth ? "True" : "False";
  return truth ? "entailment" : "contradiction";
}

/// Writes OUTPUT/NAME.tar and OUTPUT/NAME.json, add() by add().
class NlvrFiles {
 public:
  explicit NlvrFiles(const NlvrOptions& options)
      : options_(options),
        pictures_(made(options.output) + "/" + options.name + ".tar", options.pairs) {
    albef::require(options.orders >= 1 && options.orders <= 6, options.orders,
                   " orders of the boxes, expected 1 to 6");
  }

  void add(const NlvrExample& example) {
    const auto boxes = nlvr_boxes(albef::decode_image(example.picture, example.id));
    std::array<int, 3> order{0, 1, 2};
    for (int n = 0; n < options_.orders; ++n) {
      const albef::Image* shown[3];
      for (std::size_t i = 0; i < 3; ++i) shown[i] = &boxes[static_cast<std::size_t>(order[i])];
      auto record = pictures_.add(albef::concat(options_.name, "/", example.id, "-", n), shown);
      record["sentence"] = example.sentence;
      record["label"] = nlvr_label(example.truth, options_.pairs);
      record["identifier"] = example.id;
      records_.push_back(std::move(record));
      std::next_permutation(order.begin(), order.end());
    }
  }
  void commit() {
    pictures_.shard().commit();
    albef::write_file(options_.output + "/" + options_.name + ".json", json_list(records_) + "\n");
  }
  /// Statements written.
  std::size_t count() const { return records_.size(); }

 private:
  static const std::string& made(const std::string& folder) {
    std::filesystem::create_directories(folder);
    return folder;
  }

  NlvrOptions options_;
  NlvrPictures pictures_;
  nlohmann::ordered_json records_ = nlohmann::ordered_json::array();
};

}  // namespace examples

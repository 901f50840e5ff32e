// What the training tests share: a few generated pictures with captions, a loader, a training.
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "albef/cpu.hpp"
#include "albef/data/loader.hpp"
#include "albef/data/png.hpp"
#include "albef/data/sources.hpp"
#include "albef/tasks/pretrain.hpp"
#include "albef/train/training.hpp"

namespace train_test {

using albef::Cpu;
using albef::Nano;
using albef::Plane;
using Objective = albef::AlbefPretraining<Nano>;
using Training = albef::Training<Objective>;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "albef-train-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name + "/";
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::permissions(path_, std::filesystem::perms::owner_all, ignored);
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return path_ + name; }

 private:
  std::string path_;
};

/// Words of single letters and digits: below the vocabulary of Nano.
inline const albef::WordPiece& tokenizer() {
  static const albef::WordPiece made = [] {
    std::vector<std::string> tokens{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    for (const char* c = "abcdefghijklmnopqrstuvwxyz0123456789"; *c; ++c) {
      tokens.push_back(std::string(1, *c));
      tokens.push_back("##" + std::string(1, *c));
    }
    return albef::WordPiece::from_vocab(tokens, "test");
  }();
  return made;
}

/// Striped pictures of different colours with captions of different lengths.
inline albef::SourcePtr pictures(int count) {
  auto source = std::make_shared<albef::MemorySource>();
  for (int i = 0; i < count; ++i) {
    albef::Image image(12, 12, 0);
    for (std::size_t p = 0; p < image.rgb.size(); ++p)
      image.rgb[p] = static_cast<std::uint8_t>((p / 3 + p % 3 * 50) * static_cast<unsigned>(i + 1));
    std::string caption = "pic " + std::to_string(i);
    for (int w = 0; w < i % 3; ++w) caption += " of x";
    source->add({.key = "p" + std::to_string(i), .captions = {caption}, .image_id = i},
                albef::encode_png(image));
  }
  return source;
}

inline albef::Loader loader(int batch_size, int count = 22, albef::LoaderOptions options = {}) {
  options.batch_size = batch_size;
  options.workers = 1;
  return {pictures(count), tokenizer(), albef::TrainTransform{.size = Nano::image_res}, options};
}

/// Bit for bit, in all parameters that the plane is for.
inline bool equal(Training& a, Training& b, Plane plane) {
  for (const auto& p : a.store().params())
    if ((plane != Plane::ema || p.twin) &&
        std::memcmp(a.store().data(plane) + p.offset, b.store().data(plane) + p.offset,
                    static_cast<std::size_t>(p.size) * sizeof(float)) != 0)
      return false;
  return true;
}
inline bool queues_equal(Training& training_a, Training& training_b) {
  auto &a = training_a.state().queue, &b = training_b.state().queue;
  const auto size = static_cast<std::size_t>(a.size() * a.width()) * sizeof(float);
  return a.pointer() == b.pointer() && std::memcmp(a.image().data, b.image().data, size) == 0 &&
         std::memcmp(a.text().data, b.text().data, size) == 0;
}

}  // namespace train_test
